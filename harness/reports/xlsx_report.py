"""The workbook: the columns that users have always had come first, so that their habits and scripts keep working.

Sheets: ``results`` (a row for every answer: verdict and reason in words, the scores that people use, loops marked in
the answer), ``changes`` (two adapters, case by case, what got worse first), ``summary`` (figures, gate, facts of the
run), ``scores`` (every inner score). The file is read back before it replaces the old one, so a damaged workbook never
reaches a user.

Trade-off: in runs of more than ``MAX_SCORED`` answers the sheet ``scores`` holds only the first ones that did not pass,
since a hundred scores for each of ten thousand answers take more time than all else. The JSON report has them all. With
more cases than that, ``changes`` leaves out those that still pass. Both sheets say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.judging.results import Attempt, CaseResult, Status
from harness.reports.answer import split_answer
from harness.reports.model import Report, headline, shortfall
from harness.reports.reasons import blamed_loops, reason_line
from harness.reports.workbook import Book, Cell, Column, Marked, Piece, Sheet, check_workbook, open_book
from harness.safe.files import replace_with
from harness.suite.compare import changes
from harness.suite.figures import grouped_figures

__all__ = ["FIRST_COLUMNS", "MAX_SCORED", "write_xlsx"]

FIRST_COLUMNS = ("adapter_name_or_path", "text", "response", "standard_answer")
"""What users' own scripts read, in this order."""
MAX_SCORED = 1_000
"""Answers up to which the workbook holds all inner scores, and cases up to which it lists every change."""

_SCORES_FIRST = ("repetition", "rep8", "loop_coverage", "similarity")
"""The scores that people use; the sheet ``scores`` has the others."""
_RESULT_COLUMNS = (
    *map(lambda name, width: Column(name=name, width=width), FIRST_COLUMNS, (15, 32, 58, 38)),
    Column(name="verdict", width=9, colored=True),
    Column(name="reason", width=38),
    *(Column(name=name, width=14) for name in _SCORES_FIRST),
    Column(name="tokens", width=9),
    Column(name="finish_reason", width=9),
    Column(name="seconds", width=9),
    Column(name="case_id", width=24),
    Column(name="folder", width=14),
    Column(name="role", width=9),
    Column(name="tags", width=14),
    Column(name="note", width=24),
    Column(name="sample", width=8),
    Column(name="sample_verdict", width=9, colored=True),
)
_PRINTED_RESULTS = 6
"""Columns of the sheet ``results`` that are printed, so that a page can be read: up to the reason."""
_CHANGE_COLUMNS = (
    Column(name="case_id", width=24), Column(name="role", width=9), Column(name="change", width=13, colored=True),
    Column(name="verdict before", width=9, colored=True), Column(name="verdict after", width=9, colored=True),
    Column(name="reason before", width=36), Column(name="reason after", width=36),
    Column(name="repetition before", width=11), Column(name="repetition after", width=11),
    Column(name="text", width=36), Column(name="response before", width=56), Column(name="response after", width=56),
    Column(name="standard_answer", width=40),
)  # fmt: skip
_PRINTED_CHANGES = 9
"""The same of the sheet ``changes``: up to the scores."""
_FIGURES = (
    "cases", "passed", "failed", "errors", "skipped", "expected_failures", "unexpected_passes", "repetition",
    "repeater_rate", "cutoff_rate", "similarity", "missing_rate", "forbidden_rate",
)  # fmt: skip
_ROW_HEIGHT = 92
"""Points: about six lines of text."""


def write_xlsx(report: Report, path: Path) -> Path:
    """Write the workbook to ``path``.

    Raises:
        ReportError: the file that was written could not be read back.
        StoreError: it could not be written.
    """
    return replace_with(path, lambda temporary: _write(report, temporary))


def _write(report: Report, path: Path) -> None:
    footer = f"{headline(report)}; run {report.run.id}"
    with open_book(path) as book:
        sheets = [_results(book, report, footer)]
        if report.before is not None and report.after is not None:
            sheets.append(_changes(book, report, footer))
        sheets += [_summary(book, report, footer), _scores(book, report, footer)]
    check_workbook(path, [sheet.written for sheet in sheets])


# -- results and changes -----------------------------------------------------------------------------------------------


def _results(book: Book, report: Report, footer: str) -> Sheet:
    """A row for every answer; a case without one (the engine failed) has one row all the same."""
    sheet = book.add_sheet("results", _RESULT_COLUMNS, height=_ROW_HEIGHT, footer=footer)
    for adapter in report.adapters:
        for result in adapter.results:
            reason = reason_line(result)
            for attempt in result.attempts or (None,):
                sheet.write(_result_row(result, attempt, reason))
    sheet.filter()
    sheet.print_columns(_PRINTED_RESULTS)
    return sheet


def _result_row(result: CaseResult, attempt: Attempt | None, reason: str) -> tuple[Cell, ...]:
    case = result.case
    prompt = case.prompt if len(case.messages) == 1 else "\n\n".join(f"[{m.role}] {m.content}" for m in case.messages)
    values = attempt.scores.values if attempt is not None and attempt.scores is not None else {}
    about: tuple[Cell, ...] = (None, None, None)
    sample: tuple[Cell, ...] = (None, None)
    if attempt is not None:
        about = (attempt.tokens, attempt.finish_reason, attempt.seconds)
        sample = (attempt.sample, str(attempt.verdict.status))
    return (
        result.adapter, prompt, _marked(attempt), case.standard_answer, str(result.verdict.status), reason,
        *(values.get(name) for name in _SCORES_FIRST), *about,
        case.id, case.folder, case.role, ", ".join(case.tags), result.note, *sample,
    )  # fmt: skip


def _changes(book: Book, report: Report, footer: str) -> Sheet:
    assert report.before is not None
    assert report.after is not None
    sheet = book.add_sheet("changes", _CHANGE_COLUMNS, height=_ROW_HEIGHT, footer=footer)
    every = changes(report.before.results, report.after.results)
    changed = [c for c in every if len(every) <= MAX_SCORED or c.kind != "still passing"]
    for change in changed:
        case = change.result.case
        sides = (change.before, change.after)
        sheet.write(
            (
                case.id, case.role, change.kind,
                *(str(s.verdict.status) if s is not None else None for s in sides),
                *(reason_line(s) if s is not None else None for s in sides),
                *(s.repetition if s is not None else None for s in sides),
                case.prompt, *(_marked(s.worst) if s is not None else None for s in sides), case.standard_answer,
            )
        )  # fmt: skip
    sheet.filter()
    if len(changed) < len(every):
        sheet.write(
            (f"{len(every) - len(changed):,} cases that still pass are not listed; the sheet results has them.",)
        )
    sheet.print_columns(_PRINTED_CHANGES)
    return sheet


def _marked(attempt: Attempt | None) -> Cell:
    """An answer with the loops marked that a broken rule is about."""
    if attempt is None:
        return None
    loops = blamed_loops(attempt)
    if not loops:
        return attempt.answer
    pieces: list[Piece] = []
    for part in split_answer(attempt.answer, loops, fold_over=len(attempt.answer) + 1):
        mark = part.kind if part.kind in ("first", "repeat") else "plain"
        pieces.append((mark, part.text))
    return Marked(attempt.answer, tuple(pieces))


# -- summary and scores ------------------------------------------------------------------------------------------------


def _summary(book: Book, report: Report, footer: str) -> Sheet:
    names = ("adapter", "group", *_FIGURES)
    widths = {"adapter": 22, "group": 22}
    columns = [
        Column(name=name, width=widths.get(name, max(len(name) + 2, 11)), colored=name == "group") for name in names
    ]
    sheet = book.add_sheet("summary", columns, footer=footer)
    for row in _figure_rows(report):
        sheet.write(row)
    table = sheet.rows
    for row in _fact_rows(report):
        sheet.write(row)
    sheet.filter(table)
    return sheet


def _figure_rows(report: Report) -> Iterator[Sequence[Cell]]:
    for adapter in report.adapters:
        for group in grouped_figures(adapter.results):
            summary = group.summary()
            yield adapter.name, group.group, *(summary[name] for name in _FIGURES)


def _fact_rows(report: Report) -> Iterator[Sequence[Cell]]:
    run = report.run
    yield ()
    yield "result", headline(report)
    if missing := shortfall(report):
        yield "incomplete", missing
    if report.gate is not None:
        yield "gate", str(report.gate.outcome), report.gate.text
        for check in report.gate.checks:
            yield check.title, str(check.outcome), check.text
    yield ()
    engine = f"{run.engine.name} {run.engine.version}" if run.engine is not None else None
    facts: dict[str, Any] = {"run": run.id, "command": run.command, "status": run.status, "started": run.started,
                             "finished": run.finished, "seconds": run.seconds, "model": run.model, "engine": engine,
                             "imported from": ", ".join(run.imported),
                             **run.machine, **run.versions, **run.settings}  # fmt: skip
    for name, value in facts.items():
        if value not in (None, ""):
            yield name, value if isinstance(value, str | int | float) else json.dumps(value, default=str)
    if report.training is not None:
        yield ()
        yield "training of", report.training.adapter
        yield from report.training.facts.items()


def _scores(book: Book, report: Report, footer: str) -> Sheet:
    """Every score of every answer, or in a large run of the first answers that did not pass."""
    every = [(r, a) for adapter in report.adapters for r in adapter.results for a in r.attempts if a.scores is not None]
    rows = every
    if len(every) > MAX_SCORED:
        rows = [(r, a) for r, a in every if a.verdict.status is not Status.PASS][:MAX_SCORED]
    names = _score_names(a for _, a in rows)
    first = (
        Column(name="adapter", width=14), Column(name="case_id", width=24), Column(name="sample", width=8),
        Column(name="verdict", width=9, colored=True), Column(name="rules", width=30),
    )  # fmt: skip
    columns = (*first, *(Column(name=name, width=max(len(name) + 2, 9)) for name in names))
    sheet = book.add_sheet("scores", columns, footer=footer)
    for result, attempt in rows:
        values: Mapping[str, float] = attempt.scores.values if attempt.scores is not None else {}
        rules = ", ".join(dict.fromkeys(r.rule for r in attempt.verdict.reasons))
        verdict = str(attempt.verdict.status)
        sheet.write((result.adapter, result.case.id, attempt.sample, verdict, rules, *map(values.get, names)))
    sheet.filter()
    if len(rows) < len(every):
        note = f"{len(rows):,} of {len(every):,} answers: the first that did not pass. The JSON report has all scores."
        sheet.write((note,))
    return sheet


def _score_names(attempts: Iterator[Attempt]) -> tuple[str, ...]:
    """Every score of any answer: the most used first, then the rest by name."""
    names = {n for a in attempts if a.scores is not None for n in a.scores.values}
    return (*(n for n in _SCORES_FIRST if n in names), *sorted(names - set(_SCORES_FIRST)))
