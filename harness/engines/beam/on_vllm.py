"""Beam search on an ``LLM`` of your own: vLLM's ``BeamSearchParams`` in, its ``BeamSearchOutput`` out.

``LLM.beam_search`` makes a new request for every hypothesis and every token. This one keeps a request for each live
hypothesis, so a token costs one row of a batch. The result is the same: hypotheses, sums and order, by default in
vLLM's semantics.

    from vllm import LLM
    from vllm.sampling_params import BeamSearchParams
    from harness.engines.beam import beam_search

    llm = LLM("HuggingFaceTB/SmolLM2-135M-Instruct", max_logprobs=-1)
    outputs = beam_search(llm, ["The capital of France is"], BeamSearchParams(beam_width=5, max_tokens=32))
    print(outputs[0].sequences[0].text)

Trade-offs: the sequences' ``logprobs`` stay empty (``cum_logprob`` is there), since they would hold every row of every
prefix. Not supported: structured outputs, multi-modal prompts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

__all__ = ["beam_search"]


def beam_search(
    llm: Any,
    prompts: Sequence[Any],
    params: Any,
    lora_request: Any = None,
    *,
    semantics: Literal["vllm", "hf"] = "vllm",
    early_stopping: bool | Literal["never"] = False,
) -> list[Any]:
    """Search for the likeliest continuations of each prompt.

    Args:
        llm: vLLM's ``LLM``; its ``max_logprobs`` is at least twice the beam width, or -1.
        prompts: texts, or mappings with ``prompt`` or ``prompt_token_ids``.
        params: vLLM's ``BeamSearchParams``.
        lora_request: vLLM's ``LoRARequest`` for all prompts, or a list with one for each.
        semantics: ``vllm``: what ``LLM.beam_search`` does; ``hf``: what transformers' ``generate`` does.
        early_stopping: of transformers (``hf`` only).

    Returns:
        A ``BeamSearchOutput`` for each prompt: at most ``beam_width`` sequences, best first. As with vLLM's own search
        a sequence's ``tokens`` and ``text`` begin with the prompt; ``finish_reason`` is ``stop`` or ``length``.

    Raises:
        ValueError: the parameters or prompts are not supported.
        EngineError: vLLM broke.
    """
    from harness.cases.decoding import Decoding
    from harness.engines.base import Failure, Request
    from harness.engines.vllm_generations import BeamGeneration
    from harness.engines.vllm_streams import LlmStreams
    from harness.errors import EngineError

    if getattr(params, "structured_outputs", None) is not None:
        raise ValueError("structured outputs are not supported; use LLM.beam_search")
    loras = list(lora_request) if isinstance(lora_request, Sequence) else [lora_request] * len(prompts)
    if len(loras) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts with {len(loras)} LoRA requests")
    tokenizer = llm.get_tokenizer()
    decoding = Decoding(
        beam_width=params.beam_width, max_tokens=params.max_tokens, length_penalty=params.length_penalty,
        semantics=semantics, early_stopping=early_stopping, early_fail=False,
    )  # fmt: skip
    ends = [] if params.ignore_eos or tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    ids = [_token_ids(prompt, tokenizer) for prompt in prompts]
    streams = LlmStreams(llm, lambda request: loras[request.id])
    waiting = deque(
        BeamGeneration(
            Request(id=number, prompt_ids=tuple(prompt), decoding=decoding), streams, ends, tokenizer, params.beam_width
        )
        for number, prompt in enumerate(ids)
    )
    rows = llm.llm_engine.vllm_config.scheduler_config.max_num_seqs
    active: list[BeamGeneration] = []
    ended: dict[int, BeamGeneration] = {}
    try:
        while waiting or active:
            while waiting and (not active or (len(active) + 1) * params.beam_width <= rows):
                active.append(waiting.popleft())
                active[-1].start()
            streams.step()
            for run in [run for run in active if run.result is not None]:
                active.remove(run)
                ended[run.request.id] = run
                if isinstance(run.result, Failure):
                    raise EngineError(run.result.message)
    finally:
        for run in active:
            streams.drop(list(run.keys))
    return [_output(ended[i], ids[i], loras[i], tokenizer, params) for i in range(len(ids))]


def _token_ids(prompt: Any, tokenizer: Any) -> list[int]:
    if isinstance(prompt, str):
        return list(tokenizer.encode(prompt))
    if isinstance(prompt, dict) and "multi_modal_data" not in prompt:
        if "prompt_token_ids" in prompt:
            return list(prompt["prompt_token_ids"])
        if "prompt" in prompt:
            return list(tokenizer.encode(prompt["prompt"]))
    raise ValueError(f"a prompt is a text or a mapping with prompt or prompt_token_ids, not {type(prompt).__name__}")


def _output(run: Any, prompt: list[int], lora: Any, tokenizer: Any, params: Any) -> Any:
    output, sequence = _classes()
    found = []
    for finished in run.finished:
        tokens = prompt + list(finished.hypothesis.tokens())
        by_end = finished.hypothesis.token in run.rules.eos_ids
        text = tokenizer.decode(tokens, skip_special_tokens=getattr(params, "skip_special_tokens", True))
        found.append(
            sequence(
                orig_prompt={"type": "token", "prompt_token_ids": prompt},
                tokens=tokens,
                logprobs=[],
                lora_request=lora,
                cum_logprob=finished.hypothesis.total,
                text=text,
                finish_reason="stop" if by_end else "length",
                stop_reason=finished.hypothesis.token if by_end else None,
            )
        )
    return output(sequences=found)


def _classes() -> tuple[Any, Any]:
    """VLLM's own classes of results, which it has moved once."""
    try:
        from vllm.entrypoints.generate.beam_search.utils import BeamSearchOutput, BeamSearchSequence
    except ImportError:
        from vllm.beam_search import BeamSearchOutput, BeamSearchSequence
    return BeamSearchOutput, BeamSearchSequence
