"""Loops across the turns of a conversation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cases.model import Case, Message
from harness.judging.results import Status
from harness.judging.verdict import judge
from harness.metrics import score
from harness.metrics.turns import earlier_answers, turn_scores
from tests.support.builders import case
from tests.support.texts import CLEAN

OTHER = "Nobody had expected the parcel to arrive before Tuesday, and yet there it stood on the step."


def conversation(*contents: str, standard_answer: str | None = None) -> Case:
    """A case whose messages are these, user and assistant in turn."""
    roles = ("user", "assistant")
    messages = tuple(Message(roles[k % 2], content) for k, content in enumerate(contents))  # type: ignore[arg-type]
    return replace(case(standard_answer=standard_answer), messages=messages)


@pytest.mark.parametrize(
    ("answer", "status"), [(CLEAN, Status.FAIL), (OTHER, Status.PASS)], ids=["said before", "something new"]
)
def test_an_answer_that_an_earlier_turn_gave_already_fails(answer: str, status: Status) -> None:
    """It is a repeater, though it repeats nothing within itself."""
    of = conversation("Tell me of the mill.", CLEAN, "And of the baker?")
    verdict = judge(of, score(answer, of), "stop")
    assert verdict.status is status
    assert verdict.repeater is (status is Status.FAIL)


def test_who_asks_again_gets_the_same_answer() -> None:
    """Then there is nothing to compare with."""
    of = conversation("Tell me of the mill.", CLEAN, "Tell me of the mill.")
    assert earlier_answers(of) == ()
    assert judge(of, score(CLEAN, of), "stop").status is Status.PASS


def test_a_standard_answer_that_says_it_again_excuses_it() -> None:
    """What is asked for is no fault."""
    of = conversation("Tell me of the mill.", CLEAN, "Once more, please.", standard_answer=CLEAN)
    assert judge(of, score(CLEAN, of), "stop").status is Status.PASS


def test_without_earlier_answers_there_is_no_score() -> None:
    """And so no rule."""
    assert turn_scores(CLEAN, (), None) == {}
