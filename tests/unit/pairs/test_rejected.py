"""A rejected answer is what the model said, up to its fault, and only the fault is unlearned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.fix.missing_facts import advice, without_answer
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.pairs.build import build_pairs, loop_copy
from harness.pairs.rejected import before_fault, rejected_answers, trim_loop
from tests.support.builders import case, looped, result

LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)


def failing(answer: str, rule: str = "similarity", finish_reason: str = "stop", **fields: object) -> CaseResult:
    """A case that fails for another reason than a loop."""
    of = replace(case("badcase1/f"), **fields)  # type: ignore[arg-type]
    verdict = Verdict(Status.FAIL, (Reason(rule=rule, text="no"),))
    attempt = Attempt(
        sample=0, answer=answer, finish_reason=finish_reason, scores=result(of, answer).attempts[0].scores,  # type: ignore[arg-type]
        verdict=verdict,
    )  # fmt: skip
    return CaseResult(of, "v4.0", (attempt,), verdict)


def test_a_loops_fault_begins_with_its_second_copy() -> None:
    """The first copy is said once, as any sentence is."""
    for rejected in rejected_answers(result(answer=LOOPING, loops=LOOPS), ()):
        assert rejected.text[: rejected.fault_at] == "The sea is blue. The waves roll in. "
        assert rejected.text.startswith(trim_loop(LOOPING, LOOPS[0], 2))


def test_a_forbidden_words_fault_is_the_word() -> None:
    """What follows it is not seen, what precedes it is sound."""
    failed = failing("You may take two pills. I am a doctor, so trust me.", must_not_include=("I am a doctor",))
    (rejected,) = rejected_answers(failed, ())
    assert (rejected.text, rejected.fault_at) == ("You may take two pills. I am a doctor", 24)
    assert not rejected.finished
    assert before_fault(failed) == "You may take two pills."


@pytest.mark.parametrize(("finish_reason", "finished"), [("stop", True), ("length", False)], ids=["ended", "cut off"])
def test_an_answer_without_a_place_of_its_fault_is_rejected_whole(finish_reason: str, finished: bool) -> None:
    """Unlike the standard answer, too long, never ended: no part of it is the fault."""
    (rejected,) = rejected_answers(failing("The moon is made of cheese.", finish_reason=finish_reason), ())
    assert (rejected.text, rejected.finished, rejected.fault_at) == ("The moon is made of cheese.", finished, 0)


def test_a_looped_copys_fault_is_what_was_appended() -> None:
    """Replay teaches not to repeat a good answer, and never that it is bad."""
    passing = [result(case(f"badcase1/p{i}"), "The sea is wide. It sings.") for i in range(3)]
    pairs = build_pairs([result(answer=LOOPING, loops=LOOPS)], passing, {}, {}, {})
    copies = [p for p in pairs if p.origin == "replay" and not p.rejected_finished]
    assert copies
    assert all(p.rejected[: p.fault_at] == p.chosen.rstrip() for p in copies)
    assert loop_copy("One. Two.").startswith("One. Two.")


def test_a_fact_that_no_sample_had_is_named_with_a_remedy() -> None:
    """Preferences move probability between answers that a model has; this one it has not."""
    failed = failing("The capital is Sydney.", must_include=("Canberra",), rule="must_include[0]")
    assert without_answer([failed], {}) == (failed,)
    assert "--stage sft" in advice([failed], 3)


@pytest.mark.parametrize(
    ("failed", "clean"),
    [
        (failing("The moon is made of cheese."), {"badcase1/f": ("The moon is rock.",)}),
        (failing("Long.", rule="longest"), {}),
        (result(case("badcase1/f"), LOOPING, LOOPS), {}),
    ],
    ids=["a sample passed", "too long", "a loop"],
)
def test_what_the_model_can_say_is_left_to_preferences(failed: CaseResult, clean: dict[str, tuple[str, ...]]) -> None:
    """No advice where pairs of its own can be made, or nothing is lacking."""
    assert not without_answer([failed], clean)
    assert advice((), 3) == ""
