"""Changes one field of one record in a case file and leaves every other character as it is.

People keep case files under version control, so an edit from the page must be a diff of one line. JSON and JSONL are
changed in their text, at the place of the value; CSV in the text of the one cell; a workbook in the one cell, which
keeps styles and widths. The new text is read and compared before it replaces the file: exactly that field of exactly
that record may differ.

Not supported: Parquet files, lists in a table, a table without a column of that name.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from json.decoder import JSONDecodeError, JSONDecoder, scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import TypeAlias

from harness.cases.formats import read_records
from harness.cases.problems import Problems, show
from harness.cases.record import CaseRecord
from harness.errors import CaseFileError
from harness.safe.escape import for_utf8
from harness.safe.files import digest_file, locked, replace_with

__all__ = ["RecordPlace", "edit_record"]

_DECODER = JSONDecoder(strict=False)
_BLANK = re.compile(r"[ \t\n\r]*")
_BOM = "\ufeff"
Value: TypeAlias = "str | list[str] | None"
"""A field's new value; None removes the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlace:
    """Where a case is written."""

    path: Path
    index: int
    """Of the record in its file, from 0."""
    digest: str
    """sha256 of the file when the case was read."""


def edit_record(place: RecordPlace, field: str, value: Value) -> None:
    """Give ``field`` of a record a new value; None removes it.

    Raises:
        CaseFileError: the file has changed since it was read, its format cannot be edited, or it would not read back as
            the same records with that one change.
        StoreError: the file could not be written; it is as it was.
    """
    given = value if isinstance(value, list) else [value or ""]
    if any(for_utf8(text) != text for text in given):
        raise CaseFileError(f"{show(place.path)}: {field} holds half of a surrogate pair; type that character again")
    suffix = place.path.suffix.lower()
    if suffix not in _WRITERS:
        raise CaseFileError(f"{show(place.path)}: a {suffix} file cannot be edited here; convert it to JSON Lines")
    with locked(place.path):
        if digest_file(place.path) != place.digest:
            raise CaseFileError(f"{show(place.path)} has changed since it was read; reload the page and edit again")
        before = _values(place.path)

        def write(temporary: Path) -> None:
            _WRITERS[suffix](temporary, place, field, value)
            if not _only_that(before, _values(temporary), place.index, field, value):
                raise CaseFileError(f"{show(place.path)}: the change would alter other fields; edit the file by hand")

        replace_with(place.path, write)


def _values(path: Path) -> list[Mapping[str, object]]:
    problems = Problems()
    records: list[CaseRecord] = read_records(path, problems)
    problems.check()
    return [r.values if isinstance(r.values, Mapping) else {} for r in records]


def _only_that(
    before: list[Mapping[str, object]], after: list[Mapping[str, object]], index: int, field: str, value: Value
) -> bool:
    wanted = [dict(values) for values in before]
    if index >= len(wanted):
        return False
    wanted[index].pop(field, None)
    if value is not None:
        wanted[index][field] = value
    return wanted == [dict(values) for values in after]


def _in_text(edit: Callable[[str, RecordPlace, str, Value], str]) -> Callable[[Path, RecordPlace, str, Value], None]:
    """A writer that changes the text of the file, a byte order mark kept."""

    def write(temporary: Path, place: RecordPlace, field: str, value: Value) -> None:
        text = place.path.read_bytes().decode("utf-8")
        start = len(_BOM) if text.startswith(_BOM) else 0
        temporary.write_bytes((text[:start] + edit(text[start:], place, field, value)).encode("utf-8"))

    return write


# -- JSON ------------------------------------------------------------------------------------------------------------


def _edit_json(text: str, place: RecordPlace, field: str, value: Value) -> str:
    start = _skip(text, 0)
    if text[start : start + 1] != "[":
        raise CaseFileError(f"{show(place.path)}: expected a list of records; edit it by hand")
    at = start + 1
    for number in range(place.index + 1):
        begin = _skip(text, at)
        if number == place.index:
            return _edit_object(text, begin, place, field, value)
        _, end = _DECODER.raw_decode(text, begin)
        at = _skip(text, end) + 1
    raise CaseFileError(f"{show(place.path)} has no record {place.index + 1}; reload the page")


def _edit_jsonl(text: str, place: RecordPlace, field: str, value: Value) -> str:
    lines = text.split("\n")
    filled = [n for n, line in enumerate(lines) if line.strip()]
    if place.index >= len(filled):
        raise CaseFileError(f"{show(place.path)} has no record {place.index + 1}; reload the page")
    line = lines[filled[place.index]]
    lines[filled[place.index]] = _edit_object(line, _skip(line, 0), place, field, value, one_line=True)
    return "\n".join(lines)


def _edit_object(text: str, start: int, place: RecordPlace, field: str, value: Value, *, one_line: bool = False) -> str:
    try:
        members = list(_members(text, start))
    except (JSONDecodeError, IndexError) as error:
        raise CaseFileError(f"{show(place.path)}, record {place.index + 1}: not an object; edit it by hand") from error
    own = [n for n, m in enumerate(members) if m.name == field]
    if len(own) > 1:
        raise CaseFileError(f"{show(place.path)}, record {place.index + 1}: {field} is given twice; remove one")
    if not own:
        return text if value is None else _insert(text, members, field, value, one_line=one_line)
    member = members[own[0]]
    if value is None:
        return _remove(text, members, own[0])
    return text[: member.value] + _literal(value, text, member, one_line=one_line) + text[member.end :]


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    start: int
    """Of the name."""
    value: int
    end: int


def _members(text: str, start: int) -> Iterator[_Member]:
    """The members of the object at ``start``, with the places of their names and values."""
    if text[start] != "{":
        raise IndexError(start)
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, end = scanstring(text, at + 1, False)
        begin = _skip(text, _skip(text, end) + 1)
        _, stop = _DECODER.raw_decode(text, begin)
        yield _Member(name, at, begin, stop)
        at = _skip(text, stop)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _insert(text: str, members: list[_Member], field: str, value: Value, *, one_line: bool) -> str:
    last = members[-1]
    before = text[: last.start]
    # What stands before the last member's name is how this file separates members.
    blank = before[len(before.rstrip(" \t\r\n")) :]
    between = blank if members[1:] or "\n" in blank else " "
    colon = text[last.start : last.value]
    colon = colon[colon.rindex('"') + 1 :]
    added = f",{between}{json.dumps(field)}{colon}{_literal(value, text, last, one_line=one_line)}"
    return text[: last.end] + added + text[last.end :]


def _remove(text: str, members: list[_Member], at: int) -> str:
    if at + 1 < len(members):
        return text[: members[at].start] + text[members[at + 1].start :]
    if at:
        return text[: members[at - 1].end] + text[members[at].end :]
    return text[: members[at].start] + text[members[at].end :]


def _literal(value: object, text: str, near: _Member, *, one_line: bool) -> str:
    """The value as JSON in the manner of the file: escaped to ASCII where its neighbours are."""
    around = text[near.start : near.end]
    ascii_only = "\\u" in around and around.isascii()
    if isinstance(value, list) and value and not one_line:
        before = text[: near.start]
        indent = before[before.rfind("\n") + 1 :]
        if not indent.strip():
            step = "  " if "\t" not in indent else "\t"
            items = [json.dumps(item, ensure_ascii=ascii_only) for item in value]
            return "[\n" + ",\n".join(f"{indent}{step}{item}" for item in items) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=ascii_only)


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


# -- tables ----------------------------------------------------------------------------------------------------------


def _edit_csv(text: str, place: RecordPlace, field: str, value: Value) -> str:
    if isinstance(value, list):
        raise CaseFileError(f"{show(place.path)}: a list cannot be written into CSV here; convert it to JSON Lines")
    rows = [row for row in _csv_cells(text) if any(end > start for start, end in row)]
    names = [_cell(text, span) for span in rows[0]]
    column = _column(names, place, field)
    if place.index + 1 >= len(rows):
        raise CaseFileError(f"{show(place.path)} has no record {place.index + 1}; reload the page")
    start, end = rows[place.index + 1][column]
    buffer = io.StringIO(newline="")
    quoted = text[start:end].startswith('"')
    csv.writer(buffer, quoting=csv.QUOTE_ALL if quoted and value else csv.QUOTE_MINIMAL).writerow([value or ""])
    written = buffer.getvalue().removesuffix("\r\n")
    return text[:start] + ("" if not value else written) + text[end:]


def _csv_cells(text: str) -> Iterator[list[tuple[int, int]]]:
    """Rows of (start, end) of every cell of RFC 4180, quotes included."""
    row: list[tuple[int, int]] = []
    at = start = 0
    while at <= len(text):
        if at < len(text) and text[at] == '"' and at == start:
            at += 1
            while at < len(text) and (text[at] != '"' or text[at : at + 2] == '""'):
                at += 2 if text[at] == '"' else 1
            at += 1
        elif at == len(text) or text[at] in ",\n\r":
            row.append((start, at))
            if at == len(text) or text[at] != ",":
                yield row
                row = []
                at += text[at : at + 2] == "\r\n"
            at += 1
            start = at
            if at == len(text) and not row and text[at - 1 : at] in ("\n", "\r"):
                return
        else:
            at += 1


def _cell(text: str, span: tuple[int, int]) -> str:
    cell = text[span[0] : span[1]]
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def _column(names: list[str], place: RecordPlace, field: str) -> int:
    if field not in names:
        raise CaseFileError(f"{show(place.path)} has no column {field!r}; add one, or convert it to JSON Lines")
    return names.index(field)


def _edit_workbook(temporary: Path, place: RecordPlace, field: str, value: Value) -> None:
    if isinstance(value, list):
        raise CaseFileError(f"{show(place.path)}: a list cannot be written into a cell here; convert it to JSON Lines")
    import openpyxl

    book = openpyxl.load_workbook(place.path)
    sheet = next(s for s in book.worksheets if any(c.value not in (None, "") for row in s.iter_rows() for c in row))
    rows = [row for row in sheet.iter_rows() if any(c.value not in (None, "") for c in row)]
    column = _column([str(c.value) for c in rows[0]], place, field)
    cell = rows[place.index + 1][column]
    cell.value = value
    if value is not None:
        cell.data_type = "s"
    book.save(temporary)


_WRITERS: Mapping[str, Callable[[Path, RecordPlace, str, Value], None]] = {
    ".json": _in_text(_edit_json),
    ".jsonl": _in_text(_edit_jsonl),
    ".csv": _in_text(_edit_csv),
    ".xlsx": _edit_workbook,
}
