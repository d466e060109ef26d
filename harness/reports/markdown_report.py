"""The short report for a CI job's summary or a comment on a pull request: verdict first, then what changed.

It names cases and reasons and leaves answers to the HTML report. Ids and reasons are untrusted and are written through
:func:`harness.safe.escape.for_markdown` only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from harness.judging.results import CaseResult, Status
from harness.reports.model import Report, as_score, as_share, cut_off_note, headline, pattern_figures, shortfall
from harness.reports.reasons import reason_line
from harness.safe.escape import for_markdown, shorten
from harness.suite.compare import CHANGE_ORDER, ROLES, Change, ChangeKind, changes
from harness.suite.figures import figures
from harness.suite.gate import GateOutcome
from harness.suite.same_answers import same_answers

__all__ = ["to_markdown"]

_GATE_SIGN = {GateOutcome.PASSED: "✅", GateOutcome.FAILED: "❌"}
_MAX_CASES = 20
"""Cases named per group; the rest are counted."""


def to_markdown(report: Report) -> str:
    """The summary as GitHub-flavoured Markdown."""
    return "\n".join(
        [
            *_verdict(report),
            "",
            *_figures(report),
            *_patterns(report),
            *_changes(report),
            *_failures(report),
            *_notes(report),
            *_footer(report),
        ]
    )


def _verdict(report: Report) -> Iterator[str]:
    if report.gate is not None:
        word = f"{_GATE_SIGN.get(report.gate.outcome, '❔')} Gate: {report.gate.outcome}"
    else:
        status = figures(report.after.results).status if report.after is not None else Status.SKIP
        word = {Status.PASS: "✅ Passed", Status.FAIL: "❌ Failed", Status.ERROR: "⚠️ Errors"}.get(
            status, "❔ Nothing judged"
        )
    yield f"## {word}"
    yield ""
    yield for_markdown(headline(report))
    if missing := shortfall(report):
        yield ""
        yield f"**{missing}.**"
    if report.gate is not None:
        yield ""
        yield for_markdown(shorten(report.gate.text, 300))
        for check in report.gate.checks:
            if not check.passed:
                yield f"- {for_markdown(check.title)}: {for_markdown(shorten(check.text, 200))}"


def _figures(report: Report) -> Iterator[str]:
    if not report.adapters:
        return
    yield "| adapter | repetition score | repeater rate | cut-off rate | pass | fail | error | skip |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for adapter in report.adapters:
        total = figures(adapter.results)
        counts = f"{total.passed} | {total.failed} | {total.errors} | {total.skipped}"
        estimates = (total.repetition.estimate, total.repeaters.estimate, total.cutoffs.estimate)
        rates = f"{as_score(estimates[0])} | {as_share(estimates[1])} | {as_share(estimates[2])}"
        yield f"| {for_markdown(adapter.name)} | {rates} | {counts} |"
    for adapter in report.adapters:
        total = figures(adapter.results)
        if total.passed_cut_off and not adapter.earlier:
            yield ""
            yield f"{for_markdown(adapter.name)}: {cut_off_note(total)}"


def _patterns(report: Report) -> Iterator[str]:
    groups = pattern_figures(report.after.results) if report.after is not None else ()
    if report.after is None or not groups:
        return
    yield ""
    yield f"| patterns on {for_markdown(report.after.name)} | lacks required | matches forbidden |"
    yield "|---|--:|--:|"
    for group in groups:
        rates = [
            f"{as_share(rate.estimate)} of {rate.n}" if rate.n else "-" for rate in (group.missing, group.forbidden)
        ]
        yield f"| {for_markdown(group.group.removeprefix('tag:'))} | {' | '.join(rates)} |"


def _notes(report: Report) -> Iterator[str]:
    results = report.after.results if report.after is not None else ()
    for title, notes in (
        ("Expected failures", [r for r in results if r.expected_failure]),
        ("Unexpected passes", [r for r in results if r.unexpected_pass]),
    ):
        lines = [f"{for_markdown(shorten(r.case.id, 120))}: {for_markdown(shorten(r.note, 200))}" for r in notes]
        if lines:
            yield from _group(title, lines, folded=False)
    if shared := [for_markdown(shorten(same.text, 200)) for same in same_answers(results)]:
        yield from _group("Same answers", shared, folded=False)


def _changes(report: Report) -> Iterator[str]:
    if report.before is None or report.after is None:
        return
    changed = changes(report.before.results, report.after.results)
    columns: tuple[ChangeKind, ...] = ("fixed", "still failing", "broken", "still passing", "not judged")
    yield ""
    yield f"| role | {' | '.join(columns)} |"
    yield "|---|--:|--:|--:|--:|--:|"
    for role in ROLES:
        count = Counter(c.kind for c in changed if c.result.case.role == role)
        if count:
            yield f"| {role} | {' | '.join(str(count[k]) for k in columns)} |"
    for kind in CHANGE_ORDER:
        mine = [c for c in changed if c.kind == kind]
        if mine and kind != "still passing":
            yield from _group(kind.capitalize(), [_changed(c) for c in mine], folded=kind in ("fixed", "still failing"))


def _changed(change: Change) -> str:
    role = "" if change.result.case.role == "fix" else f" ({change.result.case.role})"
    return f"{for_markdown(shorten(change.result.case.id, 120))}{role}{_reason(change.result)}"


def _failures(report: Report) -> Iterator[str]:
    if report.before is not None or report.after is None:
        return
    for status in (Status.FAIL, Status.ERROR, Status.SKIP):
        mine = [r for r in report.after.results if r.verdict.status is status and not r.expected_failure]
        lines = [f"{for_markdown(shorten(r.case.id, 120))}{_reason(r)}" for r in mine]
        if lines:
            yield from _group(str(status), lines, folded=status is Status.SKIP)


def _reason(result: CaseResult) -> str:
    if result.verdict.status is Status.PASS:
        return ""
    return f": {for_markdown(shorten(reason_line(result), 200))}"


def _group(title: str, lines: Sequence[str], *, folded: bool) -> Iterator[str]:
    shown: Iterable[str] = [f"- {line}" for line in lines[:_MAX_CASES]]
    rest = len(lines) - _MAX_CASES
    yield ""
    if folded:
        yield f"<details><summary><b>{title}</b> ({len(lines)})</summary>"
    else:
        yield f"**{title}** ({len(lines)})"
    yield ""
    yield from shown
    if rest > 0:
        yield f"- and {rest:,} more in the report"
    if folded:
        yield ""
        yield "</details>"


def _footer(report: Report) -> Iterator[str]:
    run = report.run
    engine = f", engine {for_markdown(f'{run.engine.name} {run.engine.version}')}" if run.engine is not None else ""
    model = f", model {for_markdown(run.model)}" if run.model else ""
    yield ""
    yield f"Run {for_markdown(run.id)}{model}{engine}. Answers side by side: report.html."
    yield ""
