"""Pairs that teach where an answer ends: only the end is learnt, at the standard answer's length."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judging.results import Attempt, CaseResult, Status, Verdict
from harness.pairs.ends import end_pairs
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
