"""Writes workbooks in which every text stays a text, as a stream, with XlsxWriter.

XlsxWriter streams rows (``constant_memory``), is several times as fast as openpyxl, and writes text of several colours.
Three properties of it matter for hostile text, and are dealt with here:

- It guesses formulas, links and numbers in strings; all three guesses are off. A text that looks like a formula is also
  quoted in its style, so that it stays text when somebody edits the cell.
- A plain string that begins with ``<r>`` and ends with ``</r>`` is copied into the file as markup. Such a text is
  written in two pieces, which are escaped.
- It escapes ``_x000D_``, which spreadsheets read as a character, in plain strings once and in others twice. Such a text
  is cut between the two signs that make the escape, so nothing needs one.

Every finished file is read back before it replaces an old one (:func:`check_workbook`).

Not supported: row heights that fit, since an answer of 4,096 tokens would fill several screens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.parsers.expat import ExpatError, ParserCreate
from zipfile import BadZipFile, ZipFile

from harness.errors import ReportError
from harness.safe.escape import for_xlsx
from harness.safe.files import scratch_folder

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

__all__ = ["Book", "Cell", "Column", "Marked", "Piece", "check_workbook", "open_book"]

Mark = Literal["plain", "first", "repeat"]
Piece = tuple[Mark, str]
"""A stretch of a text: ``plain``, the ``first`` copy of a loop, or what ``repeat``\\ s it."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A text whose loops are marked; the pieces are the text, in order."""

    text: str
    pieces: tuple[Piece, ...]


Cell = str | float | int | None | Marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a sheet."""

    name: str
    width: float = 11
    colored: bool = False
    """Whether a known word in it colours the cell."""


_GREEN, _RED, _VIOLET, _YELLOW = "D8F3DC", "FFD9D6", "E9DAFB", "FFF0C2"
_FILLS: Mapping[str, str] = {
    "PASS": _GREEN, "FAIL": _RED, "ERROR": _VIOLET, "SKIP": _YELLOW,
    "fixed": _GREEN, "broken": _RED, "still failing": _YELLOW, "not judged": _VIOLET,
    "passed": _GREEN, "failed": _RED, "insufficient data": _YELLOW, "not judgeable": _VIOLET,
}  # fmt: skip
_HEAD = {"bold": True, "font_color": "FFFFFF", "bg_color": "3B4754", "valign": "vcenter", "text_wrap": True}
_BODY = {"valign": "top", "bottom": 4, "bottom_color": "9AA4AF"}
_MARKS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "first": {"bold": True, "font_color": "9C5700"},
    "repeat": {"bold": True, "font_color": "C00000"},
}
"""Bold is the signal where colours do not print."""
_NUMBER = {"align": "right", "indent": 1}
"""A number does not touch the text to its right."""
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "": {}, "quoted": {"quote_prefix": True}, "whole": _NUMBER,
    "small": {**_NUMBER, "num_format": "0.000"}, "large": {**_NUMBER, "num_format": "#,##0.0"},
}  # fmt: skip
_FORMULA_SIGNS = ("=", "+", "-", "@")
_ESCAPED = re.compile(r"(?<=_)(?=x[0-9A-Fa-f]{1,8}_)")
"""The standard's escapes have four digits; LibreOffice also reads shorter ones of control characters."""
_ESCAPED_BY_FOR_XLSX = "_x005F_"


class Book:
    """A workbook that is being written; see :func:`open_book`."""

    def __init__(self, path: Path, rows: Path) -> None:
        """``rows``: folder for the rows that are written and not yet in the file."""
        from xlsxwriter import Workbook

        # In memory, since an archive that a full disk cuts off would still be written to when it is collected.
        self._bytes = BytesIO()
        self._path = path
        guesses = dict.fromkeys(("strings_to_formulas", "strings_to_urls", "strings_to_numbers"), False)
        self._book = Workbook(self._bytes, {"constant_memory": True, "tmpdir": str(rows), **guesses})
        self._formats: dict[tuple[tuple[str, Any], ...], Format] = {}
        self._safe: dict[str, str] = {}

    def add_sheet(
        self, title: str, columns: Sequence[Column], *, height: float | None = None, footer: str = ""
    ) -> Sheet:
        """A new sheet with a header that stays in sight and on every printed page.

        Args:
            title: of the tab; a plain word.
            columns: in order.
            height: of every row, in points; texts are wrapped then.
            footer: text at the foot of printed pages.
        """
        return Sheet(self, self._book.add_worksheet(title), columns, height, footer)

    def style(self, **properties: Any) -> Format:
        """The format with these properties, made once."""
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            self._formats[key] = self._book.add_format(dict(properties))
        return self._formats[key]

    def safe(self, text: str) -> str:
        """The text for a cell. Prompts and answers stand in several places and are long, so it is made once."""
        safe = self._safe.get(text)
        if safe is None:
            made = for_xlsx(text)
            # The same object where nothing changed: the cache then holds no text of its own.
            safe = self._safe[text] = text if made == text else made
        return safe

    def close(self) -> None:
        """Write the file."""
        self._book.close()
        self._path.write_bytes(self._bytes.getbuffer())


class Sheet:
    """One sheet; rows are written from top to bottom."""

    def __init__(
        self, book: Book, sheet: Worksheet, columns: Sequence[Column], height: float | None, footer: str
    ) -> None:
        self._book = book
        self._sheet = sheet
        self._columns = columns
        self._height = height
        self._body = {**_BODY, "text_wrap": True} if height is not None else _BODY
        self._styles: dict[tuple[str | None, str], Format] = {}
        self.rows = 0
        """Rows below the header."""
        self.written = 1
        """Rows of the file: the header, and every row that is not empty."""
        sheet.freeze_panes(1, 1)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
        # "&" begins a field code there.
        sheet.set_footer(f"&L{for_xlsx(footer).replace('&', '&&')[:200]}&R&P / &N")
        for index, column in enumerate(columns):
            sheet.set_column(index, index, column.width)
        sheet.set_row(0, 32)
        head = book.style(**_HEAD)
        for index, column in enumerate(columns):
            sheet.write_string(0, index, book.safe(column.name), head)

    def write(self, cells: Sequence[Cell]) -> None:
        """Write the next row; fewer cells than columns are allowed, and none make an empty row."""
        self.rows += 1
        if all(cell is None or cell == "" for cell in cells):
            return
        self.written += 1
        # Cells without content have the row's line.
        self._sheet.set_row(self.rows, self._height, self._style(None))
        for index, cell in enumerate(cells):
            colored = index < len(self._columns) and self._columns[index].colored
            fill = _FILLS.get(cell) if colored and isinstance(cell, str) else None
            self._write(index, cell, fill)

    def filter(self, rows: int | None = None) -> None:
        """Let every column of the table be filtered.

        Args:
            rows: of the table; None for all that were written.
        """
        self._sheet.autofilter(0, 0, self.rows if rows is None else rows, len(self._columns) - 1)

    def print_columns(self, last: int) -> None:
        """Print the first ``last`` columns only."""
        self._sheet.print_area(0, 0, max(self.rows, 1), last - 1)

    def _write(self, index: int, cell: Cell, fill: str | None) -> None:
        if isinstance(cell, Marked):
            self._pieces(index, self._fitting(cell), fill)
        elif cell is None or cell == "":
            pass
        elif isinstance(cell, str):
            self._text(index, cell, fill)
        elif isinstance(cell, float) and not math.isfinite(cell):
            self._text(index, str(cell), fill)
        else:
            kind = "whole" if cell == int(cell) else "small" if abs(cell) < 10 else "large"
            self._sheet.write_number(self.rows, index, cell, self._style(fill, kind))

    def _text(self, index: int, text: str, fill: str | None) -> None:
        safe = self._book.safe(text)
        if safe.startswith("<r>") or ("_x" in safe and _ESCAPED.search(safe)):
            self._pieces(index, [("plain", _unescaped(safe))], fill)
        else:
            self._string(index, safe, fill)

    def _string(self, index: int, text: str, fill: str | None) -> None:
        self._sheet.write_string(self.rows, index, text, self._style(fill, _quoting(text)))

    def _pieces(self, index: int, pieces: Sequence[Piece], fill: str | None) -> None:
        """A text in pieces, each with its mark and none of them an escape by itself."""
        whole = "".join(text for _, text in pieces)
        if "_x" in whole:
            pieces = [(mark, part) for mark, text in pieces for part in _ESCAPED.split(text)]
        pieces = [(mark, text) for mark, text in pieces if text]
        if len(pieces) == 1 and len(whole) > 1:
            # XlsxWriter takes two pieces or more.
            mark, _ = pieces[0]
            pieces = [(mark, whole[:1]), (mark, whole[1:])]
        if len(pieces) < 2:
            self._string(index, whole, fill)
            return
        parts = [x for mark, text in pieces for x in (self._book.style(**_MARKS[mark]), text)]
        self._sheet.write_rich_string(self.rows, index, *parts, self._style(fill, _quoting(whole)))

    def _fitting(self, marked: Marked) -> Sequence[Piece]:
        """The pieces as a cell may hold them; what was changed or cut on the way stands unmarked at the end."""
        safe = self._book.safe(marked.text)
        if safe is marked.text:
            return marked.pieces
        safe = _unescaped(safe)
        pieces = [(mark, _unescaped(for_xlsx(text))) for mark, text in marked.pieces]
        kept = _alike("".join(text for _, text in pieces), safe)
        fitting: list[Piece] = []
        for mark, text in pieces:
            fitting.append((mark, text[:kept]))
            kept = max(kept - len(text), 0)
        rest = safe[sum(len(text) for _, text in fitting) :]
        return [*fitting, ("plain", rest)]

    def _style(self, fill: str | None, kind: str = "") -> Format:
        """The format of a cell of this colour and kind."""
        style = self._styles.get((fill, kind))
        if style is None:
            color = {} if fill is None else {"bg_color": fill}
            style = self._styles[fill, kind] = self._book.style(**self._body, **color, **_KINDS[kind])
        return style


@contextmanager
def open_book(path: Path) -> Iterator[Book]:
    """A new workbook at ``path``, which is written at the end.

    Raises:
        ReportError: it could not be written.
    """
    from xlsxwriter.exceptions import XlsxWriterException

    try:
        with scratch_folder(path.parent) as rows:
            book = Book(path, rows)
            yield book
            book.close()
    except XlsxWriterException as error:
        raise ReportError(f"the workbook could not be written: {error}") from error


def check_workbook(path: Path, rows: Sequence[int]) -> None:
    """Read the file back: every part is whole, every sheet has its rows, and no cell is a formula or an error.

    Args:
        path: the workbook.
        rows: number of rows of each sheet (:attr:`Sheet.written`).

    Raises:
        ReportError: it is not as it should be.
    """
    sheets = [f"xl/worksheets/sheet{number}.xml" for number in range(1, len(rows) + 1)]
    try:
        with ZipFile(path) as archive:
            for name in archive.namelist():
                if name not in sheets:
                    archive.read(name)
            counts = [_count_rows(archive, name) for name in sheets]
    except (OSError, ValueError, KeyError, ExpatError, BadZipFile) as error:
        raise ReportError(f"the workbook cannot be read back ({error}); the old one was kept") from error
    if counts != list(rows):
        raise ReportError(f"the sheets of the workbook have {counts} of {list(rows)} rows; the old one was kept")


def _count_rows(archive: ZipFile, name: str) -> int:
    """Rows of a sheet.

    Raises:
        ValueError: a cell is a formula or an error.
    """
    count = 0

    def start(element: str, attributes: Mapping[str, str]) -> None:
        nonlocal count
        if element == "row":
            count += 1
        elif element == "f" or (element == "c" and attributes.get("t") == "e"):
            raise ValueError("a cell became a formula or an error")

    parser = ParserCreate()
    parser.StartElementHandler = start
    with archive.open(name) as file:
        parser.ParseFile(file)
    return count


def _quoting(text: str) -> str:
    return "quoted" if text.startswith(_FORMULA_SIGNS) else ""


def _unescaped(safe: str) -> str:
    """The text of :func:`for_xlsx` without its escapes of escapes, which the cuts between pieces replace."""
    return safe.replace(_ESCAPED_BY_FOR_XLSX, "_")


def _alike(one: str, other: str) -> int:
    """Characters with which both texts begin."""
    length = min(len(one), len(other))
    return next((n for n in range(length) if one[n] != other[n]), length)
