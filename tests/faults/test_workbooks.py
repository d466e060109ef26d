"""Case files are read as their user sees them, and none is passed over."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import openpyxl
import pytest

from harness.cases import read_suite
from tests.support.casefiles import put, refusal

ROWS = (
    ("text", "role", "tags"),
    ("Write about the sea.", "holdout", "poem"),
    ("Write about the hill.", None, None),
    ("Write about the moon.", None, "song"),
    ("Write about the sun.", "guard", None),
)


def workbook(*merged: str, hidden: bool = False) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in ROWS:
        sheet.append(row)
    for cells in merged:
        sheet.merge_cells(cells)
    if hidden:
        more = book.create_sheet("old")
        more.append(("text",))
        more.append(("Write about the past.",))
        more.sheet_state = "hidden"
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def test_a_merged_role_holds_for_all_its_rows(tmp_path: Path) -> None:
    """Two of three holdout cases became ``fix``, and could have been trained on."""
    put(tmp_path, "badcase1/test.xlsx", workbook("B2:B4", "C2:C3"))
    cases = read_suite(tmp_path)
    assert [case.role for case in cases] == ["holdout", "holdout", "holdout", "guard"]
    assert [case.tags for case in cases] == [("poem",), ("poem",), ("song",), ()]


def test_a_merged_range_beyond_the_rows_adds_no_case(tmp_path: Path) -> None:
    """A range to the sheet's end fills the rows that are there, and takes no minute."""
    began = time.monotonic()
    put(tmp_path, "badcase1/test.xlsx", patched(workbook("B2:B4"), b"B2:B4", b"B2:XFD1048576"))
    assert len(read_suite(tmp_path)) == 4
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("cells", [b"B2:", b"2B", b"B2:B0"])
def test_a_damaged_range_is_a_damaged_workbook(tmp_path: Path, cells: bytes) -> None:
    """One line that names the file, and no traceback."""
    put(tmp_path, "badcase1/test.xlsx", patched(workbook("B2:B4"), b"B2:B4", cells))
    try:
        cases = read_suite(tmp_path)
    except Exception as error:  # noqa: BLE001 - the point is which one
        assert "not a readable workbook" in str(error)
    else:
        assert len(cases) == 4


def test_a_hidden_sheet_is_said_to_be_hidden(tmp_path: Path) -> None:
    """I saw one sheet, and the message spoke of two."""
    put(tmp_path, "badcase1/test.xlsx", workbook(hidden=True))
    assert any("'old, hidden'" in line for line in refusal(lambda: read_suite(tmp_path)))


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    """The workbook with ``old`` replaced in its parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for part in source.infolist():
            target.writestr(part, source.read(part).replace(old, new))
    return out.getvalue()


@pytest.mark.parametrize("name", ["test.yaml", "cases.yml", "test.tsv", "test.xls", "cases.txt"])
def test_a_case_file_in_a_format_that_is_not_read_is_refused(tmp_path: Path, name: str) -> None:
    """test.yaml lay beside test.json, and half of my cases were never run."""
    put(tmp_path, "badcase1/test.json", '[{"text": "Write about the sea."}]')
    put(tmp_path, f"badcase1/{name}", "- text: Write about the hill.")
    (line,) = [line for line in refusal(lambda: read_suite(tmp_path)) if name in line]
    assert "its format is not read" in line
