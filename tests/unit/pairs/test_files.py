"""Pairs as files: for people to read and edit, and for plain LLaMA-Factory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cases.model import Message
from harness.errors import DataError
from harness.pairs import Pair, export_pairs, import_pairs
from tests.support.builders import pair


def test_files_read_back_equal(tmp_path: Path) -> None:
    """System prompt, history and what ended the rejected answer survive the file."""
    messages = (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Yes?"),
        Message("user", "Go."),
    )
    pairs = (
        Pair(case_id="a/b", messages=messages, chosen="Good.", rejected="Bad.", origin="own", rejected_finished=True),
        pair(),
    )
    assert import_pairs(export_pairs(pairs, tmp_path)) == pairs


def test_hand_made_records_need_only_four_fields(tmp_path: Path) -> None:
    """The file that its users have today is read as it is."""
    path = tmp_path / "pairs.json"
    path.write_text(
        json.dumps([{"instruction": "Sum up:", "input": "A text.", "chosen": "Short.", "rejected": "Long."}])
    )
    (made,) = import_pairs(path)
    assert made.messages == (Message("user", "Sum up:\nA text."),)
    assert (made.origin, made.rejected_finished) == ("hand-made", True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "record 1 is cut off or not JSON"),
        ("{}", "must be a list"),
        ('[{"instruction": "a", "chosen": "b"}]', "record 1: has no rejected"),
        ('[{"instruction": "a", "chosen": "b", "rejected": "c", "history": ["x"]}]', "history must be a list"),
        ('[{"instruction": "a", "chosen": "b", "rejected": "c", "case_id": 1}]', "case_id = 1 must be text"),
        ('[{"instruction": "a", "chosen": "b", "rejected": "c", "origin": "x"}]', "origin = 'x'; use one of"),
        ('[{"instruction": "a", "chosen": "b \\ud800", "rejected": "c"}]', "half of a surrogate pair"),
    ],
    ids=["syntax", "shape", "missing", "history", "case id", "origin", "surrogate"],
)
def test_a_wrong_file_says_which_record(tmp_path: Path, content: str, message: str) -> None:
    """Every problem is named with its record."""
    path = tmp_path / "pairs.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        import_pairs(path)


def test_a_hand_made_loop_has_no_end_of_turn(tmp_path: Path) -> None:
    """The files that people have today reject loops; training their end of turn down would teach to loop on."""
    path = tmp_path / "pairs.json"
    record = {"instruction": "Write.", "chosen": "Good.", "rejected": "It rains. " + "And it pours. " * 6}
    path.write_text(json.dumps([record, record | {"rejected_finished": True}]))
    assert [p.rejected_finished for p in import_pairs(path)] == [False, True]


def test_pairs_go_into_a_file_of_any_name(tmp_path: Path) -> None:
    """LLaMA-Factory's registry names the file that was asked for."""
    path = export_pairs((pair(),), tmp_path / "mine.json")
    assert path.name == "mine.json"
    assert (
        json.loads((tmp_path / "dataset_info.json").read_text())["generalized_dpo_preference_dataset"]["file_name"]
        == path.name
    )
