"""What a model with an adapter computes on fixed prompts: by this a server is recognised, whatever it says.

A server names its models, and the names prove nothing: another checkpoint, quantisation or version under the same name
would be judged as what it is not. So the greedy answers to fixed prompts and their log-probabilities are recorded once,
by an engine that loaded checked weights where there is one, and compared at every run on a server.

Trade-off: two versions whose log-probabilities differ by less than the noise of two engines cannot be told apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Engine, Request
from harness.models.weights import AdapterWeights

__all__ = ["MAX_DISTANCE", "Fingerprint", "distance", "take_fingerprint"]

MAX_DISTANCE = 0.25
"""Nats an answer of eight tokens, on average: precisions and batches of one model stay below 0.1."""
_PROBES: tuple[tuple[int, ...], ...] = (
    tuple(range(20, 36)), tuple(range(36, 24, -1)), (9, 7, 9, 7, 9), tuple(range(5, 39, 3)), (38, 3, 37, 4, 36, 5),
    (11, 12, 13), tuple(range(6, 38, 2)), (17, 17, 30, 30, 17, 17),
)  # fmt: skip
"""Token ids that every vocabulary has."""
_DECODING = Decoding(beam_width=1, max_tokens=8, early_fail=False)
"""A beam of one: greedy, but with its log-probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Answers to the fixed prompts."""

    engine: str
    """Which kind of engine computed them."""
    answers: tuple[tuple[int, ...], ...]
    """Token ids, one tuple a prompt."""
    logprobs: tuple[float, ...]
    """Nats, one an answer."""


def take_fingerprint(engine: Engine, adapter: AdapterWeights | None) -> Fingerprint | None:
    """The fingerprint of what ``engine`` computes with ``adapter``; None where it tells no log-probabilities.

    Raises:
        EngineError: it broke.
    """
    asked = [Request(id=i, prompt_ids=ids, decoding=_DECODING, adapter=adapter) for i, ids in enumerate(_PROBES)]
    outcomes = sorted(engine.generate(asked), key=lambda outcome: outcome.request_id)
    answers = [o for o in outcomes if isinstance(o, Completion) and o.logprob is not None]
    if len(answers) < len(asked):
        return None
    return Fingerprint(
        engine=engine.info.name, answers=tuple(a.token_ids for a in answers),
        logprobs=tuple(a.logprob or 0.0 for a in answers),
    )  # fmt: skip


def distance(one: Fingerprint, other: Fingerprint) -> float:
    """Mean difference of the log-probabilities of equal answers, nats; infinite where most answers differ."""
    both = zip(one.answers, other.answers, one.logprobs, other.logprobs, strict=False)
    gaps = [abs(a - b) for x, y, a, b in both if x == y]
    return fmean(gaps) if 2 * len(gaps) >= len(_PROBES) else math.inf
