"""The interface of every engine: what generates text implements it.

An engine gets requests and yields outcomes in the order in which they finish. Requests hold token ids, so that a prompt
is rendered only once. There is one method, so vLLM, transformers, the shipped fake and an engine of your own are
interchangeable. An engine that does not support a decoding field yields a :class:`Failure` for that request; it never
decodes in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

from harness.cases.decoding import Decoding
from harness.models.weights import AdapterWeights

__all__ = [
    "FINISH_REASONS",
    "Completion",
    "Engine",
    "EngineInfo",
    "Failure",
    "FinishReason",
    "OnProgress",
    "Outcome",
    "Progress",
    "Request",
]

FinishReason = Literal["stop", "length", "loop"]
FINISH_REASONS: tuple[str, ...] = get_args(FinishReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answer to generate."""

    id: int
    """Unique within a call of :meth:`Engine.generate`; comes back in the outcome."""
    prompt_ids: tuple[int, ...]
    decoding: Decoding
    adapter: AdapterWeights | None = None
    """None: the model as shipped."""
    sample: int = 0
    """Which of ``decoding.samples`` answers this is."""
    loop_units: float | None = None
    """For the early FAIL: mixed units of a tandem run that are a FAIL whatever follows; None turns it off.
    Stop (finish reason ``loop``) once every hypothesis that can still win holds such a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One generated answer."""

    request_id: int
    text: str
    """Decoded answer without special tokens and without the stop string."""
    token_ids: tuple[int, ...]
    """Generated ids; the end-of-turn id is included when the model produced it."""
    finish_reason: FinishReason
    """``stop``: ended by itself; ``length``: cut off at max_tokens; ``loop``: cut, every possible winner loops."""
    logprob: float | None = None
    """Sum of the log-probabilities (nats) of ``token_ids``, where the engine knows it."""
    score: float | None = None
    """The score by which a beam search ranked the answer."""
    alternatives: tuple[tuple[int, ...], ...] = ()
    """What a beam search ranked next, best first, as ids: ``n_best`` less one, where the engine was opened with it."""
    seconds: float = 0.0
    """From the request's first step to its last."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The engine could not answer this request; never the model's fault."""

    request_id: int
    message: str


Outcome = Completion | Failure


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Identity of an engine; part of the cache key."""

    name: str
    """``vllm``, ``transformers``, ``scripted`` ..."""
    version: str
    """Version of the package and everything else that changes its numbers (dtype, device)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an engine is; for a display, never for logic."""

    state: Literal["starting", "ready", "running"]
    requests_done: int = 0
    requests: int = 0
    """Requests of the call of :meth:`Engine.generate` that is under way."""
    tokens: int = 0
    """Tokens of the longest hypotheses generated so far in this call, over all its requests."""
    seconds: float = 0.0
    """Since the start-up or the call began."""


OnProgress = Callable[[Progress], None]


@runtime_checkable
class Engine(Protocol):
    """Generates answers. Raises :class:`harness.errors.EngineError` when nothing can be generated at all."""

    @property
    def info(self) -> EngineInfo: ...

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """Yield one outcome per request, as they finish. Closing the iterator stops the work."""
        ...

    def close(self) -> None:
        """Give back memory and processes; calling it twice is fine."""
        ...
