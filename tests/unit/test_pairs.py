"""Pairs teach what went wrong, from the model's own words, and never the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.model import Message
from harness.errors import DataError
from harness.metrics import repetition
from harness.metrics.base import Loop
from harness.pairs import (
    Pair,
    build_pairs,
    check_pairs,
    export_pairs,
    import_pairs,
    loop_copy,
    pairs_of_case,
    trim_loop,
)
from harness.results import Status, Verdict
from tests.builders import attempt, case, looped, result

LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)
CLEAN = "The sea is wide. It sings at night. The sailors sleep."


def pair(
    prompt: str = "Write about rain.", chosen: str = "Good.", rejected: str = "Bad bad.", case_id: str = "a/b"
) -> Pair:
    return Pair(case_id, (Message("user", prompt),), chosen, rejected, "standard")


def test_a_trimmed_loop_keeps_prefix_and_some_copies() -> None:
    """Onset and a few periods stay; the tail, which would drown them, goes."""
    assert trim_loop(LOOPING, LOOPS[0], 4) == "The sea is blue. " + "The waves roll in. " * 4


def test_a_short_loop_is_kept_whole() -> None:
    """There is nothing to trim where the loop has fewer copies than are kept."""
    text, loops = looped("Well. ", "Yes. ", 3)
    assert trim_loop(text, loops[0], 4) == text


@given(st.text(min_size=1, max_size=40), st.integers(5, 60), st.integers(1, 8))
def test_a_trimmed_loop_is_a_beginning_of_the_answer(unit: str, copies: int, keep: int) -> None:
    """Nothing is invented: the rejected answer is what the model said, up to a point."""
    answer = "x" + unit * copies
    loop = Loop(1, len(answer), len(unit), float(copies))
    trimmed = trim_loop(answer, loop, keep)
    assert answer.startswith(trimmed)
    assert len(trimmed) >= 1 + len(unit)


def test_a_looped_copy_loops() -> None:
    """The replay pair's rejected answer is found to repeat itself, and begins like the clean one."""
    copy = loop_copy(CLEAN, copies=8)
    assert copy.startswith(CLEAN)
    assert repetition(copy).loops


def test_chosen_are_the_standard_answer_and_the_models_own() -> None:
    """Every preferred answer is paired with a rejected one of the model's."""
    failed = result(answer=LOOPING, loops=LOOPS)
    pairs = pairs_of_case(failed, ["Own words."], ["The sea is blue. And calm."])
    assert [p.origin for p in pairs] == ["standard", "own", "branch"]
    assert {p.rejected for p in pairs} == {trim_loop(LOOPING, LOOPS[0], 4)}
    assert not any(p.rejected_finished for p in pairs)


def test_replay_keeps_what_passed() -> None:
    """Passing cases of role fix give pairs of their own answer against its looped copy, at most a third."""
    failed = [result(case(f"badcase1/f{i}"), LOOPING, LOOPS) for i in range(4)]
    passed = [result(case(f"badcase1/p{i}"), CLEAN) for i in range(9)]
    pairs = build_pairs(failed, passed, {}, {}, {}, replay=0.3)
    replay = [p for p in pairs if p.origin == "replay"]
    assert len(replay) == 1
    assert replay[0].chosen == CLEAN


@pytest.mark.parametrize("role", ["holdout", "guard"])
def test_protected_cases_give_no_pairs(role: str) -> None:
    """Whatever is passed in, holdout and guard cases are not trained on."""
    of = case(role=role)  # type: ignore[arg-type]
    assert build_pairs([result(of, LOOPING, LOOPS)], [result(of, CLEAN)], {}, {}, {}) == ()


def test_a_case_that_fails_otherwise_rejects_its_answer_as_it_stands() -> None:
    """A wrong answer without a loop is rejected whole."""
    failed = result(answer="Nonsense.", verdict=Verdict(Status.FAIL))
    (made,) = pairs_of_case(failed, [])
    assert made.rejected == "Nonsense."


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([pair(chosen=" ")], "chosen is empty"),
        ([pair(rejected="")], "rejected is empty"),
        ([pair(chosen="Same.", rejected="Same. ")], "chosen and rejected are the same"),
        ([pair(), pair(chosen="Bad bad.", rejected="Other.")], "both chosen and rejected"),
        ([pair(case_id="badcase1/sea")], "a guard case may not be trained on"),
        ([pair(prompt="write a poem  about the SEA.")], "its prompt is that of the guard case badcase1/sea"),
    ],
    ids=["chosen", "rejected", "equal", "contradiction", "id", "prompt"],
)
def test_wrong_pairs_abort(pairs: list[Pair], message: str) -> None:
    """A pair that teaches nothing, wrongly or the test is told before a minute is spent."""
    with pytest.raises(DataError, match=message):
        check_pairs(pairs, [case(role="guard")])


def test_sibling_prompts_are_no_contamination() -> None:
    """A holdout sibling may differ by its subject alone."""
    check_pairs([pair(prompt="Write a poem about the moon.")], [case(role="holdout")])


def test_files_read_back_equal(tmp_path: Path) -> None:
    """System prompt, history and what ended the rejected answer survive the file."""
    messages = (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Yes?"),
        Message("user", "Go."),
    )
    pairs = (Pair("a/b", messages, "Good.", "Bad.", "own", rejected_finished=True), pair())
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
        ("{", "cannot be read as JSON"),
        ("{}", "must be a list"),
        ('[{"instruction": "a", "chosen": "b"}]', "record 1: rejected must be text"),
        ('[{"instruction": "a", "chosen": "b", "rejected": "c", "reject": 1}]', "unknown field 'reject'"),
        ('[{"instruction": "a", "chosen": "b", "rejected": "c", "history": ["x"]}]', "history must be a list"),
    ],
    ids=["syntax", "shape", "missing", "unknown", "history"],
)
def test_a_wrong_file_says_which_record(tmp_path: Path, content: str, message: str) -> None:
    """Every problem is named with its record."""
    path = tmp_path / "pairs.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        import_pairs(path)


def test_samples_that_loop_give_further_rejected_answers() -> None:
    """What the model says when sampled is rejected too, each kept with another number of copies."""
    other, other_loops = looped("Stars. ", "They shine on. ", 30)
    failed = result(answer=LOOPING, loops=LOOPS)
    pairs = pairs_of_case(failed, ["Own."], [], [attempt(other, other_loops, sample=1)])
    assert [p.rejected for p in pairs] == [trim_loop(LOOPING, LOOPS[0], 4), trim_loop(other, other_loops[0], 2)]
