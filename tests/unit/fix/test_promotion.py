"""A new version replaces its parent only where nothing speaks against it, and every reason against it is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from harness.cases.model import Role
from harness.engines.base import FinishReason
from harness.fix.promotion import Promotion, decide, effects
from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.metrics.types import Scores
from harness.suite.compare import compare
from tests.support.builders import case, looped, result
from trainers import Drift

LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)
CLEAN = "The sea is wide."
ERROR = Verdict(Status.ERROR, (Reason(rule="engine", text="it broke"),))
MOVED = Drift(kind="guard", kl=0.3, before=-1.0, now=-1.1, tokens=400.0)


def good(name: str, units: float = 10.0, *, role: Role = "fix", ended: FinishReason = "stop") -> CaseResult:
    return result(case(f"badcase1/{name}", role=role), CLEAN, values={"units": units}, finish_reason=ended)


def loop(name: str, *, role: Role = "fix", ended: FinishReason = "stop") -> CaseResult:
    return result(case(f"badcase1/{name}", role=role), LOOPING, LOOPS, finish_reason=ended)


def unjudged(name: str) -> CaseResult:
    return result(case(f"badcase1/{name}"), verdict=ERROR)


BEFORE = (loop("a"), good("b"), good("g", role="guard"))
AFTER = (good("a"), good("b"), good("g", role="guard"))


def decided(before: Sequence[CaseResult] = BEFORE, after: Sequence[CaseResult] = AFTER, **more: Any) -> Promotion:
    return decide(compare(before, after), before, after, **{"suite_cases": 0, **more})


@pytest.mark.parametrize("suite_cases", [0, 2, 3], ids=["no condition", "fewer", "all"])
def test_a_version_that_fixes_and_breaks_nothing_is_blessed(suite_cases: int) -> None:
    """Without any reason against it, where the whole suite was run."""
    assert decided(suite_cases=suite_cases) == Promotion(blessed=True, reasons=(), lengths_compared=False)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (BEFORE, (*AFTER[:2], unjudged("g")), ["cases without a judgement: 1"]),
        (BEFORE, AFTER[:2], ["not every case was run again"]),
        (BEFORE, (*AFTER[:2], loop("g", role="guard")), ["broken guard cases: 1 (badcase1/g)"]),
        (BEFORE, BEFORE, ["no case was fixed"]),
        (
            BEFORE,
            (*AFTER[:2], good("g", role="guard", ended="length")),
            ["more answers are cut off: 33% of them, 0% before"],
        ),
        (
            (loop("a"), good("g", role="guard")),
            (loop("a"), loop("g", role="guard")),
            ["broken guard cases: 1 (badcase1/g)", "no case was fixed"],
        ),
    ],
    ids=["not judged", "missing", "guard", "nothing fixed", "cut off", "two reasons"],
)
def test_what_speaks_against_a_version_is_named(
    before: tuple[CaseResult, ...], after: tuple[CaseResult, ...], reasons: list[str]
) -> None:
    """Each reason alone keeps it a candidate, and several are all told."""
    assert decided(before, after) == Promotion(blessed=False, reasons=tuple(reasons), lengths_compared=False)


def test_a_part_of_the_suite_blesses_nothing() -> None:
    """The message says how much of it was run."""
    assert decided(suite_cases=4).reasons == ("only 3 of the suite's 4 cases were run",)


def test_as_many_cut_off_answers_as_before_are_no_reason() -> None:
    """Only more of them are."""
    before = (loop("a", ended="length"), good("b"), good("g", role="guard"))
    after = (good("a"), good("b", ended="length"), good("g", role="guard"))
    assert decided(before, after).blessed


def test_a_case_that_is_new_is_no_reason() -> None:
    """Only a case of before that is missing after is."""
    assert decided(BEFORE, (*AFTER, good("new"))).blessed


def test_a_broken_case_that_is_no_guard_does_not_decide() -> None:
    """A fix may cost another fix case; the gate judges that."""
    assert decided(BEFORE, (good("a"), loop("b"), good("g", role="guard"))).blessed


def test_at_most_five_broken_guards_are_named() -> None:
    """All of them are counted."""
    guards = [f"g{i}" for i in range(7)]
    before = (loop("a"), *(good(name, role="guard") for name in guards))
    after = (good("a"), *(loop(name, role="guard") for name in guards))
    named = ", ".join(f"badcase1/g{i}" for i in range(5))
    assert decided(before, after).reasons == (f"broken guard cases: 7 ({named})",)


def test_sound_answers_of_another_length_keep_it_a_candidate() -> None:
    """The median of ten sound answers halves."""
    before = (loop("a"), *(good(f"c{i}", 100.0) for i in range(10)))
    after = (good("a", 50.0), *(good(f"c{i}", 50.0) for i in range(10)))
    (reason,) = decided(before, after).reasons
    assert reason.startswith("sound answers became shorter")


@pytest.mark.parametrize(
    ("limit", "blessed"), [({}, True), ({"max_drift": 0.3}, True), ({"max_drift": 0.2}, False)], ids=str
)
def test_a_version_that_has_moved_too_far_stays_a_candidate(limit: dict[str, Any], blessed: bool) -> None:
    """Without a limit the divergence does not matter."""
    assert decided(drift=[dataclasses.replace(MOVED, kl=1.2 if not limit else 0.3)], **limit).blessed is blessed


def test_effects_tell_both_sides_of_every_figure() -> None:
    """Before and after, in this order, also where they differ."""
    before = [
        result(case("badcase1/a"), LOOPING, LOOPS, values={"repetition": 0.8, "similarity": 0.2}),
        result(case("badcase1/b"), CLEAN, values={"repetition": 0.0, "similarity": 0.4}),
    ]
    after = [
        result(case("badcase1/a"), CLEAN, values={"repetition": 0.1, "similarity": 0.6}),
        result(case("badcase1/b"), CLEAN, values={"repetition": 0.0, "similarity": 0.8}),
    ]
    fix, whole = effects(before, after)
    assert (fix.role, whole.role) == ("fix", "all")
    assert fix.repetition == pytest.approx((0.4, 0.05))
    assert fix.similarity == pytest.approx((0.3, 0.7))


def test_effects_have_no_similarity_without_standard_answers() -> None:
    """None is no zero."""
    bare = [without_similarity(result(case("badcase1/a", standard_answer=None), CLEAN))]
    assert [effect.similarity for effect in effects(bare, bare)] == [None, None]


def without_similarity(whole: CaseResult) -> CaseResult:
    (one,) = whole.attempts
    assert one.scores is not None
    values = {name: value for name, value in one.scores.values.items() if name != "similarity"}
    return dataclasses.replace(whole, attempts=(dataclasses.replace(one, scores=Scores(values)),))
