"""How often the gate fails when nothing changed: the same adapter twice, with sampling decoding."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from harness.cases.decoding import Decoding
from harness.cases.model import Case
from harness.judging.results import Attempt, CaseResult
from harness.judging.verdict import combine, judge
from harness.metrics import score
from harness.project.settings import Limits
from harness.suite.gate import GateOutcome, judge_suite
from harness.suite.significance import wilson
from tests.benchmarks.scores.loops import looping
from tests.benchmarks.scores.ordinary import answer
from tests.support.builders import case

__all__ = ["noise"]

RUNS = 1000
SAMPLES = 4


def noise() -> dict[str, Any]:
    """Share of ``RUNS`` comparisons that fail: A against A, and A against a worse B for contrast; scored for real."""
    os.environ["HARNESS_KERNELS"] = "compiled"
    draw = Random(5)
    pool = [s.text for s in looping(12)]
    found: dict[str, Any] = {"runs": RUNS, "samples a case": SAMPLES}
    for size in (12, 40):
        cases = [
            case(
                f"badcase1/{i}",
                standard_answer=answer(draw, "en"),
                decoding=Decoding(method="sample", temperature=0.7, samples=SAMPLES, min_pass=2),
            )
            for i in range(size)
        ]
        good = [[judged(c, answer(draw, "en")) for _ in range(6)] for c in cases]
        bad = [[judged(c, draw.choice(pool)) for _ in range(6)] for c in cases]
        failed = worse = 0
        for _ in range(RUNS):
            rates = [draw.random() for _ in range(size)]
            one, other = (sampled(draw, cases, good, bad, rates) for _ in range(2))
            failed += outcome(one, other) is GateOutcome.FAILED
            worse += outcome(one, sampled(draw, cases, good, bad, [r * 0.3 for r in rates])) is GateOutcome.FAILED
        interval = wilson(failed, RUNS)
        found[f"{size} cases"] = {
            "A against A fails": interval.value, "low": interval.low, "high": interval.high, "a worse adapter fails": worse / RUNS,
        }  # fmt: skip
    return found


def judged(of: Case, text: str) -> Attempt:
    """An answer as the runner records it."""
    scores = score(text, of)
    return Attempt(sample=0, answer=text, finish_reason="stop", scores=scores, verdict=judge(of, scores, "stop"))


def sampled(
    draw: Random,
    cases: Sequence[Case],
    good: Sequence[list[Attempt]],
    bad: Sequence[list[Attempt]],
    rates: Sequence[float],
) -> list[CaseResult]:
    """One run: each sample of each case is a good answer at the case's own rate, else a loop."""
    results = []
    for i, of in enumerate(cases):
        attempts = tuple(
            replace(draw.choice(good[i] if draw.random() < rates[i] else bad[i]), sample=k) for k in range(SAMPLES)
        )
        results.append(CaseResult(of, "v1", attempts, combine([a.verdict for a in attempts], of.decoding.min_pass)))
    return results


def outcome(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> GateOutcome:
    return judge_suite(after, Limits(), before, complete=True).outcome
