"""Proof that an adapter changes the model: an engine can load a LoRA, say nothing, and decode with the bare model.

A few prompts are decoded greedily, each twice with the model as shipped and twice with the adapter, in one call and
so in one batch. What is compared is the answers' log-probability, not their text: a small real adapter moves it long
before it changes a word. The yardstick is how far two equal requests of that very batch differ (A/A), since batching
alone moves numbers. Fails closed: an effect that does not stand out of the noise is no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.decoding import Decoding
from harness.engines.base import AdapterWeights, Completion, Engine, Failure, Request
from harness.errors import AdapterError, EngineError

__all__ = ["CanaryReport", "prove_adapter"]

_DECODING = Decoding(beam_width=1, max_tokens=8, early_fail=False)
"""A beam of one: greedy, but with its log-probability."""
_TIMES_NOISE = 3.0
_LEAST = 1e-4
"""Nats per answer. Rounding in bfloat16 alone is above that where there is any; a real adapter is at 0.01 and more."""


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """What the proof rests on."""

    adapter: str
    effect: float
    """Mean over prompts of the distance between adapter and model, nats per answer."""
    noise: float
    """Mean over prompts of the distance between two equal requests, nats per answer."""
    prompts: int


def prove_adapter(engine: Engine, prompts: Sequence[Sequence[int]], adapter: AdapterWeights) -> CanaryReport:
    """Prove that ``adapter`` changes what ``engine`` computes.

    Args:
        engine: any engine; where it reports no log-probabilities, different answers are the proof.
        prompts: token ids; a handful of ordinary ones.
        adapter: what must have an effect.

    Raises:
        AdapterError: the adapter cannot be used, or has no effect that stands out of the noise.
        EngineError: the model as shipped cannot be decoded either.
    """
    if not prompts:
        raise EngineError(f"adapter {adapter.name}: no prompt to prove its effect on")
    requests = [
        Request(4 * number + copy, tuple(prompt), _DECODING, adapter if copy >= 2 else None)
        for number, prompt in enumerate(prompts)
        for copy in range(4)
    ]
    answers: dict[int, Completion] = {}
    for outcome in engine.generate(requests):
        if isinstance(outcome, Failure):
            if outcome.request_id % 4 >= 2:
                raise AdapterError(f"adapter {adapter.name} cannot be used: {outcome.message}")
            raise EngineError(f"the model as shipped cannot be decoded: {outcome.message}")
        answers[outcome.request_id] = outcome
    if len(answers) < len(requests):
        raise EngineError(f"the engine answered {len(answers)} of {len(requests)} requests")
    effects, noises = [], []
    for number in range(len(prompts)):
        base, again, with_it, with_it_again = (answers[4 * number + copy] for copy in range(4))
        noises.append((_distance(base, again) + _distance(with_it, with_it_again)) / 2)
        effects.append((_distance(base, with_it) + _distance(again, with_it_again)) / 2)
    report = CanaryReport(adapter.name, fmean(effects), fmean(noises), len(prompts))
    if report.effect <= max(_LEAST, _TIMES_NOISE * report.noise):
        raise AdapterError(
            f"adapter {adapter.name} has no provable effect on {engine.info.name}: it moves answers by "
            f"{report.effect:.2g} nats, equal requests differ by {report.noise:.2g}; is it trained, and for this model?"
        )
    return report


def _distance(one: Completion, other: Completion) -> float:
    if one.logprob is None or other.logprob is None:
        return float(one.token_ids != other.token_ids or one.text != other.text)
    return abs(one.logprob - other.logprob)
