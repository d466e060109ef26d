"""A field of training data is honoured, refused, or noted by name; it is never dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from trainers.formats import Source

ANSWER = {"role": "assistant", "content": "Let me see."}
QUESTION = {"role": "user", "content": "How warm is it?"}


def read(tmp_path: Path, stage: Any, *records: Any, text: str | None = None) -> tuple[int, tuple[str, ...]]:
    """Number of records, and the notes about them."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps(records) if text is None else text, "utf-8")
    source = Source(stage=stage, paths=(path,))
    return len(list(source)), source.notes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tool_calls", [{"function": {"name": "w"}}]), ("reasoning_content", "hm"), ("function_call", {"name": "w"}),
        ("weight", 0), ("weight", 0.5), ("loss", False), ("images", ["a.png"]),
    ],
    ids=["tool-calls", "reasoning", "function", "weight-0", "weight-half", "loss", "images"],
)  # fmt: skip
def test_a_field_that_changes_a_turn_is_refused_by_name(tmp_path: Path, field: str, value: object) -> None:
    """tool_calls and ``weight: 0`` were dropped without a word."""
    with pytest.raises(DataError, match=rf"record 1: messages\[1\] has {field}"):
        read(tmp_path, "sft", {"messages": [QUESTION, {**ANSWER, field: value}]})


@pytest.mark.parametrize("extra", [{"tool_calls": []}, {"weight": 1}, {"loss": True}, {"reasoning_content": None}])
def test_an_empty_field_or_the_usual_value_is_accepted(tmp_path: Path, extra: dict[str, Any]) -> None:
    """Exports write every field, most of them empty."""
    assert read(tmp_path, "sft", {"messages": [QUESTION, {**ANSWER, **extra}]}) == (1, ())


def test_another_field_of_a_turn_is_noted_by_name(tmp_path: Path) -> None:
    """A time stamp is not used, and the user is told."""
    count, notes = read(tmp_path, "sft", {"messages": [{**QUESTION, "timestamp": 7}, ANSWER], "source": "x"})
    assert count == 1
    assert notes == ("fields that are not used: source, timestamp of a turn",)


def test_both_sides_of_a_pair_answer_the_same_conversation(tmp_path: Path) -> None:
    """The rejected side's own question was replaced by the chosen side's."""
    one, two = ({"role": "user", "content": f"question {n}"} for n in ("ONE", "TWO"))
    good, bad = ({"role": "assistant", "content": text} for text in "pn")
    with pytest.raises(DataError, match="rejected answers another conversation"):
        read(tmp_path, "dpo", {"chosen": [one, good], "rejected": [two, bad]})
    assert read(tmp_path, "dpo", {"chosen": [one, good], "rejected": [one, bad]})[0] == 1
    assert read(tmp_path, "dpo", {"prompt": "question ONE", "chosen": [one, good], "rejected": [bad]})[0] == 1
    with pytest.raises(DataError, match="chosen answers another conversation"):
        read(tmp_path, "dpo", {"prompt": "question TWO", "chosen": [one, good], "rejected": [bad]})


@pytest.mark.parametrize(
    "text",
    ['[{"instruction": "a", "output": "b", "output": "c"}]', '[{"messages": [{"role": "user", "role": "system"}]}]'],
    ids=["record", "turn"],
)
def test_a_key_that_is_given_twice_is_refused(tmp_path: Path, text: str) -> None:
    """The last one won."""
    with pytest.raises(DataError, match="is given twice; keep one"):
        read(tmp_path, "sft", text=text)
