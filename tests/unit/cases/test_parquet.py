"""A Parquet file holds the same cases as the same records in JSON."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.cases import Message, read_file
from tests.support.casefiles import put, refusal


def parquet(*records: dict[str, Any]) -> bytes:
    data = io.BytesIO()
    pd.DataFrame(list(records)).to_parquet(data, index=False)
    return data.getvalue()


def test_texts_survive_as_they_are(tmp_path: Path) -> None:
    """Nothing is guessed: no number, no missing value, no stripped blank."""
    texts = ["007", "NA", "nan", " 1e5", "\u8bd7\u2028", "=1+1"]
    path = put(tmp_path, "b/test.parquet", parquet(*({"text": text} for text in texts)))
    assert [case.prompt for case in read_file(path)] == texts


def test_every_field_has_a_column(tmp_path: Path) -> None:
    """Lists may be lists, or text as in other tables; an empty cell is an absent field."""
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go"},
    ]
    path = put(tmp_path, "b/test.parquet", parquet(
        {"id": "a", "messages": turns, "tags": ["x", "y"], "weight": 2.0, "must_include": ["sea"], "role": None},
        {"id": "b", "messages": turns, "tags": None, "weight": None, "must_include": None, "role": "guard"},
    ))  # fmt: skip
    first, second = read_file(path)
    assert first.messages == (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Go"))
    assert (first.tags, first.weight, first.must_include, first.role) == (("x", "y"), 2.0, ("sea",), "fix")
    assert (second.tags, second.weight, second.must_include, second.role) == ((), 1.0, (), "guard")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        pytest.param(b"PAR1 nothing", "not a Parquet file that can be read", id="damaged"),
        pytest.param(parquet({"prompt": "a"}), "unknown field 'prompt'", id="unknown-column"),
        pytest.param(parquet({"text": 7}), "field 'text': is a number", id="number-text"),
        pytest.param(parquet({"text": "a", "role": "fixx"}), "did you mean 'fix'?", id="wrong-role"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, data: bytes, part: str) -> None:
    """With file, record and field."""
    path = put(tmp_path, "b/test.parquet", data)
    assert part in "\n".join(refusal(lambda: read_file(path)))


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of blanks is a few bytes in Parquet; the footer says so before it is unpacked."""
    monkeypatch.setattr("harness.cases.formats.MAX_FILE_SIZE", 100_000)
    path = put(tmp_path, "b/test.parquet", parquet({"text": " " * 1_000_000}))
    (line,) = refusal(lambda: read_file(path))
    assert "unpacks to more than" in line
