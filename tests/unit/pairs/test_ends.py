"""Pairs that teach where an answer ends: only the end is learnt, at the standard answer's length."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judging.results import Attempt, CaseResult, Status, Verdict
from harness.pairs.ends import early_end, end_pairs
from tests.support.builders import case, looped, result

BEGINNING = "The sea is blue. Fish live there. "
LOOPING, LOOPS = looped(BEGINNING, "The waves roll in. ", 40)
STANDARD = "The sea is deep and wide. It has many waves."
RAMBLING = BEGINNING + "A boat sails by. Birds follow it. Clouds drift over. Rain comes and then it goes, as ever it"


def cut_off(answer: str, status: Status = Status.PASS, **fields: object) -> CaseResult:
    """A case whose answer had to be cut off."""
    of = replace(case("badcase1/f", standard_answer=STANDARD), **fields)  # type: ignore[arg-type]
    found = result(of, answer, LOOPS if answer == LOOPING else ())
    verdict = Verdict(status, ())
    attempt = replace(found.attempts[0], finish_reason="length", verdict=verdict)
    return CaseResult(of, "v4.0", (attempt,), verdict)


@pytest.mark.parametrize("answer", [LOOPING, RAMBLING], ids=["a loop", "no loop"])
def test_the_answers_own_beginning_is_ended_at_the_standard_answers_length(answer: str) -> None:
    """Ten words are asked for, so the second or third sentence is the end, and what came then is unlearned."""
    (pair,) = end_pairs([cut_off(answer)], {})
    assert answer.startswith(pair.chosen)
    assert pair.chosen.endswith(".")
    assert 7 <= len(pair.chosen.split()) <= 20
    assert pair.rejected.startswith(pair.chosen)
    assert len(pair.chosen) < len(pair.rejected) <= len(pair.chosen) + 41


def test_nothing_but_the_end_is_learnt() -> None:
    """The words were the model's before; nobody says that they are good."""
    (pair,) = end_pairs([cut_off(RAMBLING)], {})
    assert (pair.origin, pair.chosen_from, pair.fault_at) == ("end", len(pair.chosen), len(pair.chosen))
    assert not pair.rejected_finished


@pytest.mark.parametrize(
    "found",
    [
        cut_off(RAMBLING, standard_answer=None),
        cut_off(RAMBLING, standard_answer="Blue"),
        cut_off(RAMBLING, standard_answer=" ".join(["word"] * 200)),
        cut_off(RAMBLING, role="holdout"),
        cut_off(RAMBLING, must_not_include=("sea",)),
        cut_off("one endless line of words that goes on " * 3),
        result(case("badcase1/f", standard_answer=STANDARD), RAMBLING),
    ],
    ids=["no standard answer", "far longer", "far shorter", "holdout", "a forbidden word", "no sentence", "it ended"],
)
def test_where_no_end_is_known_there_is_no_pair(found: CaseResult) -> None:
    """Not at another length, not in an answer that breaks a rule, and never of a case that is held back."""
    assert end_pairs([found], {}) == []


def test_a_sampled_answer_is_ended_where_the_models_own_cannot_be() -> None:
    """What the model says by another decoding has sentences; a case has one pair."""
    sampled: list[Attempt] = [
        replace(cut_off(answer).attempts[0], answer=answer) for answer in (RAMBLING, RAMBLING[4:])
    ]
    (pair,) = end_pairs([cut_off("one endless line of words that goes on " * 3)], {"badcase1/f": sampled})
    assert RAMBLING.startswith(pair.chosen)


def test_an_answer_does_not_end_at_the_number_of_a_lists_next_entry() -> None:
    """The full stop behind a number ends no sentence."""
    (pair,) = end_pairs([cut_off("1. Fish live there in the sea\n2. Whales live there too\n3. Birds that")], {})
    assert pair.chosen == "1. Fish live there in the sea\n2. Whales live there too"


@pytest.mark.parametrize("standard", [None, STANDARD], ids=["no standard answer", "a standard answer"])
def test_an_answer_ends_before_a_forbidden_pattern(standard: str | None) -> None:
    """Where it begins is known, whatever the length should be."""
    failed = cut_off(RAMBLING, Status.FAIL, standard_answer=standard, must_not_include=("Birds",))
    ended = replace(failed, attempts=(replace(failed.attempts[0], finish_reason="stop"),))
    (pair,) = end_pairs([ended], {})
    assert pair.chosen == f"{BEGINNING}A boat sails by."
    assert pair.rejected[pair.fault_at :].startswith(" Birds")


def test_an_answer_that_is_too_long_ends_at_the_length_that_is_wanted() -> None:
    """It ended by itself, and too late."""
    limits = replace(case().thresholds, max_length_ratio=1.5)
    failed = cut_off(RAMBLING, Status.FAIL, thresholds=limits)
    ended = replace(failed, attempts=(replace(failed.attempts[0], finish_reason="stop"),))
    (pair,) = end_pairs([ended], {})
    assert len(pair.chosen.split()) <= 15


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (6, "The sea is blue. Fish live there."),
        (5, "The sea is blue."),
        (9, "The sea is blue. Fish live there."),
        (10, "The sea is blue. Fish live there. A boat sails by."),
        (2, "The sea is blue."),
        (1, None),
    ],
    ids=["second", "as-long-exactly", "second-exactly", "third", "two-and-a-half-times", "more-than-that"],
)
def test_the_end_is_the_nearest_that_is_not_shorter_than_the_standard_answer(words: int, chosen: str | None) -> None:
    """The ends lie at 5, 9 and 14 units; one of two and a half times the length still counts."""
    found = end_pairs([cut_off(RAMBLING, standard_answer=" ".join(["word"] * words))], {})
    assert [pair.chosen for pair in found] == ([] if chosen is None else [chosen])


@pytest.mark.parametrize(("needed", "found"), [("Clouds", 1), ("Rain", 0)], ids=["third-nearest", "fourth-nearest"])
def test_three_ends_are_tried(needed: str, found: int) -> None:
    """A beginning that breaks a rule of its case is no good answer; the next one may be."""
    answer = RAMBLING.replace("as ever it", "as ever. And then")
    standard = " ".join(["word"] * 10)
    assert len(end_pairs([cut_off(answer, standard_answer=standard, must_include=(needed,))], {})) == found


NOISE = "no " * 40 + "no."


@pytest.mark.parametrize(
    ("noisy", "chosen"),
    [
        (0, "The sea is blue. Fish live there. A boat sails by. Birds follow it."),
        (1, "The sea is blue. Fish live there. A boat sails by. Birds follow it."),
        (2, "The sea is blue. Fish live there. A boat sails by. Birds follow it."),
        (3, None),
    ],
)
def test_before_a_forbidden_pattern_the_last_ends_are_tried_first(noisy: int, chosen: str | None) -> None:
    """Three of them, and none of a beginning that fails by itself."""
    answer = " ".join([BEGINNING.strip(), "A boat sails by.", "Birds follow it.", *[NOISE] * noisy, "Call me now, and"])
    of = cut_off(answer, Status.FAIL, standard_answer=None, must_not_include=("Call me",))
    assert [pair.chosen for pair in end_pairs([of], {})] == ([] if chosen is None else [chosen])


def test_an_end_inside_a_forbidden_pattern_is_none() -> None:
    """The pattern begins before it, so the beginning would hold half of what is forbidden."""
    of = cut_off(RAMBLING, Status.FAIL, standard_answer=None, must_not_include=(r"sails by\. Birds",))
    (pair,) = end_pairs([of], {})
    assert pair.chosen == BEGINNING.strip()


def test_an_answer_may_end_where_a_forbidden_pattern_begins() -> None:
    """The last sound sentence is the longest that can be had."""
    of = cut_off(RAMBLING, Status.FAIL, standard_answer=None, must_not_include=(r"\sBirds",))
    (pair,) = end_pairs([of], {})
    assert pair.chosen == f"{BEGINNING}A boat sails by."


def test_the_number_of_an_entry_is_no_end_where_its_length_would_fit() -> None:
    """The end of the entry before is too short, so the next entry is taken whole."""
    of = cut_off("Fish live there\n2. Whales live in it\n3. Birds that", standard_answer="one two three four five")
    (pair,) = end_pairs([of], {})
    assert pair.chosen == "Fish live there\n2. Whales live in it"


def test_an_answer_ends_before_its_loop_says_something_twice() -> None:
    """Also where the standard answer is longer than that: then there is no pair."""
    assert end_pairs([cut_off(LOOPING, standard_answer=" ".join(["word"] * 30))], {}) == []


def test_what_is_unlearned_is_the_next_forty_characters() -> None:
    """What decides whether an answer goes on are the tokens right behind the end."""
    (pair,) = end_pairs([cut_off(RAMBLING, standard_answer="one two three four five")], {})
    assert pair.rejected == RAMBLING[: len("The sea is blue.") + 40]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "One."), (0.5, "One. Two."), (1.0, "One. Two. Three.")],
)
def test_an_early_end_leaves_a_share_of_a_good_answers_sentences(share: float, expected: str) -> None:
    """Never the whole answer."""
    assert early_end(" One. Two. Three. Four. ", share) == expected


def test_an_answer_of_one_sentence_has_no_early_end() -> None:
    """There is nothing to leave out."""
    assert early_end("One sentence only.") is None


@pytest.mark.parametrize("status", [Status.ERROR, Status.SKIP])
def test_a_case_without_a_verdict_gives_no_pair(status: Status) -> None:
    """An error of the engine says nothing about the model."""
    assert end_pairs([replace(cut_off(RAMBLING), verdict=Verdict(status, ()))], {}) == []


def test_the_standard_answer_itself_is_not_cut() -> None:
    """The model gave it and was cut off behind it: nothing is wrong with it."""
    assert end_pairs([cut_off(RAMBLING, standard_answer=f" {RAMBLING}\n")], {}) == []
