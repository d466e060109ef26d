"""Folders that people keep for LLaMA-Factory are read as they are, by ``harness fix`` and ``harness train`` alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.errors import DataError
from harness.pairs import import_pairs
from harness.pairs.files import DATASET
from tests.faults.conftest import Make
from trainers.formats import Source, TrainingRecord

QUESTION = {"from": "human", "value": "List four fruits."}
GOOD = {"from": "gpt", "value": "Apple, pear, plum, quince."}
BAD = {"from": "gpt", "value": "Apple, apple, apple, apple, apple, apple, apple, apple, apple, apple."}
PAIR = {"conversations": [QUESTION], "chosen": GOOD, "rejected": BAD}


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    return path


def read(path: Path, stage: Any) -> tuple[list[TrainingRecord], tuple[str, ...]]:
    source = Source(paths=(path,), stage=stage)
    return list(source), source.notes()


def test_a_fix_takes_the_sharegpt_pairs_of_a_case_folder(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """LLaMA-Factory's documented form stopped ``harness fix`` after an hour of sampling."""
    root = failing()
    write(root / "badcases" / "badcase1" / DATASET, [PAIR])
    assert main(["fix", "--failed", "--dry-run"]) == 0
    assert "hand-made" in capsys.readouterr().out


def test_wrong_hand_made_pairs_stop_a_fix_before_it_samples(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """The file was read first and checked last."""
    root = failing()
    write(root / "badcases" / "badcase1" / DATASET, [{**PAIR, "rejected": GOOD}])
    capsys.readouterr()
    assert main(["fix", "--failed", "--dry-run"]) == 2
    done = capsys.readouterr()
    assert "record 1: chosen and rejected are the same" in done.err
    assert "drawing candidates" not in done.out + done.err


def test_a_file_is_read_with_the_registry_beside_it(tmp_path: Path) -> None:
    """Its columns and tags have names of their own, and its path is that of another machine."""
    columns = {"messages": "dialogue", "chosen": "good", "rejected": "bad", "system": "persona"}
    tags = {"role_tag": "who", "content_tag": "says", "user_tag": "customer", "assistant_tag": "bot"}
    entry = {"file_name": "/data/LLaMA-Factory/data/x/dpo.json", "formatting": "sharegpt", "ranking": True,
             "columns": columns, "tags": tags}  # fmt: skip
    write(tmp_path / "dataset_info.json", {"mine": entry, "of another kind": {"hf_hub_url": "someone/else"}})
    record = {
        "dialogue": [{"who": "customer", "says": "Hello?"}], "persona": "Be brief.", "ticket": 7,
        "good": {"who": "bot", "says": "Hello."}, "bad": {"who": "bot", "says": "Hello hello hello."},
    }  # fmt: skip
    path = write(tmp_path / "dpo.json", [record])
    (pair,) = import_pairs(path)
    assert [(m.role, m.content) for m in pair.messages] == [("system", "Be brief."), ("user", "Hello?")]
    assert (pair.chosen, pair.rejected) == ("Hello.", "Hello hello hello.")
    ((record_read,), notes) = read(path, "dpo")
    assert record_read.chosen == "Hello."
    assert notes == ("fields that are not used: ticket",)
    assert import_pairs(tmp_path / "dataset_info.json") == (pair,)


def test_columns_of_the_alpaca_form_are_renamed_too(tmp_path: Path) -> None:
    """``prompt`` and ``response`` of the registry are any two columns."""
    entry = {"file_name": "sft.jsonl", "columns": {"prompt": "ask", "response": "reply"}}
    write(tmp_path / "dataset_info.json", {"mine": entry})
    (tmp_path / "sft.jsonl").write_text(json.dumps({"ask": "Hi", "reply": "Hello.", "output": "not this one"}))
    ((record,), notes) = read(tmp_path / "sft.jsonl", "sft")
    assert [m.content for m in record.messages] == ["Hi", "Hello."]
    assert notes == ("fields that are not used: output",)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"ranking": False}, "ranking = false"),
        ({"columns": {"messages": "conversations", "tools": "tools"}}, "columns 'tools' are not supported"),
        ({"num_samples": 10}, "num_samples = 10, which is not supported"),
        ({"formatting": "openai"}, "supported are alpaca and sharegpt"),
        ({"columns": ["messages"]}, "must be a table of texts"),
        ({"ranking": "yes"}, "expected true or false"),
    ],
    ids=["ranking", "tools", "part", "formatting", "columns", "type"],
)
def test_what_a_registry_says_and_is_not_supported_is_refused_by_name(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    """A column that is ignored would train on something else."""
    path = write(tmp_path / "dpo.json", [PAIR])
    full = {"file_name": "dpo.json", "formatting": "sharegpt", "ranking": True, **entry}
    write(tmp_path / "dataset_info.json", {"mine": full})
    with pytest.raises(DataError, match=message):
        import_pairs(path)


def test_a_conversation_that_ends_with_both_answers_is_repaired_with_a_note(tmp_path: Path) -> None:
    """MiniCPM3's guide prints its preference record so; its turns do not alternate."""
    path = write(tmp_path / "dpo.json", [{**PAIR, "conversations": [QUESTION, GOOD, BAD]}])
    ((record,), notes) = read(path, "dpo")
    assert [m.content for m in record.messages] == [QUESTION["value"]]
    assert notes == ("1 records repeat chosen and rejected at the end of their conversation (left out there)",)


def test_the_guanaco_form_is_a_conversation(tmp_path: Path) -> None:
    """Its only column is ``text``."""
    text = "### Human: Hello?### Assistant: Hello.\n### Human: And?### Assistant: Bye."
    ((record,), _) = read(write(tmp_path / "sft.json", [{"text": text}]), "sft")
    assert [m.content for m in record.messages] == ["Hello?", "Hello.", "And?", "Bye."]
    with pytest.raises(DataError, match="text is supported with"):
        read(write(tmp_path / "sft.json", [{"text": "A page of a book."}]), "sft")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"instruction;output\nHi;Hello.\n", "separated by semicolons; separate them by commas"),
        (b"instruction\toutput\nHi\tHello.\n", "separated by tabs"),
        ("instruction,output\n你好,你好。\n".encode("gb18030"), "iconv -f GB18030 -t UTF-8"),
    ],
    ids=["semicolons", "tabs", "GB18030"],
)
def test_a_table_of_another_kind_gets_a_hint(tmp_path: Path, content: bytes, hint: str) -> None:
    """Excel writes them so in half of the world."""
    (tmp_path / "sft.csv").write_bytes(content)
    with pytest.raises(DataError, match=hint):
        read(tmp_path / "sft.csv", "sft")


def test_a_registry_is_data(failing: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """``harness train dpo --data dataset_info.json --dataset NAME`` trains on what the registry names."""
    failing()
    write(tmp_path / "data" / "a.json", [PAIR])
    entry = {"formatting": "sharegpt", "ranking": True}
    registry = {"first": {**entry, "file_name": "a.json"}, "second": {**entry, "file_name": "gone.json"}}
    path = str(write(tmp_path / "data" / "dataset_info.json", registry))
    words = ["train", "dpo", "--data", path, "--as", "v5.0"]
    capsys.readouterr()
    assert main([*words, "--dry-run"]) == 2
    assert "2 of its datasets fit dpo; choose with --dataset: first, second" in capsys.readouterr().err
    assert main([*words, "--dataset", "second"]) == 2
    assert "gone.json, which is not there" in capsys.readouterr().err
    assert main([*words, "--dataset", "first"]) == 0


def test_a_lone_surrogate_in_an_answer_is_no_crash(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of a character in an answer ended ``harness pairs`` with a traceback."""
    failing(script={"sea": "\ud83d The waves roll in again and again tonight. " * 20, "hill": "Good.", "calm": "Good."})
    assert main(["pairs", "--failed"]) == 0
    assert main(["fix", "--failed", "--dry-run"]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [("gate",), ("report", "last")], ids=["gate", "report"])
def test_json_output_has_no_terminal_controls(
    failing: Make, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """A C1 control in an error message reached the terminal raw."""
    failing(script={"sea": {"error": "broke \x9b31m here \u202e"}, "hill": "Good.", "calm": "Good."})
    capsys.readouterr()
    main([*command, "--json"])
    text = capsys.readouterr().out
    assert not set(text) & set(map(chr, [*range(0x7F, 0xA0), 0x202E]))
    json.loads(text)
