"""The short report for a CI job's summary, a comment, a chat or a mail: verdict first, then what changed.

It names cases and reasons and leaves answers to the HTML report. It reads the same whether somebody renders it or not:
everything from outside stands in code blocks, as lines and aligned columns, which every Markdown reader, Slack and a
plain mail show alike. In a code block nobody is mentioned, no issue is linked and no markup acts; what could end the
block is replaced by :func:`harness.safe.escape.for_code_block`.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.judging.results import CaseResult, Status
from harness.language import tr
from harness.reports.model import Report, as_score, as_share, cut_off_note, headline, pattern_figures, shortfall
from harness.reports.reasons import reason_line
from harness.safe.escape import for_code_block, shorten
from harness.suite.compare import CHANGE_ORDER, ROLES, Change, ChangeKind, changes
from harness.suite.figures import figures
from harness.suite.gate import GateOutcome
from harness.suite.same_answers import same_answers

__all__ = ["to_markdown"]

_GATE_SIGN = {GateOutcome.PASSED: "✅", GateOutcome.FAILED: "❌"}
_MAX_CASES = 20
"""Cases named per group; the rest are counted."""
_MAX_GOOD = 10
"""The same of groups that need no work."""
_WIDTH = 88
"""Characters of a line; a mail is read in columns."""
_SUITE_TITLES = {Status.PASS: "✅ Passed", Status.FAIL: "❌ Failed", Status.ERROR: "⚠️ Errors"}
_CHANGE_TITLES: Mapping[ChangeKind, str] = {
    "broken": "Broken", "fixed": "Fixed", "still failing": "Still failing", "not judged": "Not judged",
}  # fmt: skip
_KINDS: tuple[ChangeKind, ...] = ("fixed", "still failing", "broken", "still passing", "not judged")


def to_markdown(report: Report) -> str:
    """The summary: a heading, and code blocks under plain titles."""
    blocks = [*_verdict(report), *_changes(report), *_failures(report), *_notes(report), *_footer(report)]
    return "\n\n".join(blocks) + "\n"


def _verdict(report: Report) -> Iterator[str]:
    if report.gate is not None:
        outcome = tr(str(report.gate.outcome))
        word = tr("{sign} Gate: {outcome}", sign=_GATE_SIGN.get(report.gate.outcome, "❔"), outcome=outcome)
    else:
        status = figures(report.after.results).status if report.after is not None else Status.SKIP
        word = tr(_SUITE_TITLES.get(status, "❔ Nothing judged"))
    yield f"## {word}"
    lines = [*_wrapped(headline(report))]
    if missing := shortfall(report):
        lines += _wrapped(f"{missing}.")
    if report.gate is not None:
        lines += _wrapped(shorten(report.gate.text, 300))
        broken = (c for c in report.gate.checks if not c.passed and c.text not in report.gate.text)
        lines += [line for c in broken for line in _item(f"{c.title}: {shorten(c.text, 200)}")]
    yield _block(lines)
    if report.adapters:
        yield _block([*_figures(report), *_patterns(report)])


def _figures(report: Report) -> Iterator[str]:
    rows = []
    for adapter in report.adapters:
        total = figures(adapter.results)
        estimates = (total.repetition.estimate, total.repeaters.estimate, total.cutoffs.estimate)
        rates = (as_score(estimates[0]), as_share(estimates[1]), as_share(estimates[2]))
        counts = (total.passed, total.failed, total.errors, total.skipped)
        rows.append((adapter.name, *rates, *map(str, counts)))
    head = ("adapter", "repetition", "repeaters", "cut off", "pass", "fail", "error", "skip")
    yield from _table([tr(name) for name in head], rows)
    for adapter in report.adapters:
        total = figures(adapter.results)
        if total.passed_cut_off and not adapter.earlier:
            yield ""
            yield from _wrapped(f"{adapter.name}: {cut_off_note(total)}")


def _patterns(report: Report) -> Iterator[str]:
    groups = pattern_figures(report.after.results) if report.after is not None else ()
    if report.after is None or not groups:
        return
    rows = []
    for group in groups:
        rates = (
            tr("{share} of {n}", share=as_share(rate.estimate), n=rate.n) if rate.n else "-"
            for rate in (group.missing, group.forbidden)
        )
        rows.append((group.group.removeprefix("tag:"), *rates))
    head = tr("patterns on {adapter}", adapter=report.after.name)
    yield ""
    yield from _table((head, tr("lacks required"), tr("matches forbidden")), rows)


def _changes(report: Report) -> Iterator[str]:
    if report.before is None or report.after is None:
        return
    changed = changes(report.before.results, report.after.results)
    rows = []
    for role in ROLES:
        count = Counter(c.kind for c in changed if c.result.case.role == role)
        if count:
            rows.append((role, *(str(count[kind]) for kind in _KINDS)))
    yield _block(_table((tr("role"), *(tr(kind) for kind in _KINDS)), rows))
    for kind in CHANGE_ORDER:
        mine = [c for c in changed if c.kind == kind]
        if mine and kind != "still passing":
            most = _MAX_GOOD if kind in ("fixed", "still failing") else _MAX_CASES
            yield from _group(tr(_CHANGE_TITLES[kind]), [_changed(c) for c in mine], most)


def _changed(change: Change) -> list[str]:
    return _case(change.result, "" if change.kind == "fixed" else reason_line(change.result))


def _failures(report: Report) -> Iterator[str]:
    if report.before is not None or report.after is None:
        return
    for status in (Status.FAIL, Status.ERROR, Status.SKIP):
        mine = [r for r in report.after.results if r.verdict.status is status and not r.expected_failure]
        if mine:
            most = _MAX_GOOD if status is Status.SKIP else _MAX_CASES
            yield from _group(str(status), [_case(r, reason_line(r)) for r in mine], most)


def _notes(report: Report) -> Iterator[str]:
    results = report.after.results if report.after is not None else ()
    for title, notes in (
        (tr("Expected failures"), [r for r in results if r.expected_failure]),
        (tr("Unexpected passes"), [r for r in results if r.unexpected_pass]),
    ):
        if notes:
            yield from _group(title, [_case(r, reason_line(r)) for r in notes], _MAX_GOOD)
    if shared := same_answers(results):
        yield from _group(tr("Same answers"), [_item(shorten(same.text, 200)) for same in shared], _MAX_GOOD)


def _footer(report: Report) -> Iterator[str]:
    run = report.run
    facts = [tr("run {id}", id=run.id)]
    facts += [tr("model {name}", name=run.model)] if run.model else []
    facts += [tr("engine {name}", name=f"{run.engine.name} {run.engine.version}")] if run.engine is not None else []
    facts += [tr("answers imported from {files}", files=shorten(", ".join(run.imported), 200))] if run.imported else []
    yield _block([*_wrapped(", ".join(facts)), *_wrapped(tr("answers side by side: report.html"))])


# -- lines and blocks --------------------------------------------------------------------------------------------------


def _group(title: str, items: Sequence[Sequence[str]], most: int) -> Iterator[str]:
    """A title and a code block of the first items; the rest is counted."""
    yield f"{title} ({len(items)}):"
    lines = [line for item in items[:most] for line in item]
    if len(items) > most:
        lines += _item(tr("and {n} more in the report", n=f"{len(items) - most:,}"))
    yield _block(lines)


def _case(result: CaseResult, reason: str) -> list[str]:
    """A case by its id, and the reason below it."""
    case = result.case
    role = "" if case.role == "fix" else f" ({case.role})"
    return [*_item(f"{shorten(case.id, 120)}{role}"), *(_wrapped(shorten(reason, 240), "    ") if reason else ())]


def _item(text: str) -> list[str]:
    return _wrapped(text, "  ", first="- ")


def _wrapped(text: str, indent: str = "", first: str | None = None) -> list[str]:
    return textwrap.wrap(
        for_code_block(text), _WIDTH, initial_indent=indent if first is None else first, subsequent_indent=indent,
        break_on_hyphens=False,
    )  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns, the first to the left; wide characters count two columns."""
    cells = [[for_code_block(shorten(cell, 40)) for cell in row] for row in (head, *rows)]
    widths = [max(map(_columns, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        left = first + " " * (widths[0] - _columns(first))
        right = (" " * (width - _columns(cell)) + cell for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([left, *right]).rstrip())
    return lines


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _block(lines: Iterable[str]) -> str:
    return "\n".join(["```", *lines, "```"])
