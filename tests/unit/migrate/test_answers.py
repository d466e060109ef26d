"""Files of old answers are read by the names of their columns; what is not taken is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.migrate.answers import column_roles, read_answers
from tests.support.legacy import workbook


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["adapter_name_or_path", "text", "response", "standard_answer"],
         ["adapter", "text", "response", "standard_answer"]),
        (["版本", "问题", "模型回答", "标准答案"], ["adapter", "text", "response", "standard_answer"]),
        (["适配器路径", "提示词", "输出", "参考答案"], ["adapter", "text", "response", "standard_answer"]),
        (["Prompt", "Model Output", " Reference "], ["text", "response", "standard_answer"]),
        (["question", "answer", "standard_answer"], ["text", "response", "standard_answer"]),
        (["question", "response", "answer"], ["text", "response", "standard_answer"]),
        (["prompt", "predict", "label"], ["text", "response", "standard_answer"]),
        (["时间", "问题", "回答"], [None, "text", "response"]),
        (["case_id", "response", "verdict"], ["case_id", "response", None]),
    ],
    ids=["today's", "Chinese", "other Chinese", "English", "answer", "answer beside a response", "LLaMA-Factory",
         "unknown", "ids"],
)  # fmt: skip
def test_columns_are_known_by_their_names(names: list[str], roles: list[str | None]) -> None:
    """In English and Chinese, whatever their case."""
    found = column_roles(names)
    assert [found.get(n) for n in range(len(names))] == roles


def test_columns_can_be_named() -> None:
    """Where their names say nothing."""
    assert column_roles(["q", "a"], prompt="q", response="a") == {0: "text", 1: "response"}


def test_every_sheet_with_answers_is_read(tmp_path: Path) -> None:
    """A workbook with a sheet for each version names the versions by its sheets."""
    columns = ("text", "response")
    path = workbook(tmp_path / "result.xlsx", [("Hi", "One.")], columns, **{"v4.0": [("Hi", "Two.")]})
    assert [(a.adapter, a.response) for a in read_answers(path).answers] == [("Sheet", "One."), ("v4.0", "Two.")]
    alone = read_answers(workbook(tmp_path / "b.xlsx", [("Hi", "One.")], columns))
    assert (alone.names_adapters, alone.answers[0].adapter) == (False, "")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_other_formats_hold_the_same(tmp_path: Path, suffix: str) -> None:
    """A row is a row in each of them; a field may be absent in some."""
    records = [{"text": "Hi, you", "response": "A\nB"}, {"text": "Ho", "response": "C", "finish_reason": "length"}]
    texts = {
        ".csv": 'text,response,finish_reason\n"Hi, you","A\nB",\nHo,C,length\n',
        ".jsonl": "\n".join(map(json.dumps, records)),
        ".json": json.dumps(records),
    }
    path = tmp_path / f"result{suffix}"
    path.write_text(texts[suffix], "utf-8")
    answers = read_answers(path).answers
    assert [(a.text, a.response, a.finish_reason) for a in answers] == [
        ("Hi, you", "A\nB", None),
        ("Ho", "C", "length"),
    ]


def test_rows_and_columns_that_are_not_taken_are_named(tmp_path: Path) -> None:
    """No answer, no prompt, a number, a formula: none of them is guessed."""
    rows = [("Hi", "Hello.", 1), ("Ho", None, 1), (None, "Lost.", 1), ("Three", 3, 1), ("Sum", "=1+1", 1)]
    path = workbook(tmp_path / "result.xlsx", rows, ("text", "response", "seconds"))
    read = read_answers(path)
    assert [a.response for a in read.answers] == ["Hello."]
    notes = "\n".join(read.notes)
    for text in (
        "columns that are not used: seconds",
        "no answer in the row: row 3",
        "no prompt in the row: row 4",
        "response is no text",
        "response is a formula",
    ):
        assert text in notes


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "r.csv",
            "a,b\n1,2\n",
            "no column of prompts with a column of answers; name them with --prompt",
        ),
        ("r.json", '{"a": 1}', "expected a list of records"),
        ("r.jsonl", '{"a": 1}\n{', "not JSON at line"),
        ("r.csv", "", "it is empty"),
        ("r.xlsx", "no workbook", "is not an .xlsx workbook"),
        ("r.xls", "x", "results end with"),
    ],
    ids=["columns", "object", "broken", "empty", "workbook", "old"],
)
def test_a_file_without_answers_is_an_error(tmp_path: Path, name: str, content: str, says: str) -> None:
    """It says what is there, or what is wrong."""
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(UsageError, match=says):
        read_answers(tmp_path / name)
