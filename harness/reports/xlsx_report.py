"""The workbook: the columns that users have always had come first, so that their habits and scripts keep working.

Every text is written as text: a leading ``=`` never becomes a formula, not even after the cell is edited
(``quotePrefix``). Rows are streamed (openpyxl's write-only mode). The finished file is opened again before it replaces
the old one, so a damaged workbook never reaches a user. Not supported: row heights that fit, since an answer of 4,096
tokens would fill several screens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from harness.errors import ReportError
from harness.judging.results import Attempt, CaseResult
from harness.reports.model import Report, headline, shortfall
from harness.safe.escape import for_xlsx
from harness.safe.files import replace_with
from harness.suite.compare import changes
from harness.suite.figures import grouped_figures

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

__all__ = ["FIRST_COLUMNS", "check", "write_xlsx"]

FIRST_COLUMNS = ("adapter_name_or_path", "text", "response", "standard_answer")
"""What users' own scripts read, in this order."""

_CASE_COLUMNS = ("case_id", "folder", "role", "tags", "verdict", "reasons", "note")
_LAST_COLUMNS = ("finish_reason", "tokens", "seconds", "sample", "sample_verdict")
_SCORES_FIRST = ("repetition", "rep8", "rep8d", "loop_coverage", "similarity")
_WIDTHS = {
    "adapter_name_or_path": 24, "adapter": 24, "text": 38, "response": 64, "standard_answer": 48, "case_id": 26,
    "reasons": 44, "response before": 56, "response after": 56, "change": 14, "tags": 16,
}  # fmt: skip
_GREEN, _RED, _VIOLET, _YELLOW = "D8F3DC", "FFD9D6", "E9DAFB", "FFF0C2"
_FILLS = {
    "PASS": _GREEN, "FAIL": _RED, "ERROR": _VIOLET, "SKIP": _YELLOW,
    "fixed": _GREEN, "broken": _RED, "still failing": _YELLOW, "not judged": _VIOLET, "met": _GREEN, "not met": _RED,
}  # fmt: skip
_COLORED = frozenset({"verdict", "sample_verdict", "verdict before", "verdict after", "change"})
_ROW_HEIGHT = 92
"""Points: about six lines of text."""

Cell = str | float | int | None


def write_xlsx(report: Report, path: Path) -> Path:
    """Write the workbook to ``path``: sheets ``results``, ``summary`` and, for two adapters, ``comparison``.

    Raises:
        ReportError: the file that was written could not be read back.
        StoreError: it could not be written.
    """
    rows = [r for a in report.adapters for r in a.results]
    names = _score_names(rows)
    return replace_with(path, lambda temporary: _write(report, rows, names, temporary))


def _write(report: Report, results: Sequence[CaseResult], names: Sequence[str], path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    columns = (*FIRST_COLUMNS, *_CASE_COLUMNS, *names, *_LAST_COLUMNS)
    count = _sheet(book, "results", columns, _result_rows(results, names), height=_ROW_HEIGHT)
    _sheet(book, "summary", ("adapter", "group", *_FIGURES), _summary_rows(report), below=_fact_rows(report))
    if report.before is not None and report.after is not None:
        _sheet(book, "comparison", _COMPARISON, _comparison_rows(report), height=_ROW_HEIGHT)
    book.save(path)
    check(path, columns, count)


def check(path: Path, columns: Sequence[str], rows: int) -> None:
    """Read the file back: it opens, it has every row, and no cell is a formula or an error."""
    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True)
        rows_read = 0
        for sheet in book:
            for row in sheet.iter_rows():
                rows_read += sheet.title == "results"
                if any(cell.data_type in "fe" for cell in row):
                    raise ReportError(f"a cell of sheet {sheet.title} became a formula; the workbook was not written")
        first = next(book["results"].iter_rows(max_row=1, values_only=True))
        book.close()
    except (OSError, ValueError, KeyError, SyntaxError, BadZipFile) as error:
        raise ReportError(f"the workbook cannot be read back ({error}); the old one was kept") from error
    if rows_read != rows + 1 or tuple(first) != tuple(columns):
        raise ReportError(f"the workbook has {rows_read - 1} of {rows} rows when read back; the old one was kept")


def _sheet(
    book: Workbook,
    title: str,
    columns: Sequence[str],
    rows: Iterator[Sequence[Cell]],
    *,
    height: float | None = None,
    below: Iterable[Sequence[Cell]] = (),
) -> int:
    """One sheet with a header; returns its number of rows without the header and what stands below the table."""
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
    from openpyxl.utils import get_column_letter

    sheet: WriteOnlyWorksheet = book.create_sheet(title)
    sheet.freeze_panes = "B2"
    for index, name in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(index)].width = _WIDTHS.get(name, max(len(name) + 4, 11))
    head = {"font": Font(bold=True, color="FFFFFF"), "fill": PatternFill("solid", fgColor="3B4754"),
            "alignment": Alignment(vertical="center", wrap_text=True)}  # fmt: skip
    sheet.row_dimensions[1].height = 22
    sheet.append([_cell(sheet, name, head) for name in columns])
    line = Border(bottom=Side("hair", color="9AA4AF"))
    body: dict[str, Any] = {"alignment": Alignment(vertical="top", wrap_text=height is not None), "border": line}
    fills = {word: {**body, "fill": PatternFill("solid", fgColor=color)} for word, color in _FILLS.items()}
    count = 0
    for count, row in enumerate(rows, 1):
        if height is not None:
            sheet.row_dimensions[count + 1].height = height
        styles = [fills.get(str(v), body) if n in _COLORED else body for n, v in zip(columns, row, strict=True)]
        sheet.append([_cell(sheet, value, style) for value, style in zip(row, styles, strict=True)])
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{count + 1}"
    for row in below:
        sheet.append([_cell(sheet, value, fills.get(str(value), body)) for value in row])
    return count


def _cell(sheet: WriteOnlyWorksheet, value: Cell, style: dict[str, Any]) -> Any:
    """A cell that holds a number, nothing, or text that stays text."""
    from openpyxl.cell import WriteOnlyCell

    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    text = for_xlsx(value) if isinstance(value, str) else None
    cell = WriteOnlyCell(sheet, value if text is None else text)
    if text is not None:
        # openpyxl guesses formulas and error codes from the text; this is after the guess.
        cell.data_type = "s"
        cell.quotePrefix = text[:1] in ("=", "+", "-", "@")
    elif isinstance(value, float):
        cell.number_format = "0.000" if abs(value) < 10 else "#,##0.0"
    for name, part in style.items():
        setattr(cell, name, part)
    return cell


def _result_rows(results: Sequence[CaseResult], names: Sequence[str]) -> Iterator[Sequence[Cell]]:
    """A row for every answer; a case without one (the engine failed) has one row all the same."""
    for result in results:
        attempts: tuple[Attempt | None, ...] = result.attempts or (None,)
        for attempt in attempts:
            yield (*_first(result, attempt), *_case(result, attempt), *_scores(attempt, names), *_last(attempt))


def _first(result: CaseResult, attempt: Attempt | None) -> tuple[Cell, ...]:
    case = result.case
    prompt = case.prompt if len(case.messages) == 1 else "\n\n".join(f"[{m.role}] {m.content}" for m in case.messages)
    return result.adapter, prompt, attempt.answer if attempt is not None else None, case.standard_answer


def _case(result: CaseResult, attempt: Attempt | None) -> tuple[Cell, ...]:
    own = attempt.verdict.reasons if attempt is not None else ()
    reasons = "\n".join(f"{r.rule}: {r.text}" for r in dict.fromkeys((*result.verdict.reasons, *own)))
    case = result.case
    return (
        case.id,
        case.folder,
        case.role,
        ", ".join(case.tags),
        str(result.verdict.status),
        reasons,
        result.note or None,
    )


def _scores(attempt: Attempt | None, names: Sequence[str]) -> tuple[Cell, ...]:
    values = attempt.scores.values if attempt is not None and attempt.scores is not None else {}
    return tuple(values.get(name) for name in names)


def _last(attempt: Attempt | None) -> tuple[Cell, ...]:
    if attempt is None:
        return (None,) * len(_LAST_COLUMNS)
    return attempt.finish_reason, attempt.tokens, attempt.seconds, attempt.sample, str(attempt.verdict.status)


def _score_names(results: Sequence[CaseResult]) -> tuple[str, ...]:
    """Every score of any answer: the most used first, then the rest by name."""
    names = {n for r in results for a in r.attempts if a.scores is not None for n in a.scores.values}
    return (*(n for n in _SCORES_FIRST if n in names), *sorted(names - set(_SCORES_FIRST)))


_FIGURES = (
    "cases", "passed", "failed", "errors", "skipped", "expected_failures", "unexpected_passes", "repetition",
    "repeater_rate", "cutoff_rate", "similarity", "missing_rate", "forbidden_rate",
)  # fmt: skip


def _summary_rows(report: Report) -> Iterator[Sequence[Cell]]:
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
                             **run.machine, **run.versions, **run.settings}  # fmt: skip
    for name, value in facts.items():
        if value not in (None, ""):
            yield name, value if isinstance(value, str | int | float) else json.dumps(value, default=str)
    if report.training is not None:
        yield ()
        yield "training of", report.training.adapter
        yield from report.training.facts.items()


_COMPARISON = ("case_id", "role", "change", "verdict before", "verdict after", "repetition before", "repetition after",
               "text", "response before", "response after", "standard_answer")  # fmt: skip


def _comparison_rows(report: Report) -> Iterator[Sequence[Cell]]:
    if report.before is None or report.after is None:
        return
    for change in changes(report.before.results, report.after.results):
        case = change.result.case
        sides = (change.before, change.after)
        verdicts = [str(s.verdict.status) if s is not None else None for s in sides]
        repetition = [s.repetition if s is not None else None for s in sides]
        answers = [s.worst.answer if s is not None and s.worst is not None else None for s in sides]
        yield case.id, case.role, change.kind, *verdicts, *repetition, case.prompt, *answers, case.standard_answer
