"""The suite's verdict, on which a pipeline acts.

There are four outcomes, and only one is green. ``passed``: every limit was judged and kept. ``failed``: one was not.
``insufficient data``: too few cases. ``not judgeable``: there is nothing to judge by (no case, an interrupted run, a
case in ERROR, a missing baseline, a score that is not a number). Every comparison is a positive finite test, so NaN
never passes.

Against a baseline there are three questions, each tested at a third of ``alpha``. The same adapter, run twice with
sampling, therefore fails by chance in at most ``alpha`` of runs. Did single cases break (deterministic decoding: passed
before, fails now; sampling: an exact test on its samples, Bonferroni over the cases)? Did more cases break than were
fixed (McNemar, exact)? Did repetition rise (paired sign-flip, and the bootstrap interval above 0)? A test that could
not fail on so few cases is "insufficient data".

Without any limit and baseline, the limit is that no case fails; expected failures (``xfail``) do not count. Pure:
results in, verdict out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.judging.results import CaseResult, Status
from harness.language import tr
from harness.project.settings import Limits
from harness.suite.compare import Paired, pair_up
from harness.suite.figures import Figures, grouped_figures, judged
from harness.suite.significance import Interval, bootstrap, mcnemar, sign_flip

__all__ = ["GateCheck", "GateOutcome", "GateVerdict", "combine_gates", "judge_suite"]


class GateOutcome(StrEnum):
    """Only PASSED is green."""

    PASSED = "passed"
    FAILED = "failed"
    INSUFFICIENT = "insufficient data"
    NOT_JUDGEABLE = "not judgeable"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """One limit and its outcome."""

    name: str
    outcome: GateOutcome
    text: str
    """For people, one line."""
    value: float | None = None
    limit: float | None = None

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")

    @property
    def passed(self) -> bool:
        return self.outcome is GateOutcome.PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """The gate's outcome, every judged limit, and the figures behind them."""

    outcome: GateOutcome
    checks: tuple[GateCheck, ...]
    figures: tuple[Figures, ...] = ()
    """Overall first, then per folder, tag and role."""

    @property
    def passed(self) -> bool:
        return self.outcome is GateOutcome.PASSED

    @property
    def text(self) -> str:
        """One line: the outcome and the limits that decided it; of a pass, how many limits there are."""
        if self.passed:
            return tr("passed, {n} limits kept", n=len(self.checks))
        deciding = [c.text for c in self.checks if c.outcome is self.outcome]
        outcome = tr(self.outcome.value)
        return tr("{outcome}: {reasons}", outcome=outcome, reasons=tr("; ").join(deciding)) if deciding else outcome


def judge_suite(
    results: Sequence[CaseResult],
    limits: Limits,
    baseline: Sequence[CaseResult] | None,
    complete: bool,
    *,
    baseline_wanted: bool = False,
    suite_cases: int | None = None,
) -> GateVerdict:
    """Judge one adapter's results.

    Args:
        results: one per case.
        limits: what they are judged against.
        baseline: results of the adapter to compare with, on the same cases; None for no comparison.
        complete: whether the run came to its end with every planned case.
        suite_cases: number of cases of the whole suite; None where it is not known, and then nothing is said about it.
        baseline_wanted: that a comparison was asked for: without results to compare with, nothing is judged.
    """
    whole = grouped_figures(results)
    checks = _conditions(results, complete)
    cases = len({r.case.id for r in results})
    if suite_cases is not None and cases < suite_cases and not limits.allow_partial:
        text = tr("partial: {n} of {total} cases (to judge a part: --allow-partial)", n=cases, total=suite_cases)
        checks.append(_unjudged("suite", text))
    checks += _absolute(whole[0], limits)
    wanted = baseline_wanted or baseline is not None
    if wanted:
        checks += _relative(results, baseline or (), limits)
    if not wanted and all(x is None for x in (limits.max_repetition, limits.max_repeater_rate, limits.max_cutoff_rate)):
        failed = sum(r.failed for r in results)
        text = tr("failing cases: {n}, expected 0 (no other limit is set)", n=failed)
        checks.append(_check("failures", failed == 0, text, failed, 0))
    return GateVerdict(outcome=_worst(c.outcome for c in checks), checks=tuple(checks), figures=whole)


def combine_gates(gates: Mapping[str, GateVerdict]) -> GateVerdict:
    """One verdict over several adapters of a run: passed if, and only if, every one passed.

    Args:
        gates: by adapter; the checks of several carry its name.
    """
    if len(gates) == 1:
        return next(iter(gates.values()))
    checks = tuple(
        replace(check, name=f"{name} {check.name}", text=f"{name}: {check.text}")
        for name, gate in gates.items()
        for check in gate.checks
    )
    return GateVerdict(outcome=_worst(g.outcome for g in gates.values()), checks=checks)


def _worst(outcomes: Iterable[GateOutcome]) -> GateOutcome:
    """The outcome of several together; of none, there is nothing to judge by."""
    seen = set(outcomes)
    order = (GateOutcome.NOT_JUDGEABLE, GateOutcome.FAILED, GateOutcome.INSUFFICIENT, GateOutcome.PASSED)
    return next((outcome for outcome in order if outcome in seen), GateOutcome.NOT_JUDGEABLE)


def _check(name: str, good: bool, text: str, value: float | None = None, limit: float | None = None) -> GateCheck:
    return GateCheck(
        name=name, outcome=GateOutcome.PASSED if good else GateOutcome.FAILED, text=text, value=value, limit=limit
    )


def _unjudged(name: str, text: str) -> GateCheck:
    return GateCheck(name=name, outcome=GateOutcome.NOT_JUDGEABLE, text=text)


def _conditions(results: Sequence[CaseResult], complete: bool) -> list[GateCheck]:
    """Conditions of any judgement that do not hold."""
    conditions = []
    if not complete:
        conditions.append(_unjudged("complete", tr("the run did not come to its end")))
    if not judged(results):
        conditions.append(_unjudged("cases", tr("no case was judged")))
    errors = [r.case.id for r in results if r.verdict.status is Status.ERROR]
    if errors:
        text = tr("cases without a judgement: {n} ({names})", n=len(errors), names=_some(errors))
        conditions.append(_unjudged("errors", text))
    twice = [i for i, n in Counter(r.case.id for r in results).items() if n > 1]
    if twice:
        text = tr("results for one case more than once ({names})", names=_some(twice))
        conditions.append(_unjudged("cases", text))
    unscored = [r.case.id for r in judged(results) if not _finite(r)]
    if unscored:
        text = tr("cases without a finite repetition score: {n} ({names})", n=len(unscored), names=_some(unscored))
        conditions.append(_unjudged("scores", text))
    return conditions


def _finite(result: CaseResult) -> bool:
    score = result.repetition
    return score is not None and math.isfinite(score)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _absolute(all_cases: Figures, limits: Limits) -> list[GateCheck]:
    checks = []
    for name, what, interval, limit in (
        ("repetition", tr("repetition score"), all_cases.repetition, limits.max_repetition),
        ("repeater_rate", tr("repeater rate"), all_cases.repeaters, limits.max_repeater_rate),
        ("cutoff_rate", tr("cut-off rate"), all_cases.cutoffs, limits.max_cutoff_rate),
    ):
        if limit is not None:
            checks.append(_limit(name, what, interval, limit, limits))
    return checks


def _limit(name: str, what: str, interval: Interval, limit: float, limits: Limits) -> GateCheck:
    value = f"{interval.value:.4f} ({interval.low:.4f}..{interval.high:.4f}, n={interval.n})"
    text = tr("{what} {value}, expected <= {limit}", what=what, value=value, limit=f"{limit:g}")
    numbers = (interval.value, interval.low, interval.high, limit)
    if interval.n == 0 or not all(map(math.isfinite, numbers)):
        return GateCheck(
            name=name,
            outcome=GateOutcome.NOT_JUDGEABLE,
            text=tr("{what} is unknown, expected <= {limit}", what=what, limit=f"{limit:g}"),
            value=None,
            limit=limit,
        )
    if interval.n < limits.min_cases:
        outcome = GateOutcome.INSUFFICIENT
        text += tr("; at least {n} cases are needed", n=limits.min_cases)
    elif interval.value > limit and not (limits.strict and interval.low <= limit):
        outcome = GateOutcome.FAILED
    elif interval.value <= limit and not (limits.strict and interval.high > limit):
        outcome = GateOutcome.PASSED
    else:
        outcome = GateOutcome.INSUFFICIENT
        text += tr("; the interval crosses the limit")
    return GateCheck(name=name, outcome=outcome, text=text, value=interval.value, limit=limit)


def _relative(results: Sequence[CaseResult], baseline: Sequence[CaseResult], limits: Limits) -> list[GateCheck]:
    pairs = pair_up(baseline, results)
    decided = judged(results)
    if not pairs:
        return [_unjudged("baseline", tr("no case has a judged result of the baseline to compare with"))]
    if not all(_finite(r) for p in pairs for r in (p.before, p.after)):
        return [_unjudged("baseline", tr("a repetition score to compare with is not a number"))]
    if len(pairs) < limits.min_cases or 2 * len(pairs) < len(decided):
        text = tr("only {n} of {total} cases have a judged result of the baseline", n=len(pairs), total=len(decided))
        return [
            GateCheck(
                name="baseline", outcome=GateOutcome.INSUFFICIENT, text=text, value=len(pairs), limit=limits.min_cases
            )
        ]
    level = limits.alpha / 3
    return [*_regressions(pairs, limits, level), _balance(pairs, limits, level), _rise(pairs, level)]


def _regressions(pairs: Sequence[Paired], limits: Limits, level: float) -> list[GateCheck]:
    sampled = sum(p.sampled for p in pairs)
    sure = [p for p in pairs if p.drop <= level / max(1, sampled)]
    seen = sum(p.broken for p in pairs)
    allowed = limits.max_regressions or 0
    names = [p.after.case.id for p in sure]
    found = f"{len(sure)}"
    found += tr(", {n} more within chance", n=seen - len(sure)) if seen > len(sure) else ""
    text = tr("regressions: {n}, expected <= {limit}", n=found, limit=allowed) + (f" ({_some(names)})" if names else "")
    checks = [_check("regressions", len(sure) <= allowed, text, len(sure), allowed)]
    guards = [p.after.case.id for p in sure if p.after.case.role == "guard"]
    if any(p.after.case.role == "guard" for p in pairs):
        text = tr("broken guard cases: {n}, expected 0", n=len(guards)) + (f" ({_some(guards)})" if guards else "")
        checks.append(_check("guards", not guards, text, len(guards), 0))
    return checks


def _balance(pairs: Sequence[Paired], limits: Limits, level: float) -> GateCheck:
    broken = sum(p.broken for p in pairs)
    fixed = sum(p.fixed for p in pairs)
    p = mcnemar(broken, fixed)
    text = tr(
        "{broken} broken against {fixed} fixed of {n}: p = {p} by McNemar, expected > {level}",
        broken=broken, fixed=fixed, n=len(pairs), p=f"{p:.4f}", level=f"{level:.4f}",
    )  # fmt: skip
    # What --max-regressions allows needs no test; nor do verdicts that no chance decided and that no limit is broken
    # by.
    if broken <= (limits.max_regressions or 0):
        return _check("balance", True, text, p, level)
    if any(x.sampled for x in pairs) and mcnemar(len(pairs), 0) > level:
        return GateCheck(
            name="balance",
            outcome=GateOutcome.INSUFFICIENT,
            text=text + tr("; {n} cases are too few", n=len(pairs)),
            value=p,
            limit=level,
        )
    return _check("balance", p > level, text, p, level)


def _rise(pairs: Sequence[Paired], level: float) -> GateCheck:
    rises = [x.repetition for x in pairs]
    p = sign_flip(rises)
    interval = bootstrap(rises, confidence=1 - 2 * level)
    value = f"{interval.value:+.4f} ({interval.low:+.4f}..{interval.high:+.4f})"
    text = tr(
        "repetition score {value}: p = {p} by sign flips, expected > {level}",
        value=value, p=f"{p:.4f}", level=f"{level:.4f}",
    )  # fmt: skip
    worse = p <= level and interval.low > 0
    return _check("rise", not worse and math.isfinite(interval.value), text, interval.value, 0.0)
