"""The figures of a suite, overall and for each folder, tag and role, each with a confidence interval.

    repetition   weighted mean over cases of the clamped repetition excess, 0 (none) .. 1; bootstrap interval
    repeaters    share of the judged cases that fail on a repetition rule; Wilson interval
    passes       share of the judged cases that pass; Wilson interval
    cutoffs      share of the answers that did not end by themselves; Wilson interval
    similarity   mean over the cases with a standard answer; bootstrap interval
    missing      share of the answers that lack a ``must_include`` pattern of their case; Wilson interval
    forbidden    share of the answers that match a ``must_not_include`` pattern of their case; Wilson interval

By tag, ``missing`` and ``forbidden`` are the rates of what the patterns stand for: overreach, hallucination, red
flag missed. Only judged cases count, that is PASS or FAIL. An expected failure (``xfail``) counts in every rate: the
rates are measurements. An interval over nothing has ``n`` = 0, and its value is not a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.judging.results import CaseResult, Status
from harness.suite.once import once
from harness.suite.significance import Interval, bootstrap, wilson

__all__ = ["Figures", "cut_off", "figures", "grouped_figures", "judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one group of cases on one adapter."""

    group: str
    """``all``, ``folder:NAME``, ``tag:NAME`` or ``role:NAME``."""
    cases: int
    passed: int
    failed: int
    """Cases with the verdict FAIL, expected failures among them."""
    errors: int
    skipped: int
    expected_failures: int
    unexpected_passes: int
    repeating: int
    """Cases that fail on a repetition rule."""
    cutting_off: int
    """Cases with an answer that did not end by itself."""
    passed_cut_off: int
    """Passing cases with an answer that was cut off."""
    repetition: Interval
    repeaters: Interval
    passes: Interval
    cutoffs: Interval
    similarity: Interval
    missing: Interval
    forbidden: Interval

    @property
    def status(self) -> Status:
        """ERROR before FAIL before PASS; SKIP where no case was judged. An expected failure is no FAIL."""
        if self.errors:
            return Status.ERROR
        if self.failed > self.expected_failures:
            return Status.FAIL
        return Status.PASS if self.passed or self.failed else Status.SKIP

    def summary(self) -> Mapping[str, float | int | None]:
        """Counts and point estimates by name, for reports; None where nothing could be measured."""
        rates = {
            "repetition": self.repetition,
            "repeater_rate": self.repeaters,
            "cutoff_rate": self.cutoffs,
            "similarity": self.similarity,
            "missing_rate": self.missing,
            "forbidden_rate": self.forbidden,
        }
        counts = ("cases", "passed", "failed", "errors", "skipped", "expected_failures", "unexpected_passes")
        return {
            **{name: getattr(self, name) for name in counts},
            **{name: interval.estimate for name, interval in rates.items()},
        }


def judged(results: Sequence[CaseResult]) -> list[CaseResult]:
    """The results with the verdict PASS or FAIL."""
    return [r for r in results if r.verdict.status in (Status.PASS, Status.FAIL)]


def cut_off(result: CaseResult) -> bool:
    """Whether an answer of the case did not end by itself."""
    return any(a.finish_reason not in ("stop", None) for a in result.attempts)


def figures(results: Sequence[CaseResult], group: str = "all") -> Figures:
    """The figures of results of one adapter."""
    return once(results, f"figures {group}", lambda: _figures(results, group))


def _figures(results: Sequence[CaseResult], group: str) -> Figures:
    counted = judged(results)
    scored = [(r.repetition, r.case.weight) for r in counted if r.repetition is not None]
    answers = [a for r in counted for a in r.attempts if a.finish_reason is not None]
    status = {name: sum(r.verdict.status is name for r in results) for name in Status}
    repeating = sum(r.verdict.repeater for r in counted)
    return Figures(
        group=group,
        cases=len(results),
        passed=status[Status.PASS],
        failed=status[Status.FAIL],
        errors=status[Status.ERROR],
        skipped=status[Status.SKIP],
        expected_failures=sum(r.expected_failure for r in results),
        unexpected_passes=sum(r.unexpected_pass for r in results),
        repeating=repeating,
        cutting_off=sum(map(cut_off, counted)),
        passed_cut_off=sum(cut_off(r) for r in results if r.verdict.status is Status.PASS),
        repetition=bootstrap([v for v, _ in scored], [w for _, w in scored]),
        repeaters=wilson(repeating, len(counted)),
        passes=wilson(status[Status.PASS], len(counted)),
        cutoffs=wilson(sum(a.finish_reason != "stop" for a in answers), len(answers)),
        similarity=bootstrap([v for r in counted if (v := _mean(r, "similarity")) is not None]),
        missing=_rate(counted, "missing_patterns"),
        forbidden=_rate(counted, "forbidden_patterns"),
    )


def grouped_figures(results: Sequence[CaseResult]) -> tuple[Figures, ...]:
    """The figures of all cases first, then of each folder, tag and role; a case counts in each of its tags."""
    return once(results, "figures of every group", lambda: _grouped_figures(results))


def _grouped_figures(results: Sequence[CaseResult]) -> tuple[Figures, ...]:
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
    """Share of the answers whose score ``name`` is above 0, among the cases that have such patterns."""
    values = [
        a.scores.values.get(name, 0.0)
        for r in results
        if (r.case.must_include if name == "missing_patterns" else r.case.must_not_include)
        for a in r.attempts
        if a.scores is not None
    ]
    return wilson(sum(v > 0 for v in values), len(values))
