"""How much an engine differs from itself: the same requests again, and what changed in answers, scores and verdicts.

A verdict that flips between two equal runs says nothing about an adapter, so a comparison is only as good as this A/A
rate. Each run after the first gets the requests in another order, because what shares a batch is what changes numbers
in practice. Pure over an engine and a judge: no store, no cache, no files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.engines.base import Completion, Engine, Failure, OnProgress, Progress, Request
from harness.errors import EngineError
from harness.judging.results import Verdict
from harness.metrics.types import Scores
from harness.suite.significance import Interval, wilson

__all__ = ["Judge", "NoiseReport", "RequestNoise", "measure_noise"]

Judge = Callable[[int, Completion], tuple[Scores, Verdict]]
"""Scores and verdict of the answer to the request with this id."""


@dataclass(frozen=True, slots=True)
class RequestNoise:
    """One request over all runs."""

    request_id: int
    answers: int
    """Different texts among the runs' answers; 1: always the same."""
    verdicts: tuple[str, ...]
    """One per run."""
    spread: dict[str, float]
    """Largest minus smallest value of each score that was not always the same."""

    @property
    def flips(self) -> bool:
        """Whether the verdict was not always the same."""
        return len(set(self.verdicts)) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseReport:
    """What changed between equal runs."""

    runs: int
    requests: tuple[RequestNoise, ...]
    answer_rate: Interval
    """Share of requests whose text was not always the same (Wilson)."""
    verdict_rate: Interval
    """Share of requests whose verdict was not always the same (Wilson): the A/A flip rate."""
    spread: dict[str, float]
    """Each score's mean spread over all requests, of the scores that moved at all."""


def measure_noise(
    engine: Engine, requests: Sequence[Request], judge: Judge, *, runs: int = 3, on_progress: OnProgress | None = None
) -> NoiseReport:
    """Run ``requests`` ``runs`` times and compare.

    Args:
        engine: any engine; it is not closed.
        requests: what to repeat; ids unique.
        judge: scores and verdict of one answer.
        runs: at least 2.
        on_progress: called after every answer, with counts over all runs.

    Raises:
        ValueError: fewer than two runs, or no requests.
        EngineError: a request failed; a comparison with holes in it would look quieter than it is.
    """
    if runs < 2 or not requests:
        raise ValueError(f"noise needs requests and two runs or more, got {len(requests)} requests and {runs} runs")
    seen: dict[int, list[tuple[str, Scores, str]]] = {request.id: [] for request in requests}
    done = tokens = 0
    for run in range(runs):
        order = list(requests)
        if run:
            random.Random(run).shuffle(order)  # noqa: S311 - an order, not a secret
        answered = 0
        # Ids are by place, so that an engine which looks at them has no way to tell that it sees a request again.
        outcomes = engine.generate([replace(request, id=place) for place, request in enumerate(order)])
        for outcome in outcomes:
            request = order[outcome.request_id]
            if isinstance(outcome, Failure):
                raise EngineError(f"request {request.id} failed in run {run + 1}: {outcome.message}")
            scores, verdict = judge(request.id, outcome)
            seen[request.id].append((outcome.text, scores, verdict.status.value))
            answered += 1
            done += 1
            tokens += len(outcome.token_ids)
            if on_progress is not None:
                on_progress(Progress(state="running", requests_done=done, requests=runs * len(requests), tokens=tokens))
        if answered < len(requests):
            raise EngineError(f"the engine answered {answered} of {len(requests)} requests in run {run + 1}")
    measured = tuple(_one(request_id, rows) for request_id, rows in seen.items())
    names = sorted({name for one in measured for name in one.spread})
    return NoiseReport(
        runs=runs,
        requests=measured,
        answer_rate=wilson(sum(one.answers > 1 for one in measured), len(measured)),
        verdict_rate=wilson(sum(one.flips for one in measured), len(measured)),
        spread={name: sum(one.spread.get(name, 0.0) for one in measured) / len(measured) for name in names},
    )


def _one(request_id: int, rows: Sequence[tuple[str, Scores, str]]) -> RequestNoise:
    spread = {}
    for name in rows[0][1].values:
        values = [scores.values[name] for _, scores, _ in rows if name in scores.values]
        if max(values) > min(values):
            spread[name] = max(values) - min(values)
    return RequestNoise(request_id, len({text for text, _, _ in rows}), tuple(row[2] for row in rows), spread)
