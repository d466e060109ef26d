"""Training data: every format that is in use, and nothing that is dropped, cut or turned around without a word."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cases.model import Message
from harness.errors import DataError
from harness.models.prompts import PromptRenderer
from tests.support.trainings import pairs, tiny_model
from trainers.examples import PairExample, TurnsExample, pair_examples, stage_examples, write_examples
from trainers.formats import Source, TrainingRecord
from trainers.read_files import read_rows
from trainers.recipe import Recipe
from trainers.rendering import render_records
from trainers.worker.dataset import columns

USER = {"role": "user", "content": "Hi"}
SAID = {"role": "assistant", "content": "Hello"}


def write(path: Path, rows: Any) -> Path:
    """A JSON, JSONL or CSV file, by its suffix."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    else:
        path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    return path


def read(tmp_path: Path, stage: Any, row: Any, name: str = "d.json") -> TrainingRecord:
    """The record that one row makes."""
    return next(iter(list(Source(paths=[write(tmp_path / name, [row])], stage=stage))))


@pytest.mark.parametrize("name", ["d.json", "d.jsonl", "d.csv"])
def test_alpaca_is_read_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    """instruction and input are one user turn, as LLaMA-Factory joins them."""
    row = {"instruction": "Translate", "input": "诗\n经", "chosen": "poem", "rejected": "poem poem"}
    record = read(tmp_path, "dpo", row, name)
    assert record.messages == (Message("user", "Translate\n诗\n经"),)
    assert (record.chosen, record.rejected, record.rejected_finished) == ("poem", "poem poem", True)


@pytest.mark.parametrize(
    ("stage", "row", "roles"),
    [
        ("sft", {"instruction": "Hi", "output": "Hello"}, "user assistant"),
        ("sft", {"instruction": "Hi", "output": "x", "system": "S", "history": [["a", "b"]]},
         "system user assistant user assistant"),
        ("sft", {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "x"}], "system": "S"},
         "system user assistant"),
        ("dpo", {"conversations": [{"from": "human", "value": "Hi"}], "chosen": {"from": "gpt", "value": "a"},
                 "rejected": {"from": "gpt", "value": "b"}}, "user"),
        ("dpo", {"prompt": "Hi", "chosen": [USER, SAID], "rejected": [USER, {**SAID, "content": "no"}],
                 "messages": [USER, SAID]}, "user"),
        ("dpo", {"chosen": [USER, SAID], "rejected": [USER, {**SAID, "content": "no"}]}, "user"),
        ("dpo", {"question": "Hi", "response_j": "a", "response_k": "b", "qid": 7}, "user"),
        ("kto", {"messages": [USER, SAID], "label": True}, "user"),
        ("kto", {"instruction": "Hi", "output": "Hello", "kto_tag": False}, "user"),
        ("kto", {"prompt": "Hi", "completion": "Hello", "label": "false"}, "user"),
    ],
    ids=["alpaca", "alpaca history", "sharegpt", "sharegpt ranking", "chat ranking", "chat without prompt",
         "stack exchange", "kto messages", "kto alpaca", "kto plain"],
)  # fmt: skip
def test_formats_in_use_are_read(tmp_path: Path, stage: str, row: dict[str, Any], roles: str) -> None:
    """One shape from all of them."""
    assert " ".join(m.role for m in read(tmp_path, stage, row).messages) == roles


@pytest.mark.parametrize(
    ("stage", "row", "words"),
    [
        ("dpo", {"instruction": "Hi", "chosen": "a", "rejected": "a"}, "the same"),
        ("dpo", {"instruction": "Hi", "chosen": "", "rejected": "a"}, "chosen is empty"),
        ("dpo", {"instruction": "Hi", "chosen": "a", "rejected": None}, "no rejected"),
        ("dpo", {"instruction": "Hi", "chosen": ["a"], "rejected": "b"}, "chosen is empty or not text"),
        ("dpo", {"instruction": " ", "chosen": "a", "rejected": "b"}, "instruction is empty"),
        ("dpo", {"chosen": "a", "rejected": "b"}, "no prompt"),
        ("dpo", {"messages": [USER, SAID], "chosen": "a", "rejected": "b"}, "end with a turn of the user"),
        ("dpo", {"messages": [USER, USER], "chosen": "a", "rejected": "b"}, "alternate"),
        ("dpo", {"messages": [USER], "chosen": USER, "rejected": SAID}, "a turn of the user, not of the assistant"),
        ("dpo", {"messages": [{"role": "tool", "content": "x"}], "chosen": "a", "rejected": "b"}, "role 'tool'"),
        ("dpo", {"messages": [USER, {"role": "system", "content": "x"}], "chosen": "a", "rejected": "b"}, "system"),
        ("dpo", {"instruction": "Hi", "chosen": "a", "rejected": "b", "rejected_finished": "no"}, "rejected_finished"),
        ("dpo", {"instruction": "Hi", "chosen": "a", "rejected": "b", "fault_at": 2}, "fault_at = 2"),
        ("dpo", {"instruction": "Hi", "chosen": "a", "rejected": "b", "fault_at": 1, "rejected_finished": False},
         "fault_at = 1"),
        ("dpo", {"instruction": "Hi", "chosen": "a", "rejected": "b", "chosen_from": 2}, "chosen_from = 2"),
        ("dpo", {"instruction": "Hi", "chosen": "a", "rejected": "b", "chosen_from": "1"}, "0 to 1"),
        ("sft", {"messages": [USER]}, "end with a turn of the assistant"),
        ("sft", {"instruction": "Hi"}, "no output"),
        ("sft", {"instruction": "Hi", "output": "x", "history": ["a"]}, "history"),
        ("kto", {"messages": [USER, SAID]}, "no label"),
        ("kto", {"messages": [USER, SAID], "label": 1}, "true or false"),
        ("kto", {"instruction": "Hi", "output": "", "label": True}, "output is empty"),
        ("kto", {"messages": [USER], "label": True}, "must end with the assistant's"),
    ],
)  # fmt: skip
def test_what_llama_factory_would_drop_or_turn_around_is_an_error(
    tmp_path: Path, stage: str, row: dict[str, Any], words: str
) -> None:
    """File, record and field are named."""
    with pytest.raises(DataError, match=r"d\.json: record 1") as error:
        read(tmp_path, stage, row)
    assert words in str(error.value)


def test_one_problem_of_many_records_is_told_once(tmp_path: Path) -> None:
    """With the first records and how many more there are."""
    rows = [{"instruction": "Hi", "chosen": "a", "rejected": "a"}] * 13
    with pytest.raises(DataError) as error:
        list(Source(paths=[write(tmp_path / "d.json", rows)], stage="dpo"))
    assert str(error.value) == "d.json: records 1, 2, 3 and 10 more: chosen and rejected are the same"


def test_all_problems_come_together_and_are_counted(tmp_path: Path) -> None:
    """Ten different ones are shown."""
    rows = [{"instruction": "Hi", "chosen": "a", "rejected": "b", "rejected_finished": f"x{i}"} for i in range(13)]
    with pytest.raises(DataError, match=r"record 10: .*; and 3 more$"):
        list(Source(paths=[write(tmp_path / "d.json", rows)], stage="dpo"))


@pytest.mark.parametrize(
    ("stage", "row", "other"),
    [
        ("dpo", {"instruction": "Hi", "output": "a"}, "sft"),
        ("sft", {"instruction": "Hi", "chosen": "a", "rejected": "b"}, "dpo"),
        ("dpo", {"messages": [{"role": "user", "content": "Hi"}], "completion": "a", "label": True}, "kto"),
    ],
)
def test_data_of_another_stage_are_recognised(tmp_path: Path, stage: str, row: dict[str, Any], other: str) -> None:
    """The message names the stage that they are for."""
    with pytest.raises(DataError, match=f"looks like data for harness train {other}"):
        read(tmp_path, stage, row)


def test_contradicting_pairs_are_refused(tmp_path: Path) -> None:
    """A over B and B over A teach nothing."""
    row = {"instruction": "Hi", "chosen": "a", "rejected": "b"}
    with pytest.raises(DataError, match="record 2: contradicts"):
        list(Source(paths=[write(tmp_path / "d.json", [row, {**row, "chosen": "b", "rejected": "a"}])], stage="dpo"))


def test_repetitions_and_unused_fields_are_told(tmp_path: Path) -> None:
    """They are kept; a person decides."""
    row = {"instruction": "Hi", "chosen": "a", "rejected": "b", "score": 3}
    source = Source(paths=[write(tmp_path / "d.json", [row, row])], stage="dpo")
    assert len(list(source)) == 2
    assert source.notes() == ("1 records are repetitions of earlier ones (kept)", "fields that are not used: score")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.json", b"", "is empty"),
        ("d.json", b"{}", "must be a list"),
        ("d.json", b'[{"a": 1}', "neither a comma"),
        ("d.json", b'[{"a": 1', "cut off or not JSON"),
        ("d.json", b'[{"a": 1} {"b": 2}]', "neither a comma"),
        ("d.json", b"[1]", "not an object"),
        ("d.json", b"[] x", "text after"),
        ("d.json", b'[{"a": "\xff"}]', "not UTF-8"),
        ("d.json", b"[" * 100_000, "not JSON"),
        ("d.jsonl", b'{"a": 1}\n{"b"', "line 2"),
        ("d.csv", b"a,b\n1\n", "line 2"),
        ("d.txt", b"x", "unknown kind"),
        ("d.parquet", b"x", "trainer's environment"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """What and where, never a traceback."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        list(read_rows(tmp_path / name))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=4), max_size=8))
def test_a_json_array_is_read_as_json_reads_it(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    """Object by object is the same as all at once."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps(rows, indent=len(rows) % 3 or None), "utf-8")
    assert list(read_rows(path)) == rows


def test_a_json_array_larger_than_a_block_is_read_whole(tmp_path: Path) -> None:
    """Also where a record lies over a block's end."""
    rows = [{"n": i, "text": "诗" * 5000} for i in range(300)]
    path = write(tmp_path / "d.json", rows)
    assert list(read_rows(path)) == rows


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> PromptRenderer:
    """Bytes as tokens, ChatML."""
    return PromptRenderer(tiny_model(tmp_path_factory.mktemp("data") / "model"))


def test_the_end_of_turn_closes_what_the_model_ended(renderer: PromptRenderer) -> None:
    """Chosen always; rejected only when it was not cut off: a cut-off loop must not teach to go on."""
    cut, ended = pairs(1)[0], replace(pairs(1)[0], rejected_finished=True)
    first, second = pair_examples([cut, ended], renderer)
    end = renderer.end_of_turn
    assert (first.chosen[-1], first.rejected[-1], second.rejected[-1]) == (end, first.rejected[-1], end)
    assert first.rejected[-1] != end
    assert (*first.rejected, end) == tuple(second.rejected)


END = replace(pairs(1)[0], chosen_from=len(pairs(1)[0].chosen), origin="end")
"""A pair of which only the chosen answer's end is learnt."""


def test_of_an_end_nothing_but_the_end_is_learnt(renderer: PromptRenderer) -> None:
    """The words before it carry the label that loss functions ignore."""
    row = columns(next(iter(pair_examples([END], renderer))).record())
    assert [label for label in row["chosen_labels"] if label != -100] == [renderer.end_of_turn]


@pytest.mark.parametrize("stage", ["kto", "sft"])
def test_an_end_is_for_dpo_alone(renderer: PromptRenderer, stage: str) -> None:
    """The other stages would learn the words before it."""
    assert list(stage_examples(stage, [END], renderer)) == []
    assert len(list(stage_examples("dpo", [END], renderer))) == 1


def test_blocks_render_as_single_pairs_do(renderer: PromptRenderer) -> None:
    """The fast way for a hundred thousand has the ids of the slow one."""
    made = [*pairs(40), END]
    records = [
        TrainingRecord(
            source=p.case_id,
            messages=p.messages,
            chosen=p.chosen,
            rejected=p.rejected,
            rejected_finished=p.rejected_finished,
            chosen_from=p.chosen_from,
        )
        for p in made
    ]
    fast = list(render_records(records, renderer, "dpo"))
    slow = list(pair_examples(made, renderer))
    assert [e.record() for e in fast] == [e.record() for e in slow]


def test_every_assistant_turn_is_learnt_as_its_own_test_would_see_it(renderer: PromptRenderer) -> None:
    """In one sequence, where the template leaves earlier turns as they were."""
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d"))
    (example,) = render_records([TrainingRecord(source="r", messages=turns)], renderer, "sft")
    assert isinstance(example, TurnsExample)
    ids = [*example.prompt, *example.rest]
    learnt = [renderer.tokenizer.decode(ids[start:end]) for start, end in example.spans]
    assert learnt == ["b<|im_end|>", "d<|im_end|>"]


def test_only_answers_are_trained_on(renderer: PromptRenderer) -> None:
    """Prompts carry the label that loss functions ignore."""
    row = columns(next(iter(pair_examples(pairs(1), renderer))).record())
    prompt = len(row["chosen_input_ids"]) - sum(label != -100 for label in row["chosen_labels"])
    assert row["chosen_labels"][:prompt] == [-100] * prompt
    assert row["chosen_labels"][prompt:] == row["chosen_input_ids"][prompt:]


def example(prompt: Sequence[int], chosen: Sequence[int], rejected: Sequence[int] = (9,)) -> PairExample:
    """A pair of ids."""
    return PairExample("pair", prompt, chosen, rejected)


def test_a_pair_over_the_limit_is_refused(tmp_path: Path) -> None:
    """Nothing is cut: LLaMA-Factory would cut the prompt's end, header and all."""
    with pytest.raises(DataError, match="12 tokens, more than cutoff_len = 10"):
        write_examples([example([1] * 8, [2] * 4)], tmp_path, Recipe(cutoff_len=10))


def test_or_left_out_counted_and_named(tmp_path: Path) -> None:
    """When the recipe says so."""
    long = [replace(example([1] * (8 + i), [2] * 4), source=f"d.json: record {i}") for i in range(5)]
    facts = write_examples([*long, example([1], [2])], tmp_path, Recipe(cutoff_len=10, over_long="drop"))
    assert (facts.rows, facts.longest) == (1, 2)
    first = "d.json: record 0 (12), d.json: record 1 (13), d.json: record 2 (14) and 2 more"
    assert facts.notes == (f"5 of more than cutoff_len = 10 tokens left out: {first}",)


def test_data_of_which_nothing_is_left_are_refused(tmp_path: Path) -> None:
    """Not trained on silently."""
    with pytest.raises(DataError, match="no example to train on: all 1 are over"):
        write_examples([example([1] * 8, [2] * 4)], tmp_path, Recipe(cutoff_len=10, over_long="drop"))


@given(st.floats(0.05, 0.6), st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_a_prompt_is_on_one_side_of_the_split_only(tmp_path: Path, share: float, seed: int) -> None:
    """Or the validation would tell what was learnt by heart."""
    rows = [example([p, p + 1], [v], [v + 1]) for p in range(1, 40) for v in range(10, 13)]
    facts = write_examples(rows, tmp_path, Recipe(val_size=share, seed=seed))
    train = {tuple(json.loads(line)["prompt"]) for line in facts.train.read_text().splitlines()}
    held = set()
    if facts.validation is not None:
        held = {tuple(json.loads(line)["prompt"]) for line in facts.validation.read_text().splitlines()}
    assert not train & held
    assert facts.rows + facts.validation_rows == len(rows)
