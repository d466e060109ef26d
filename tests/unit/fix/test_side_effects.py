"""A cure that costs sound answers their length, or the model its language, is told and not blessed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from harness.fix.checkpoints import CheckpointFigures, choose
from harness.fix.side_effects import drift_problems, length_problem, sound_lengths
from harness.judging.results import CaseResult
from tests.support.builders import case, looped, result
from trainers import Drift

LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)
CLEAN = "The sea is wide."
GUARD = Drift(kind="guard", kl=0.3, before=-1.0, now=-1.1, tokens=400.0)


def sound(number: int, units: float, finish_reason: Literal["stop", "length"] = "stop") -> CaseResult:
    return result(case(f"badcase1/c{number}"), CLEAN, values={"units": units}, finish_reason=finish_reason)


def side(*lengths: float) -> list[CaseResult]:
    return [sound(number, units) for number, units in enumerate(lengths)]


@pytest.mark.parametrize(
    ("after", "word"),
    [(60.0, "shorter"), (79.0, "shorter"), (80.0, None), (85.0, None), (120.0, None), (125.0, None), (126.0, "longer")],
    ids=str,
)
def test_sound_answers_of_another_length_are_a_problem(after: float, word: str | None) -> None:
    """0.8 to 1.25 times the length before is no change."""
    problem = length_problem(sound_lengths(side(*[100.0] * 10), side(*[after] * 10)))
    assert (word in problem) if word and problem else problem is None and word is None


def test_a_few_answers_tell_nothing_about_lengths() -> None:
    """A median of seven is no evidence."""
    assert length_problem(sound_lengths(side(*[100.0] * 7), side(*[10.0] * 7))) is None


@pytest.mark.parametrize(("answers", "comparable"), [(7, False), (8, True)])
def test_a_few_answers_are_said_to_be_too_few(answers: int, comparable: bool) -> None:
    """Nobody may read that lengths were kept where nothing could be compared."""
    assert sound_lengths(side(*[100.0] * answers), side(*[90.0] * answers)).comparable is comparable


def test_answers_that_were_cut_off_or_loop_have_no_length() -> None:
    """Only what ended by itself counts, on its own side."""
    before = [sound(0, 50.0), sound(1, 250.0, "length"), result(case("badcase1/c2"), LOOPING, LOOPS)]
    lengths = sound_lengths(before, side(60.0, 80.0, 90.0))
    assert (lengths.before, lengths.after, lengths.cases, lengths.fewest) == (50.0, 80.0, 1, 1)
    assert (lengths.paired_before, lengths.paired_after) == (50.0, 60.0)


def test_cured_answers_that_are_longer_are_no_problem_by_themselves() -> None:
    """Prompts that looped ask for more: the cases that were sound before decide with."""
    before = [*side(*[50.0] * 10), *(result(case(f"badcase1/l{i}"), LOOPING, LOOPS) for i in range(30))]
    cured = [result(case(f"badcase1/l{i}"), CLEAN, values={"units": 120.0}) for i in range(30)]
    assert length_problem(sound_lengths(before, [*side(*[50.0] * 10), *cured])) is None


def test_a_side_without_sound_answers_has_no_ratio() -> None:
    """Nothing is divided by nothing."""
    lengths = sound_lengths([result(case("badcase1/c0"), LOOPING, LOOPS)], side(50.0))
    assert (lengths.ratio, lengths.paired_ratio, length_problem(lengths)) == (None, None, None)


@pytest.mark.parametrize(
    ("limit", "kl", "problems"),
    [(0.5, 0.3, 0), (0.3, 0.3, 0), (0.2, 0.3, 1), (0.0, 9.0, 0), (0.5, float("nan"), 1)],
    ids=["below", "at it", "above", "no limit", "not a number"],
)
def test_a_model_that_has_moved_too_far_is_named(limit: float, kl: float, problems: int) -> None:
    """The limit is a finite test: a divergence that is no number is not below it."""
    drift = Drift(kind="guard", kl=kl, before=-1.0, now=-1.0, tokens=10.0)
    assert len(drift_problems([drift], limit)) == problems


def test_a_checkpoint_of_other_lengths_is_taken_last() -> None:
    """It may not be blessed, so one that fixes less and may is better."""
    good = CheckpointFigures(step=9, fixed=3, broken=0, guards_broken=0, cutoff_rate=0.1, repetition=0.1)
    short = CheckpointFigures(
        step=18, fixed=9, broken=0, guards_broken=0, cutoff_rate=0.0, repetition=0.0, against=("shorter",)
    )
    assert choose([good, short], cutoff_before=0.5) == 9


def test_eight_answers_tell_something_about_lengths() -> None:
    """On each side; a side with seven has too few, whichever it is."""
    assert length_problem(sound_lengths(side(*[100.0] * 8), side(*[10.0] * 8))) is not None
    more = [*side(*[100.0] * 7), sound(7, 100.0, "length")]
    assert length_problem(sound_lengths(more, side(*[10.0] * 8))) is None
    assert length_problem(sound_lengths(side(*[100.0] * 8), [*side(*[10.0] * 7), sound(7, 1.0, "length")])) is None


def test_the_problem_tells_both_medians_of_both_sides() -> None:
    """Over all sound answers, and over the cases that are sound on both sides."""
    before = [*side(*[100.0] * 8), sound(8, 1.0, "length")]
    after = [*side(*[60.0] * 8), sound(8, 40.0)]
    assert length_problem(sound_lengths(before, after)) == (
        "sound answers became shorter: a median of 60 units, 100 before; 60 and 100 over the 8 cases that are sound on "
        "both sides (0.8 to 1.25 times is kept)"
    )


@pytest.mark.parametrize(
    ("paired", "cured", "word"),
    [(60.0, 60.0, "shorter"), (60.0, 200.0, None), (140.0, 200.0, "longer"), (140.0, 20.0, None)],
    ids=["both shorter", "one shorter", "both longer", "one longer"],
)
def test_both_medians_must_say_that_lengths_have_changed(paired: float, cured: float, word: str | None) -> None:
    """Cured answers, which count after alone, and the others."""
    before = [*side(*[100.0] * 8), *(result(case(f"badcase1/l{i}"), LOOPING, LOOPS) for i in range(30))]
    after = [*side(*[paired] * 8), *(result(case(f"badcase1/l{i}"), CLEAN, values={"units": cured}) for i in range(30))]
    problem = length_problem(sound_lengths(before, after))
    assert (problem is None) is (word is None)
    assert word is None or f"became {word}" in str(problem)


def test_lengths_before_of_0_give_no_ratio() -> None:
    """An answer of marks alone has no units."""
    lengths = sound_lengths(side(0.0, 0.0), side(5.0, 5.0))
    assert (lengths.before, lengths.ratio, lengths.paired_ratio) == (0.0, None, None)


def test_cases_of_one_side_alone_have_no_say_in_lengths() -> None:
    """Nor has a case without answers, or one that was never scored."""
    bare = replace(sound(1, 30.0), attempts=())
    (one,) = sound(2, 30.0).attempts
    unscored = replace(sound(2, 30.0), attempts=(replace(one, scores=None),))
    lengths = sound_lengths([sound(0, 10.0), bare, unscored, sound(9, 70.0)], side(20.0, 40.0, 60.0))
    assert (lengths.before, lengths.after, lengths.cases, lengths.fewest) == (10.0, 40.0, 1, 1)
    assert (lengths.ratio, lengths.paired_ratio) == (4.0, 2.0)


def test_every_kind_of_text_that_moved_too_far_is_told_by_name() -> None:
    """With the divergence and the limit."""
    drift = [GUARD, replace(GUARD, kind="ordinary", kl=0.4), replace(GUARD, kind="letters", kl=0.5)]
    assert drift_problems(drift, 0.25) == [
        f"it has moved away from its parent on {texts}: a divergence of {kl} nats a token, more than max_drift = 0.25"
        for texts, kl in (("the guards' answers", "0.300"), ("ordinary texts", "0.400"), ("letters", "0.500"))
    ]


def test_where_no_case_is_sound_on_both_sides_all_sound_answers_decide() -> None:
    """Eight answers that were cured against eight that were lost."""
    looping = [result(case(f"badcase1/c{i}"), LOOPING, LOOPS) for i in range(16)]
    before = [*(sound(i, 100.0) for i in range(8)), *looping[8:]]
    after = [*looping[:8], *(sound(i, 50.0) for i in range(8, 16))]
    lengths = sound_lengths(before, after)
    assert (lengths.ratio, lengths.paired_ratio) == (0.5, None)
    assert "became shorter" in str(length_problem(lengths))


def test_lengths_of_0_are_no_problem() -> None:
    """Eight answers of marks alone have no length to keep."""
    assert length_problem(sound_lengths(side(*[0.0] * 8), side(*[50.0] * 8))) is None


def test_a_case_that_limits_its_length_itself_has_no_length_to_keep() -> None:
    """Its answers were too long, and shorter ones are the cure."""
    limited = [
        replace(r, case=replace(r.case, thresholds=replace(r.case.thresholds, max_length_ratio=1.5)))
        for r in side(*[100.0] * 10)
    ]
    cured = [replace(r, case=old.case) for r, old in zip(side(*[10.0] * 10), limited, strict=True)]
    assert sound_lengths(limited, cured).fewest == 0
    assert length_problem(sound_lengths(limited, cured)) is None
