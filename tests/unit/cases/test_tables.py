"""Tables hold cases only as they were typed: what a spreadsheet computes, formats or hides is refused."""

from __future__ import annotations

import csv
import datetime
import io
import random
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cases import read_file
from harness.cases import tables as case_tables
from harness.errors import CaseFileError
from tests.support.casefiles import book, put, refusal


def test_an_empty_cell_is_an_absent_field(tmp_path: Path) -> None:
    """A table cannot leave a field out otherwise."""
    path = put(tmp_path, "b/test.csv", "id,text,standard_answer,role,tags\na,Hi,,,\n")

    (case,) = read_file(path)

    assert (case.standard_answer, case.role, case.tags) == (None, "fix", ())


def test_blank_rows_are_no_records(tmp_path: Path) -> None:
    """Blank rows are skipped, and a row's number counts them."""
    path = put(tmp_path, "b/test.xlsx", book(["text"], [], ["a"], [None], ["  "]))

    (line,) = refusal(lambda: read_file(path))

    assert "record 2 (row 5), field 'text': is empty" in line


def test_a_csv_record_is_named_by_its_first_line(tmp_path: Path) -> None:
    """A quoted text of several lines does not shift the numbers of the rows after it."""
    path = put(tmp_path, "b/test.csv", 'text,role\n"a\n\nb",fix\nc,fixx\n')

    (line,) = refusal(lambda: read_file(path))

    assert "record 2 (line 5), field 'role': is 'fixx'; did you mean 'fix'?" in line


def test_a_long_csv_text_is_read(tmp_path: Path) -> None:
    """A text beyond the csv module's own limit is read, and the process's limit is as before."""
    before = csv.field_size_limit()
    text = "x" * 200_000

    (case,) = read_file(put(tmp_path, "b/test.csv", f"text\n{text}\n"))

    assert case.prompt == text
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        pytest.param("a;b", ("a", "b"), id="semicolon"),
        pytest.param('"a, b"', ("a", "b"), id="comma"),
        pytest.param("a ;b;", ("a", "b"), id="at-the-end"),
        pytest.param("two words", ("two words",), id="one"),
    ],
)
def test_tags_of_a_cell_are_separated(tmp_path: Path, cell: str, tags: tuple[str, ...]) -> None:
    """Tags in a cell are separated by semicolons or commas."""
    assert read_file(put(tmp_path, "b/test.csv", f"text,tags\nHi,{cell}\n"))[0].tags == tags


@pytest.mark.parametrize(
    ("column", "cell", "parts"),
    [
        pytest.param("weight", "heavy", ["'weight'", "is a string; expected a number above 0"], id="weight-word"),
        pytest.param("weight", "1e999", ["'weight'", "too large"], id="weight-infinite"),
        pytest.param("weight", "true", ["'weight'", "is true or false"], id="weight-true"),
        pytest.param("decoding", "max_tokens=5", ["'decoding'", "not JSON at column 1"], id="decoding-no-json"),
        pytest.param("decoding", "5", ["'decoding'", "is a number; expected an object"], id="decoding-number"),
        pytest.param("messages", "[", ["'messages'", "not JSON at column"], id="messages-no-json"),
    ],
)
def test_a_cell_that_is_not_its_field_is_refused(tmp_path: Path, column: str, cell: str, parts: list[str]) -> None:
    """The error names record, row and field."""
    text = "" if column == "messages" else "Hi"
    path = put(tmp_path, "b/test.csv", f"text,{column}\n{text},{cell}\n")

    (line,) = refusal(lambda: read_file(path))

    for part in ["record 1 (line 2)", *parts]:
        assert part in line


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        pytest.param(42, "is a number or true/false; format the cell as text", id="whole-number"),
        pytest.param(0.5, "is a number or true/false; format the cell as text", id="fraction"),
        pytest.param(True, "is a number or true/false; format the cell as text", id="boolean"),
        pytest.param(datetime.datetime(2024, 5, 1), "is a date or time; format the cell as text", id="date"),
        pytest.param("=1+1", "is a formula; paste its result", id="formula"),
        pytest.param("#N/A", "is the spreadsheet's error '#N/A'", id="error"),
        pytest.param("a_x000D_b", "holds '_x000D_'", id="hidden-control"),
    ],
)
def test_a_cell_that_is_no_text_is_refused(tmp_path: Path, cell: object, part: str) -> None:
    """What the spreadsheet would have to translate into a text is not translated."""
    path = put(tmp_path, "b/test.xlsx", book(["text", "standard_answer"], ["Hi", cell]))

    (line,) = refusal(lambda: read_file(path))

    assert f"{path}, record 1 (row 2), field 'standard_answer': {part}" in line


def test_a_weight_may_be_a_number_cell(tmp_path: Path) -> None:
    """A weight is a number, so a number cell is what it should be."""
    assert read_file(put(tmp_path, "b/test.xlsx", book(["text", "weight"], ["Hi", 2.5])))[0].weight == 2.5


def test_empty_sheets_do_not_matter(tmp_path: Path) -> None:
    """The one sheet with content holds the cases, wherever it stands."""
    data = book(sheets={"Sheet1": [], "Cases": [["text"], ["Hi"]], "Sheet3": [[None]]})

    assert [case.prompt for case in read_file(put(tmp_path, "b/test.xlsx", data))] == ["Hi"]


def test_two_sheets_with_content_are_refused(tmp_path: Path) -> None:
    """Which of two sheets is meant is not guessed."""
    data = book(sheets={"One": [["text"], ["Hi"]], "Two": [["text"], ["Ho"]]})

    (line,) = refusal(lambda: read_file(put(tmp_path, "b/test.xlsx", data)))

    assert "has 2 sheets with content ('One', 'Two'); keep the one with the cases" in line


def test_an_empty_workbook_is_refused(tmp_path: Path) -> None:
    """A workbook without any content holds no case."""
    (line,) = refusal(lambda: read_file(put(tmp_path, "b/test.xlsx", book())))

    assert "is empty; expected a first row that names the fields" in line


def test_a_cell_beyond_the_named_columns_is_refused(tmp_path: Path) -> None:
    """A stray cell is content that would be lost."""
    (line,) = refusal(lambda: read_file(put(tmp_path, "b/test.xlsx", book(["text"], ["Hi", None, "stray"]))))

    assert "record 1 (row 2): has 3 cells and the first row 1" in line


def changed(change: Callable[[str, bytes], bytes | None]) -> bytes:
    """A good workbook with its parts changed, or left out where ``change`` gives None."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book(["text"], ["Hi"]))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = change(name, old.read(name))
            if part is not None:
                new.writestr(name, part)
    return out.getvalue()


ENTITIES = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"ha") for n in range(10))
BOMB = b'<?xml version="1.0"?><!DOCTYPE sst [' + ENTITIES + b"]><sst>&e9;</sst>"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(lambda n, d: None if n.endswith("workbook.xml") else d), id="no-workbook"),
        pytest.param(changed(lambda n, d: None if "Content_Types" in n else d), id="no-content-types"),
        pytest.param(changed(lambda n, d: d[:-20] if "sheet1" in n else d), id="sheet-cut-off"),
        pytest.param(changed(lambda n, d: b"" if "sheet1" in n else d), id="no-sheet-content"),
        pytest.param(changed(lambda n, d: BOMB if "sheet1" in n else d), id="entity-bomb"),
        pytest.param(
            changed(lambda n, d: d.replace(b'<row r="2"', b'<row r="999999999999"') if "sheet1" in n else d),
            id="row-beyond-the-end",
        ),
        pytest.param(
            changed(lambda n, d: d.replace(b't="inlineStr"><is><t>Hi</t></is>', b't="s"><v>77</v>')),
            id="no-such-string",
        ),
        pytest.param(changed(lambda n, d: d.replace(b'r="A2"', b'r="XFD2"')), id="column-beyond-the-end"),
    ],
)
def test_a_damaged_workbook_is_refused(tmp_path: Path, data: bytes) -> None:
    """A workbook that its reader trips over is the file's fault, in one line."""
    path = put(tmp_path, "b/test.xlsx", data)
    started = time.process_time()

    (line,) = refusal(lambda: read_file(path))

    assert time.process_time() - started < 2.0
    assert line.startswith(f"{path}: ")
    assert "not a readable workbook" in line
    assert "save it again" in line


def test_a_workbook_that_unpacks_to_too_much_is_refused() -> None:
    """A small archive that unpacks to more than the limit is not unpacked."""
    bomb = changed(lambda n, d: b" " * 2_000_000 if "styles" in n else d)

    assert case_tables._archive_problem(bomb, 1_000_000) is not None
    assert case_tables._archive_problem(bomb, 4_000_000) is None


def test_texts_are_read_from_the_shared_table(tmp_path: Path) -> None:
    """Excel keeps texts in a table of their own; formatted runs of a text are one text."""
    table = (
        '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>text</t></si>'
        '<si><r><t xml:space="preserve"> Hi, </t></r><r><rPr><b/></rPr><t>诗</t></r></si></sst>'
    )
    kind = (
        b'<Override PartName="/xl/sharedStrings.xml" '
        b'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
    )
    cells = iter((b't="s"><v>0</v>', b't="s"><v>1</v>'))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book(["text"], ["Hi"]))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = old.read(name).replace(b"</Types>", kind)
            new.writestr(name, re.sub(b't="inlineStr"><is><t>[^<]*</t></is>', lambda _: next(cells), part))
        new.writestr("xl/sharedStrings.xml", table)

    assert read_file(put(tmp_path, "b/test.xlsx", out.getvalue()))[0].prompt == " Hi, 诗"


def test_any_damage_to_a_workbook_is_cases_or_a_refusal(tmp_path: Path) -> None:
    """300 times: bytes of its parts flipped or cut out, the archive itself sound."""
    dice = random.Random(7)

    def damage(name: str, part: bytes) -> bytes:
        data = bytearray(part)
        if dice.random() < (0.9 if "sheet1" in name else 0.1):
            at = dice.randrange(len(data))
            if dice.random() < 0.5:
                data[at] ^= 1 << dice.randrange(8)
            else:
                del data[at : at + dice.randint(1, 60)]
        return bytes(data)

    for _ in range(300):
        path = put(tmp_path, "b/test.xlsx", changed(damage))
        started = time.process_time()
        try:
            assert [case.prompt for case in read_file(path)]
        except CaseFileError as error:
            assert str(path) in str(error)
        assert time.process_time() - started < 2.0
