"""Case files that are tables, CSV and XLSX, read into the records that JSON would hold.

The first row names the fields; an empty cell is an absent field. What a cell cannot hold is written as text: tags
separated by ``;`` or ``,``, one regular expression a line, ``messages``, ``decoding`` and ``thresholds`` as JSON,
answers as one text or a JSON list. A cell is taken as it was typed or not at all: a number, a date or a formula in the
place of a text is refused, because what the spreadsheet shows is not what the cell holds.

A merged range gives its value to all its cells, as a reader of the sheet sees it.

Not supported: separators other than the comma, more than one sheet, more than 256 columns. Parquet files are read by
:mod:`harness.cases.parquet`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import warnings
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from harness.cases.problems import Problems, nearest, quote
from harness.cases.record import FIELDS, MAX_RECORDS, TOO_MANY, CaseRecord
from harness.cases.strictjson import MalformedJSON, Refused, parse

__all__ = ["cell_value", "check_columns", "csv_rows", "read_csv", "read_sheets", "read_xlsx"]

_JSON_FIELDS = ("messages", "decoding", "thresholds", "chat_template_kwargs")
_ANSWER_FIELDS = ("accepted_answers", "rejected_answers")
_LINE_FIELDS = ("must_include", "must_not_include")
_MAX_ROWS = 1_048_576
"""A spreadsheet's own limit; a file that names a row beyond it would otherwise be padded row by row up to there."""
_MAX_COLUMNS = 256
_XSTRING_ESCAPE = re.compile(r"_x[0-9A-Fa-f]{4}_")
_MERGE = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref=["']([A-Za-z0-9:$]+)["']""")
_MAX_MERGED_CELLS = 1_000_000
_SEPARATOR = re.compile(r"[;\t|]")


def read_csv(text: str, place: str, problems: Problems) -> list[CaseRecord]:
    """Records of a CSV file (RFC 4180, commas, double quotes)."""
    # Counted before any is kept: a million small records take ten times their text in memory.
    if text.count("\n") > MAX_RECORDS and sum(1 for _ in csv_rows(text, place, Problems())) > MAX_RECORDS + 1:
        problems.add(place, TOO_MANY)
        return []
    return _records(csv_rows(text, place, problems), "line", place, problems)


def read_xlsx(data: bytes, place: str, problems: Problems, largest: int) -> list[CaseRecord]:
    """Records of the one sheet of a workbook that holds anything; unpacked it may take ``largest`` bytes."""
    before = problems.count
    sheets = read_sheets(data, place, problems, largest)
    if problems.count > before:
        return []
    filled = [(title, rows) for title, rows in sheets if rows]
    if len(filled) > 1:
        names = ", ".join(quote(title) for title, _ in filled)
        problems.add(place, f"has {len(filled)} sheets with content ({names}); keep the one with the cases")
        return []
    return _records(iter(filled[0][1] if filled else []), "row", place, problems)


def read_sheets(
    data: bytes, place: str, problems: Problems, largest: int
) -> list[tuple[str, list[tuple[int, list[object]]]]]:
    """Name and rows of every sheet of a workbook; a row is its number and its cells, the last one not empty.

    A cell that is not what was typed, such as a formula, is :class:`~harness.cases.strictjson.Refused`.
    """
    problem = _archive_problem(data, largest)
    if problem:
        problems.add(place, problem)
        return []
    import openpyxl

    try:
        # It warns of styles and validations that it does not know; none of them is part of a case.
        with warnings.catch_warnings(action="ignore"):
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False)
            with contextlib.closing(book):
                return [(_title(sheet), _merged(list(_sheet_rows(sheet)), sheet, data)) for sheet in book.worksheets]
    # On a damaged workbook the reader raises anything: KeyError, ParseError, IndexError ...
    except Exception as error:  # noqa: BLE001
        problems.add(place, f"not a readable workbook: {type(error).__name__}: {str(error)[:200]}; save it again")
        return []


def _records(
    rows: Iterator[tuple[int, Sequence[object]]], unit: str, place: str, problems: Problems
) -> list[CaseRecord]:
    """Records of numbered rows, blank ones left out; the first row names the fields."""
    first = next(rows, None)
    if first is None:
        problems.add(place, "is empty; expected a first row that names the fields, e.g. text,standard_answer")
        return []
    columns = check_columns(first[1], f"{place}, {unit} {first[0]}", problems)
    if columns is None:
        return []
    records = []
    for number, (line, cells) in enumerate(rows, 1):
        if number > MAX_RECORDS:
            problems.add(place, TOO_MANY)
            return []
        where = f"{place}, record {number} ({unit} {line})"
        stray = [cell for cell in cells[len(columns) :] if cell is not None]
        if stray or (unit == "line" and len(cells) != len(columns)):
            problems.add(where, f"has {len(cells)} cells and the first row {len(columns)}; quote a text with commas")
            continue
        values = {name: cell for name, cell in zip(columns, cells, strict=False) if name and cell is not None}
        records.append(CaseRecord(where, {name: cell_value(name, cell) for name, cell in values.items()}))
    return records


def check_columns(cells: Sequence[object], place: str, problems: Problems) -> list[str] | None:
    """The fields that the columns hold, "" for a column that is wrong; None when there is no reading the rest."""
    before = problems.count
    names: list[str] = []
    for cell in cells:
        name = cell if isinstance(cell, str) else ""
        if not name:
            problems.add(place, f"column {len(names) + 1} has no name; name its field, or remove it")
        elif name not in FIELDS:
            hint = "separate columns by commas" if _SEPARATOR.search(name) else nearest(name, FIELDS)
            problems.add(place, f"unknown field {quote(name)}; {hint}")
        elif name in names:
            problems.add(place, f"field {name!r} has two columns; keep one")
        names.append(name if name in FIELDS and name not in names else "")
    if "text" in names or "messages" in names:
        return names
    if problems.count == before:
        problems.add(
            place, "no column 'text' (or 'messages'); the first row names the fields, e.g. text,standard_answer"
        )
    return None


def cell_value(name: str, cell: object) -> object:
    """A cell as JSON would have held it."""
    if isinstance(cell, str) and (name in _JSON_FIELDS or (name in _ANSWER_FIELDS and cell.startswith("["))):
        try:
            return parse(cell)
        except MalformedJSON as error:
            return Refused(f"not JSON at column {error.column}: {error}; write it as in a JSON file")
    if isinstance(cell, str) and name == "tags":
        return [tag.strip() for tag in re.split("[;,]", cell) if tag.strip()]
    if isinstance(cell, str) and name in _LINE_FIELDS:
        return [line.removesuffix("\r") for line in cell.split("\n") if line.strip()]
    if isinstance(cell, str) and name == "weight":
        try:
            return parse(cell)
        except MalformedJSON:
            return cell
    if name != "weight" and isinstance(cell, bool | int | float):
        return Refused("is a number or true/false; format the cell as text and type it again")
    return cell


def csv_rows(text: str, place: str, problems: Problems) -> Iterator[tuple[int, list[str | None]]]:
    """Rows of a CSV file with the lines they begin in, blank ones left out; an empty cell is None."""
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                problems.add(f"{place}, line {line}", f"not CSV: {error}; double the quotes inside a quoted text")
                return
            if row is None:
                return
            if any(row):
                yield line, [cell or None for cell in row]
    finally:
        # The limit is the whole process's, so it goes back.
        csv.field_size_limit(limit)


def _sheet_rows(sheet: Any) -> Iterator[tuple[int, list[object]]]:
    """The rows of a sheet that hold anything, with their numbers, without the empty cells at their ends."""
    # Some programs write a wrong extent, and cells beyond it would not be read.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(), 1):
        if number > _MAX_ROWS:
            raise ValueError(f"it has a row beyond {_MAX_ROWS}")
        if len(row) > _MAX_COLUMNS:
            raise ValueError(f"row {number} has a column beyond {_MAX_COLUMNS}")
        cells = [_cell(cell) for cell in row]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            yield number, cells


def _title(sheet: Any) -> str:
    """The sheet's name; a hidden one, which its user may have forgotten, says so."""
    return sheet.title if sheet.sheet_state == "visible" else f"{sheet.title}, hidden"


def _merged(rows: list[tuple[int, list[object]]], sheet: Any, data: bytes) -> list[tuple[int, list[object]]]:
    """The rows with the value of each merged range in all its cells, as a reader of the sheet sees it.

    Only rows that hold something of their own and columns that the first row names are filled, so a range over a
    million rows adds no record.
    """
    numbers = [number for number, _ in rows]
    filled = 0
    for left, top, right, bottom in _merged_ranges(sheet, data):
        first, end = bisect_left(numbers, top), bisect_right(numbers, bottom)
        source = rows[first][1] if first < len(rows) and numbers[first] == top else []
        value = source[left - 1] if left <= len(source) else None
        if value is None:
            continue
        last = min(right, len(rows[0][1]))
        filled += (end - first) * (last - left + 1)
        if filled > _MAX_MERGED_CELLS:
            raise ValueError("its merged ranges hold too many cells; unmerge them")
        for _, cells in rows[first:end]:
            cells += [None] * (last - len(cells))
            cells[left - 1 : last] = [value] * (last - left + 1)
    return rows


def _merged_ranges(sheet: Any, data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right and bottom of every merged range, from 1; the streaming reader leaves them out."""
    from openpyxl.utils.cell import range_boundaries

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # The attribute is openpyxl's own; there is no other way from a sheet to its part of the archive.
        part = archive.read(sheet._worksheet_path.lstrip("/"))
    for match in _MERGE.finditer(part):
        left, top, right, bottom = range_boundaries(match[1].decode("ascii"))
        yield int(left or 1), int(top or 1), int(right or _MAX_COLUMNS), int(bottom or _MAX_ROWS)


def _cell(cell: Any) -> object:
    value = cell.value
    if value is None or value == "":
        return None
    if cell.data_type == "f":
        return Refused("is a formula; paste its result as text (or format the cell as text)")
    if cell.data_type == "e":
        return Refused(f"is the spreadsheet's error {quote(value)}; write the text itself")
    if isinstance(value, str):
        escape = _XSTRING_ESCAPE.search(value)
        if escape is None:
            return value
        # The reader has already dropped what distinguishes an escaped control character from the seven characters.
        return Refused(f"holds {escape[0]!r}, a spreadsheet's way to hide a control character; remove it, or use JSONL")
    if isinstance(value, bool | int | float):
        return value
    return Refused("is a date or time; format the cell as text and type it again")


def _archive_problem(data: bytes, largest: int) -> str | None:
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        return "is an old .xls or has a password; save it as .xlsx without one"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "is not an .xlsx workbook; save it as .xlsx, or give it the suffix of its real format"
    if size > largest:
        return f"is larger than {largest // 2**20} MiB when unpacked; split it over several folders"
    return None
