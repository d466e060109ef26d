"""transformers and peft in this process: for machines without vLLM, and the reference for this project's beam search.

It is slower than vLLM, but it defines the ``hf`` semantics, and it supports what vLLM does not (no_repeat_ngram,
penalties under beam search). Requests with the same decoding and adapter share batches. Samples run one by one, so that
a seed gives the same answer in every run.

Invariant: of the model's own generation config only the end tokens influence how an answer is decoded. Not supported:
the early FAIL (an answer is generated to its end, which costs time and never changes a verdict), vLLM's semantics,
presence_penalty.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, EngineInfo, Failure, FinishReason, OnProgress, Outcome, Progress, Request
from harness.engines.beam.stops import cut_at
from harness.engines.model_folder import adapter_problem, end_ids, length_problem
from harness.errors import EngineError, EngineMissing
from harness.models.processor import cpu_dtype
from harness.models.weights import AdapterWeights

__all__ = ["TransformersEngine", "transformers_info"]


def transformers_info(*, dtype: str = "auto", **_: object) -> EngineInfo:
    """The identity of the engine that would run here, found without importing it.

    Raises:
        EngineMissing: a package that it needs is not installed.
    """
    try:
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch", "peft")]
    except importlib.metadata.PackageNotFoundError as error:
        raise EngineMissing(f"{error.name} is not installed; pip install 'badcase-harness[transformers]'") from error
    return EngineInfo("transformers", ", ".join([*versions, _computed(dtype)]))


def _computed(dtype: str) -> str:
    """``dtype``, or float32 where torch is built for CPUs alone and this one would emulate the model's bfloat16."""
    return cpu_dtype(dtype) if importlib.metadata.version("torch").endswith("+cpu") else dtype


class TransformersEngine:
    """One model with any number of adapters."""

    def __init__(
        self,
        model_path: Path,
        *,
        max_model_len: int | None = None,
        dtype: str = "auto",
        batch_size: int = 8,
        on_progress: OnProgress | None = None,
        max_loras: int = 0,  # noqa: ARG002 - peft needs no such limit; taken so that engines are interchangeable
        max_lora_rank: int = 0,  # noqa: ARG002
        trust_remote_code: bool = False,
    ) -> None:
        """Load the model, on a GPU where there is one; ``trust_remote_code`` lets Python code in its folder run.

        Raises:
            EngineMissing: transformers, torch or peft is not installed.
            EngineError: the model cannot be loaded.
        """
        self.info = transformers_info(dtype=dtype)
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
        except ImportError as error:
            raise EngineMissing(f"transformers cannot be imported: {error}") from error
        try:
            trusted = {"local_files_only": True, "trust_remote_code": trust_remote_code}
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model_path, **trusted)
            self._model: Any = AutoModelForCausalLM.from_pretrained(model_path, dtype=_computed(dtype), **trusted)
        except Exception as error:
            raise EngineError(f"transformers cannot load {model_path}: {type(error).__name__}: {error}") from error
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device).eval()
        self._ends = end_ids(model_path, self._tokenizer.eos_token_id)
        own = int(getattr(self._model.config, "max_position_embeddings", 1 << 30))
        self._limit = min(max_model_len or own, own)
        # The model's own defaults would replace every value that a request leaves at its default.
        self._model.generation_config = GenerationConfig(eos_token_id=list(self._ends), pad_token_id=self._pad)
        self._batch_size = batch_size
        self._on_progress = on_progress or (lambda _: None)
        self._adapters: set[str] = set()

    @property
    def _pad(self) -> int:
        pad = self._tokenizer.pad_token_id
        return int(pad if pad is not None else self._ends[0] if self._ends else 0)

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """Yield outcomes batch by batch; see :class:`harness.engines.base.Engine`."""
        if self._model is None:
            raise EngineError("the transformers engine is closed; open a new one")
        began = time.monotonic()
        done, generated = 0, 0
        groups: dict[object, list[Request]] = {}
        for request in requests:
            problem = self._problem(request)
            if problem is not None:
                done += 1
                yield Failure(request.id, problem)
                continue
            alone = request.id if request.decoding.method == "sample" else None
            digest = request.adapter.digest if request.adapter else ""
            groups.setdefault((request.decoding, digest, alone), []).append(request)
        for group in groups.values():
            group.sort(key=lambda r: len(r.prompt_ids))
            for start in range(0, len(group), self._batch_size):
                batch = group[start : start + self._batch_size]
                count = len(batch)

                def tell(steps: int, count: int = count, done: int = done, generated: int = generated) -> None:
                    seconds = time.monotonic() - began
                    self._on_progress(
                        Progress(
                            state="running",
                            requests_done=done,
                            requests=len(requests),
                            tokens=generated + steps * count,
                            seconds=seconds,
                        )
                    )

                completions = self._complete(batch, tell)
                done += len(completions)
                generated += sum(len(c.token_ids) for c in completions)
                yield from completions

    def close(self) -> None:
        """Drop the model."""
        self._model = None

    def _complete(self, batch: Sequence[Request], tell: Any) -> list[Completion]:
        import torch
        from transformers import StoppingCriteriaList

        began = time.monotonic()
        first = batch[0]
        longest = max(len(r.prompt_ids) for r in batch)
        rows = [[self._pad] * (longest - len(r.prompt_ids)) + list(r.prompt_ids) for r in batch]
        mask = [[0] * (longest - len(r.prompt_ids)) + [1] * len(r.prompt_ids) for r in batch]
        try:
            with torch.inference_mode(), self._with(first.adapter):
                if first.decoding.method == "sample":
                    torch.manual_seed(first.decoding.seed + first.sample)
                output = self._model.generate(
                    input_ids=torch.tensor(rows, device=self._device),
                    attention_mask=torch.tensor(mask, device=self._device),
                    stopping_criteria=StoppingCriteriaList([_ticker(tell)]),
                    tokenizer=self._tokenizer if first.decoding.stop else None,
                    **self._options(first.decoding),
                )
                answers = [self._trim(ids, first.decoding) for ids in output[:, longest:].tolist()]
                logprobs = [
                    self._logprob(request.prompt_ids, ids) for request, (ids, _) in zip(batch, answers, strict=True)
                ]
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"transformers broke while generating: {type(error).__name__}: {error}") from error
        seconds = time.monotonic() - began
        return [
            Completion(
                request_id=request.id,
                text=cut_at(self._tokenizer.decode(ids, skip_special_tokens=True), first.decoding.stop),
                token_ids=tuple(ids),
                finish_reason=reason,
                logprob=logprob,
                score=logprob / max(len(ids), 1) ** first.decoding.length_penalty
                if first.decoding.method == "beam"
                else None,
                seconds=seconds,
            )
            for request, (ids, reason), logprob in zip(batch, answers, logprobs, strict=True)
        ]

    def _options(self, decoding: Decoding) -> dict[str, Any]:
        options: dict[str, Any] = {
            "max_new_tokens": decoding.max_tokens,
            "repetition_penalty": decoding.repetition_penalty,
            "no_repeat_ngram_size": decoding.no_repeat_ngram,
            "do_sample": decoding.method == "sample",
        }
        if decoding.stop:
            options["stop_strings"] = list(decoding.stop)
        if decoding.method == "beam":
            options |= {
                "num_beams": decoding.beam_width,
                "length_penalty": decoding.length_penalty,
                "early_stopping": decoding.early_stopping,
            }
        if decoding.method == "sample":
            options |= {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": decoding.top_k}
        return options

    def _trim(self, ids: list[int], decoding: Decoding) -> tuple[list[int], FinishReason]:
        """The answer without padding, and how it ended."""
        end = next((place for place, token in enumerate(ids) if token in self._ends), None)
        if end is not None:
            return ids[: end + 1], "stop"
        while ids and ids[-1] == self._pad:
            ids.pop()
        text = self._tokenizer.decode(ids)
        return ids, "stop" if any(stop in text for stop in decoding.stop) else "length"

    def _logprob(self, prompt: Sequence[int], answer: Sequence[int]) -> float:
        """Teacher-forced sum of the answer's log-probabilities, float32."""
        import torch

        if not answer:
            return 0.0
        ids = torch.tensor([[*prompt, *answer]], device=self._device)
        logits = self._model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1].float()
        chosen = logits.gather(-1, ids[0, -len(answer) :, None])[:, 0]
        return float((chosen - logits.logsumexp(-1)).sum())

    def _with(self, adapter: AdapterWeights | None) -> Any:
        """The context in which the model has exactly this adapter."""
        if adapter is None:
            return self._model.disable_adapter() if self._adapters else nullcontext()
        from peft import PeftModel

        if not self._adapters:
            self._model = PeftModel.from_pretrained(self._model, adapter.path, adapter_name=adapter.digest).eval()
        elif adapter.digest not in self._adapters:
            self._model.load_adapter(adapter.path, adapter_name=adapter.digest)
        self._adapters.add(adapter.digest)
        self._model.set_adapter(adapter.digest)
        return nullcontext()

    def _problem(self, request: Request) -> str | None:
        decoding = request.decoding
        if decoding.method == "beam" and decoding.semantics != "hf":
            return "semantics 'vllm': transformers has only its own; use the vllm engine"
        if decoding.presence_penalty:
            return "presence_penalty: transformers has none; use the vllm engine"
        if request.adapter is not None and (problem := adapter_problem(request.adapter)):
            return problem
        return length_problem(request, self._limit)


def _ticker(tell: Any) -> Any:
    """A stopping criterion that never stops; it reports every step."""
    import torch
    from transformers import StoppingCriteria

    class Ticker(StoppingCriteria):  # type: ignore[misc]
        steps = 0

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ARG002 - the base class's signature
            self.steps += 1
            tell(self.steps)
            return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    return Ticker()
