"""An edit of a case file changes one field of one record and nothing else."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cases.edit import RecordPlace, edit_record
from harness.cases.folder import locate_cases, read_suite
from harness.errors import CaseFileError
from harness.safe.files import digest_file

HAND_MADE = """\
[
    {"text": "What is rain?",   "standard_answer": "Water.", "tags": ["sky"]},

    {
        "id": "sea",
        "text": "What is the sea?",
        "standard_answer": "Salt\\nwater."
    }
]
"""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)


def place(path: Path, index: int) -> RecordPlace:
    return RecordPlace(path=path, index=index, digest=digest_file(path))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / "badcase1" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8", newline="")
    return path


def test_only_the_value_changes_in_a_file_written_by_hand(tmp_path: Path) -> None:
    """Blank lines, indents and the order of fields stay."""
    path = written(tmp_path, "test.json", HAND_MADE)
    edit_record(place(path, 0), "standard_answer", "Water from clouds.")
    assert path.read_text("utf-8") == HAND_MADE.replace('"Water."', '"Water from clouds."')


def test_a_new_field_is_written_like_its_neighbours(tmp_path: Path) -> None:
    """On a line of its own where they have one each; the first record stays on its line."""
    path = written(tmp_path, "test.json", HAND_MADE)
    edit_record(place(path, 1), "rejected_answers", ["Wet.", "Big."])
    edit_record(place(path, 0), "source", "TICKET-1")
    lines = path.read_text("utf-8").split("\n")
    assert lines[1].endswith('"tags": ["sky"], "source": "TICKET-1"},')
    assert lines[7:11] == ['        "rejected_answers": [', '          "Wet.",', '          "Big."', "        ]"]


@pytest.mark.parametrize("field", ["id", "text", "standard_answer"], ids=["first", "middle", "last"])
def test_a_field_is_removed_wherever_it_stands(tmp_path: Path, field: str) -> None:
    """The comma goes with it."""
    path = written(tmp_path, "test.json", HAND_MADE)
    edit_record(place(path, 1), field, None)
    expected = json.loads(HAND_MADE)
    del expected[1][field]
    assert json.loads(path.read_text("utf-8")) == expected


@pytest.mark.parametrize("field", ["standard_answer", "source"], ids=["there", "new"])
@given(data=st.lists(st.dictionaries(st.sampled_from(["id", "standard_answer", "note"]), texts), min_size=1),
       value=texts, at=st.integers(0), indent=st.sampled_from([None, 1, 4]), escaped=st.booleans())  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_json_reads_back_with_that_one_change(
    tmp_path: Path, field: str, data: list[dict[str, str]], value: str, at: int, indent: int | None, escaped: bool
) -> None:
    """Whatever the file's style is; every other record is the same."""
    records: list[dict[str, Any]] = [{"text": "What?", **r} for r in data]
    at %= len(records)
    path = written(tmp_path, "test.json", json.dumps(records, indent=indent, ensure_ascii=escaped))
    edit_record(place(path, at), field, value)
    records[at][field] = value
    assert json.loads(path.read_text("utf-8")) == records
    lines = written(tmp_path, "test.jsonl", "\n".join(json.dumps(r, ensure_ascii=escaped) for r in records) + "\n")
    edit_record(place(lines, at), field, value[::-1])
    records[at][field] = value[::-1]
    assert [json.loads(line) for line in lines.read_text("utf-8").split("\n") if line] == records


@given(rows=st.lists(st.tuples(texts, texts), min_size=1), value=texts, at=st.integers(0), quoted=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_csv_reads_back_with_that_one_change(
    tmp_path: Path, rows: list[tuple[str, str]], value: str, at: int, quoted: bool
) -> None:
    """Quotes, commas and lines inside of cells are no borders."""
    at %= len(rows)
    buffer = io.StringIO(newline="")
    style: dict[str, Any] = {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"} if quoted else {}
    csv.writer(buffer, **style).writerows([("text", "standard_answer"), *rows])
    path = written(tmp_path, "test.csv", buffer.getvalue())
    edit_record(place(path, at), "standard_answer", value)
    expected = [[text, value if n == at else answer] for n, (text, answer) in enumerate(rows)]
    assert list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))[1:] == expected


def test_a_workbook_keeps_its_styles_and_takes_no_formula(tmp_path: Path) -> None:
    """One cell changes, as text."""
    path = tmp_path / "test.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["text", "standard_answer"])
    sheet.append(["What?", "That."])
    sheet.column_dimensions["A"].width = 77
    book.save(path)
    edit_record(place(path, 0), "standard_answer", "=1+1")
    again = openpyxl.load_workbook(path).active
    assert again is not None
    assert (again["B2"].value, again["B2"].data_type) == ("=1+1", "s")
    assert again.column_dimensions["A"].width == 77


def test_a_file_that_was_changed_meanwhile_is_not_written(tmp_path: Path) -> None:
    """The page showed an older file; a colleague's edit stays."""
    path = written(tmp_path, "test.json", HAND_MADE)
    seen = place(path, 0)
    path.write_text(HAND_MADE.replace("Water.", "Rain."), "utf-8")
    with pytest.raises(CaseFileError, match="has changed since"):
        edit_record(seen, "standard_answer", "Mine.")
    assert "Rain." in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "text", "field", "value", "problem"),
    [
        ("test.csv", "text\nWhat?\n", "standard_answer", "That.", "has no column"),
        ("test.csv", "text,tags\nWhat?,a\n", "tags", ["b"], "list cannot be written"),
        ("test.json", '[{"text": "a", "text": "b"}]', "text", "c", "twice"),
    ],
    ids=["no-column", "list-in-a-table", "given-twice"],
)
def test_what_cannot_be_edited_is_refused(
    tmp_path: Path, name: str, text: str, field: str, value: Any, problem: str
) -> None:
    """The file stays as it is, and the message says what to do."""
    path = written(tmp_path, name, text)
    with pytest.raises(CaseFileError, match=problem):
        edit_record(place(path, 0), field, value)
    assert path.read_text("utf-8") == text


def test_every_case_of_a_suite_is_found_in_its_file(tmp_path: Path) -> None:
    """By id: the file, and which record of it."""
    written(tmp_path, "test.json", HAND_MADE)
    written(tmp_path, "cases.jsonl", '{"text": "One?"}\n\n{"text": "Two?", "id": "two"}\n')
    places = locate_cases(tmp_path)
    assert set(places) == {case.id for case in read_suite(tmp_path)}
    assert (places["badcase1/two"].path.name, places["badcase1/two"].index) == ("cases.jsonl", 1)
    assert (places["badcase1/sea"].path.name, places["badcase1/sea"].index) == ("test.json", 1)
