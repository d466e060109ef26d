"""An answer is cut into parts without losing, inventing or reordering anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.types import Loop, LoopKind
from harness.reports.answer import count_units, describe_loop, split_answer
from tests.support.builders import looped

KINDS: tuple[LoopKind, ...] = ("exact", "characters", "numbered", "templated")


@st.composite
def answers_with_loops(draw: st.DrawFn) -> tuple[str, list[Loop]]:
    text = draw(st.text(max_size=400))
    spot = st.integers(-5, len(text) + 5)
    loops = [
        Loop(
            start=draw(spot),
            end=draw(spot),
            period=draw(st.integers(-1, 60)),
            copies=draw(st.floats(1, 50)),
            kind=draw(st.sampled_from(KINDS)),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    return text, loops


@given(answers_with_loops(), st.integers(0, 100), st.none() | st.integers(0, 100))
def test_every_character_is_shown_or_counted(given_answer: tuple[str, list[Loop]], fold: int, cut: int | None) -> None:
    """The parts' own text plus what they say is hidden is the whole answer, in order, whatever the loops claim."""
    text, loops = given_answer
    position = 0
    for part in split_answer(text, loops, fold_over=fold, cut_over=cut):
        if part.kind in ("fold", "cut"):
            assert part.hidden > 0
            position += part.hidden
        else:
            assert text.startswith(part.text, position)
            position += len(part.text)
    assert position == len(text)


def test_the_first_copy_is_not_marked_as_a_repeat() -> None:
    """The reader sees one normal copy before the marks begin."""
    answer, loops = looped("Before. ", "again ", 4, "after")
    assert [(p.kind, p.text) for p in split_answer(answer, loops)] == [
        ("plain", "Before. "),
        ("first", "again "),
        ("repeat", "again again again "),
        ("plain", "after"),
    ]


def test_a_long_loop_is_folded_to_two_copies_a_count_and_its_end() -> None:
    """Four thousand tokens of one line are told in four."""
    answer, loops = looped("", "The waves roll in and out again,\n", 41.5)
    parts = split_answer(answer, loops)
    assert [p.kind for p in parts] == ["first", "repeat", "fold", "repeat"]
    assert parts[2].text == "the same 7 words 39 more times"
    assert answer.endswith(parts[3].text)


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("exact", "the same 4 words"),
        ("characters", "the same 14 characters"),
        ("numbered", "the same 4 words with other numbers"),
        ("templated", "nearly the same 4 words"),
    ],
)
def test_a_fold_says_what_kind_of_sameness_it_hides(kind: LoopKind, note: str) -> None:
    """Numbered items are not claimed to be identical."""
    answer, loops = looped("", "item one is good!\n", 60, kind=kind)
    (fold,) = [p for p in split_answer(answer, loops) if p.kind == "fold"]
    assert fold.text.startswith(note)
    assert fold.text.endswith("more times")


def test_of_overlapping_loops_the_first_named_wins() -> None:
    """Marks never nest."""
    text = "ab" * 50
    parts = split_answer(
        text, [Loop(start=0, end=100, period=2, copies=50), Loop(start=10, end=60, period=4, copies=12)], fold_over=1000
    )
    assert [p.kind for p in parts] == ["first", "repeat"]


def test_a_long_answer_without_loops_loses_only_its_middle() -> None:
    """The cut says how much is not shown."""
    head, note, tail = split_answer("a" * 100 + "b" * 100, (), cut_over=20)
    assert (head.text, note.text, tail.text) == ("a" * 10, "180 characters not shown", "b" * 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the sea", "2 words"),
        ("大海是蓝色的", "6 characters"),
        ("sea", "1 word"),
        ("哈", "1 character"),
        ("  ", "2 characters"),
    ],
)
def test_length_is_told_in_what_a_reader_counts(text: str, said: str) -> None:
    """Words where words are spaced, characters where they are not."""
    assert count_units(text) == said


def test_a_loop_is_described_in_one_line() -> None:
    """Length of a copy and how many."""
    answer, (loop,) = looped("x ", "the sea is blue ", 7.5)
    assert describe_loop(answer, loop) == "4 words, 7.5 times"
