"""Engine requests of one vLLM ``LLM`` in this process, and the step that moves all of them.

Only vLLM's public interface is used: ``llm_engine.add_request``, ``step`` and ``abort_request``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.engines.base import Request
from harness.engines.vllm_generations import Generation
from harness.errors import EngineError

__all__ = ["LlmStreams", "one_line"]


class LlmStreams:
    """The streams of all generations on one ``LLM`` (see :class:`harness.engines.vllm_generations.Streams`)."""

    def __init__(self, llm: Any, lora_of: Callable[[Request], Any], *, forks: bool = False) -> None:
        """Own no request yet.

        Args:
            llm: vLLM's ``LLM``.
            lora_of: the ``LoRARequest`` of a request, or None.
            forks: whether the LLM was started with harness/engines/vllm_fork.py.
        """
        self._llm = llm
        self._lora_of = lora_of
        self._forks = forks
        self._runs: dict[str, Generation] = {}
        self._count = 0

    def open(self, run: Generation, ids: list[int], params: dict[str, Any], parent: str | None = None) -> str:
        """Start one engine request for ``run``."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._count += 1
        key = f"harness-{self._count}"
        if self._forks and parent is not None:
            params["extra_args"] = {"kv_transfer_params": {"fork_of": parent}}
        self._llm.llm_engine.add_request(
            key,
            {"prompt_token_ids": ids},
            SamplingParams(**params, output_kind=RequestOutputKind.DELTA),
            lora_request=self._lora_of(run.request),
        )
        self._runs[key] = run
        return key

    def drop(self, keys: Sequence[str]) -> None:
        """Abort engine requests."""
        live = [key for key in keys if self._runs.pop(key, None) is not None]
        if live:
            self._llm.llm_engine.abort_request(live)

    def step(self) -> None:
        """Compute one step of everything that is open, and hand out what came.

        Raises:
            EngineError: vLLM broke.
        """
        try:
            outputs = self._llm.llm_engine.step()
        except Exception as error:
            raise EngineError(f"vLLM broke while generating: {one_line(error)}") from error
        for output in outputs:
            run = self._runs.get(output.request_id)
            if run is None:
                continue
            if output.finished:
                del self._runs[output.request_id]
            run.take(output.request_id, output.outputs[0], output.finished)


def one_line(error: BaseException) -> str:
    """An error as one line, with its class."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
