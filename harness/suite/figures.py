"""What a suite comes to in numbers, overall and per folder, tag and role, each with a confidence interval.

    repetition   weighted mean over cases of the clamped excess, 0 none .. 1 (bootstrap interval over cases)
    repeaters    share of judged cases that fail on repetition (Wilson interval)
    passes       share of judged cases that pass (Wilson)
    cutoffs      share of answers that did not end by themselves (Wilson)
    similarity   mean over cases with a standard answer (bootstrap)
    missing, forbidden   share of answers that lack a must_include, that hold a must_not_include (Wilson); per tag
    these are
                 the rates of what the patterns stand for: overreach, hallucination, red flag missed

Judged means PASS or FAIL. An interval over nothing has n = 0; nobody may read its value as a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.judging.results import CaseResult, Status
from harness.suite.significance import Interval, bootstrap, wilson

__all__ = ["Figures", "figures", "grouped_figures", "judged"]


@dataclass(frozen=True, slots=True)
class Figures:
    """One group's numbers."""

    group: str
    """``all``, ``folder:NAME``, ``tag:NAME`` or ``role:NAME``."""
    cases: int
    errors: int
    skipped: int
    repetition: Interval
    repeaters: Interval
    passes: Interval
    cutoffs: Interval
    similarity: Interval
    missing: Interval
    forbidden: Interval


def judged(results: Sequence[CaseResult]) -> list[CaseResult]:
    """Those that passed or failed."""
    return [r for r in results if r.verdict.status in (Status.PASS, Status.FAIL)]


def figures(results: Sequence[CaseResult], group: str = "all") -> Figures:
    """The figures of one group of results of one adapter."""
    told = judged(results)
    scored = [(r.repetition, r.case.weight) for r in told if r.repetition is not None]
    ended = [a for r in told for a in r.attempts if a.finish_reason is not None]
    return Figures(
        group,
        len(results),
        sum(r.verdict.status is Status.ERROR for r in results),
        sum(r.verdict.status is Status.SKIP for r in results),
        bootstrap([v for v, _ in scored], [w for _, w in scored]),
        wilson(sum(r.verdict.repeater for r in told), len(told)),
        wilson(sum(r.verdict.status is Status.PASS for r in told), len(told)),
        wilson(sum(a.finish_reason != "stop" for a in ended), len(ended)),
        bootstrap([v for r in told if (v := _mean(r, "similarity")) is not None]),
        _rate(told, "missing_patterns"),
        _rate(told, "forbidden_patterns"),
    )


def grouped_figures(results: Sequence[CaseResult]) -> tuple[Figures, ...]:
    """Overall first, then every folder, tag and role in order of appearance; a case counts in each of its tags."""
    groups: dict[str, list[CaseResult]] = {}
    for result in results:
        case = result.case
        for name in (f"folder:{case.folder}", *(f"tag:{t}" for t in dict.fromkeys(case.tags)), f"role:{case.role}"):
            groups.setdefault(name, []).append(result)
    order = sorted(groups, key=lambda name: ("folder", "tag", "role").index(name.split(":")[0]))
    return (figures(results), *(figures(groups[name], name) for name in order))


def _mean(result: CaseResult, name: str) -> float | None:
    values = [a.scores.values[name] for a in result.attempts if a.scores is not None and name in a.scores.values]
    return sum(values) / len(values) if values else None


def _rate(results: Sequence[CaseResult], name: str) -> Interval:
    """Share of the answers whose score ``name`` is above 0, among those of cases that have such patterns."""
    found = [
        a.scores.values.get(name, 0.0)
        for r in results
        if (r.case.must_include if name == "missing_patterns" else r.case.must_not_include)
        for a in r.attempts
        if a.scores is not None
    ]
    return wilson(sum(v > 0 for v in found), len(found))
