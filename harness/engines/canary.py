"""Proves that an adapter changes the model: an engine can load a LoRA, report nothing, and decode with the bare model.

A few prompts are decoded greedily, four times with the model as shipped and four times with the adapter, in one call
and therefore in one batch. The answers' log-probabilities are compared and not their text: a small real adapter changes
the former long before a word. The noise level is the difference between equal requests of the same batch (A/A), since
batching alone changes numbers. Fails closed: an effect that does not exceed the noise is no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Engine, Failure, Request
from harness.errors import AdapterError, EngineError
from harness.models.weights import AdapterWeights

__all__ = ["PROOF_TOKENS", "CanaryReport", "prove_adapter"]

PROOF_TOKENS = 8
"""Tokens that are generated after each prompt."""
_DECODING = Decoding(beam_width=1, max_tokens=PROOF_TOKENS, early_fail=False)
"""A beam of one: greedy, but with its log-probability."""
_COPIES = 4
_TIMES_NOISE = 2.0
"""Without an effect, means over four copies differ by half of what two copies differ by: four times that is far out."""
_MIN_EFFECT = 1e-4
"""Nats per answer. Rounding in bfloat16 alone is above that where there is any; a real adapter is at 0.01 and more."""


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """What the proof rests on."""

    adapter: str
    effect: float
    """Mean over prompts of the distance between the adapter's mean and the model's, nats per answer."""
    noise: float
    """Mean distance of two equal requests, nats per answer."""
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
    both = 2 * _COPIES
    requests = [
        Request(
            id=both * number + copy,
            prompt_ids=tuple(prompt),
            decoding=_DECODING,
            adapter=adapter if copy >= _COPIES else None,
        )
        for number, prompt in enumerate(prompts)
        for copy in range(both)
    ]
    answers: dict[int, Completion] = {}
    for outcome in engine.generate(requests):
        if isinstance(outcome, Failure):
            if outcome.request_id % both >= _COPIES:
                raise AdapterError(f"adapter {adapter.name} cannot be used: {outcome.message}")
            raise EngineError(f"the model as shipped cannot be decoded: {outcome.message}")
        answers[outcome.request_id] = outcome
    if len(answers) < len(requests):
        raise EngineError(f"the engine answered {len(answers)} of {len(requests)} requests")
    effects, noises = [], []
    for number in range(len(prompts)):
        group = [answers[both * number + copy] for copy in range(both)]
        base, tuned = _values(group, group[:_COPIES]), _values(group, group[_COPIES:])
        effects.append(abs(fmean(tuned) - fmean(base)))
        noises += [abs(a - b) for values in (base, tuned) for a, b in combinations(values, 2)]
    report = CanaryReport(adapter.name, fmean(effects), fmean(noises), len(prompts))
    if report.effect <= max(_MIN_EFFECT, _TIMES_NOISE * report.noise):
        raise AdapterError(
            f"adapter {adapter.name} has no provable effect on {engine.info.name}: it moves answers by "
            f"{report.effect:.2g} nats, equal requests differ by {report.noise:.2g}; is it trained, and for this model?"
        )
    return report


def _values(group: Sequence[Completion], part: Sequence[Completion]) -> list[float]:
    """Log-probabilities; where the engine knows none, 1 for every answer that differs from the group's first."""
    if all(answer.logprob is not None for answer in group):
        return [answer.logprob or 0.0 for answer in part]
    first = group[0]
    return [float((answer.token_ids, answer.text) != (first.token_ids, first.text)) for answer in part]
