"""The best checkpoint is kept, by a rule that a person can check, and never by holdout cases."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.model import Case
from harness.fix.checkpoints import (
    MAX_CASES,
    MIN_HELD_BACK,
    CheckpointFigures,
    Selection,
    choose,
    judge_checkpoints,
    looked_at,
)
from harness.fix.plan import FixPlan, fitted
from harness.fix.promotion import effects
from harness.judging.results import CaseResult, Status, Verdict
from harness.project.manifest import Adapter
from harness.project.sampling import Sampling
from harness.store import Run
from tests.support.builders import case, looped, result
from trainers import Drift
from trainers.recipe import Recipe, named_recipe

LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)
CLEAN = "The sea is wide. It sings at night. The sailors sleep."
GOOD = CheckpointFigures(step=20, fixed=9, broken=0, guards_broken=0, cutoff_rate=0.2, repetition=0.1)


def of(**fields: Any) -> CheckpointFigures:
    return dataclasses.replace(GOOD, **fields)


def failing(count: int) -> list[CaseResult]:
    return [result(case(f"badcase1/f{i}"), LOOPING, LOOPS) for i in range(count)]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (of(step=40, guards_broken=1, fixed=12), of(step=10, fixed=1)),
        (of(step=40, cutoff_rate=0.6, fixed=12), of(step=10, fixed=1)),
        (of(step=10, fixed=0, cutoff_rate=0.0), of(step=40, fixed=1)),
        (of(step=10, guards_broken=2), of(step=40, guards_broken=1, fixed=3)),
        (of(step=10, errors=1, fixed=12), of(step=40)),
        (of(step=10, fixed=8), of(step=40, fixed=9)),
        (of(step=10, fixed=10, broken=2), of(step=40, fixed=9)),
        (of(step=10, cutoff_rate=0.3), of(step=40, cutoff_rate=0.2)),
        (of(step=10, repetition=0.2), of(step=40, repetition=0.1)),
        (of(step=40), of(step=10)),
        (of(step=40, cutoff_rate=0.2), of(step=10, cutoff_rate=0.24)),
        (of(step=40, repetition=0.1), of(step=10, repetition=0.115)),
        (of(step=10, cutoff_rate=0.5001, fixed=12), of(step=40, cutoff_rate=0.5, fixed=1)),
        (of(step=10, broken=1), of(step=40)),
        (of(step=10, cutoff_rate=0.3, repetition=0.0), of(step=40, cutoff_rate=0.2, repetition=0.5)),
        (of(step=10, errors=1, fixed=12), of(step=40, guards_broken=2)),
        (of(step=10, errors=2), of(step=5, errors=1)),
        (of(step=5, errors=1), of(step=10, errors=1)),
        (of(step=10, guards_broken=1, fixed=12), of(step=40, fixed=1)),
        (of(step=10, against=("shorter",), fixed=12), of(step=40, fixed=1)),
        (of(step=10, fixed=0), of(step=40, fixed=1, broken=3)),
        (of(step=10, guards_broken=1, fixed=12), of(step=40, fixed=0)),
    ],
    ids=[
        "guard", "cut-off", "nothing-fixed", "fewer-guards", "errors", "more-fixed", "passing", "fewer-cut",
        "repetition", "tie-goes-to-fewer-steps", "an-answer-more-is-a-tie", "hardly-more-repetition-is-a-tie",
        "as-many-cut-as-before", "broken-counts", "cut-before-repetition", "errors-are-last", "fewer-errors",
        "errors-and-more-steps", "a-guard-of-more-fixed", "another-reason", "something-must-be-fixed",
        "a-guard-before-nothing-fixed",
    ],
)  # fmt: skip
def test_the_rule(worse: CheckpointFigures, better: CheckpointFigures) -> None:
    """What may be blessed first, then what passes most, then what is cleaner, then what moved least."""
    assert choose([worse, better], cutoff_before=0.5) == better.step
    assert choose([better, worse], cutoff_before=0.5) == better.step


@given(st.permutations([of(step=s, fixed=s % 3, guards_broken=s % 2) for s in range(1, 7)]))
def test_the_order_of_checkpoints_does_not_matter(checkpoints: list[CheckpointFigures]) -> None:
    """The choice is a property of the figures."""
    assert choose(checkpoints, 0.5) == 2


def test_three_failing_cases_are_all_looked_at() -> None:
    """With few cases none can be spared: they are trained on and looked at, beside guards and what passes."""
    results = [*failing(3), result(case("badcase1/p"), CLEAN), result(case("badcase1/g", role="guard"), CLEAN)]
    found, held_back = looked_at(results, {f"badcase1/f{i}" for i in range(3)})
    assert len(found) == 5
    assert not held_back


def test_cases_that_were_not_trained_on_decide_where_there_are_enough() -> None:
    """What a training never saw tells more than what it learnt by heart."""
    results = failing(40)
    found, held_back = looked_at(results, {f"badcase1/f{i}" for i in range(MIN_HELD_BACK, 40)})
    assert held_back
    assert {r.case.id for r in found} == {f"badcase1/f{i}" for i in range(MIN_HELD_BACK)}


def test_holdout_cases_have_no_say() -> None:
    """A figure that something was chosen by is no test."""
    results = [*failing(3), result(case("badcase1/h", role="holdout"), LOOPING, LOOPS)]
    results.append(result(case("badcase1/i", role="holdout"), CLEAN))
    assert all(r.case.role != "holdout" for r in looked_at(results, set())[0])


def test_three_thousand_cases_cost_no_more_than_a_few_dozen() -> None:
    """What is looked at is bounded, whatever the suite's size."""
    guards = [result(case(f"badcase1/g{i}", role="guard"), CLEAN) for i in range(900)]
    passing = [result(case(f"badcase1/p{i}"), CLEAN) for i in range(900)]
    assert len(looked_at([*failing(3000), *passing, *guards], set())[0]) == sum(MAX_CASES.values())


@pytest.mark.parametrize(("count", "held"), [(3, 0), (99, 0), (100, 10), (400, 40), (3000, 48)])
def test_a_tenth_is_held_back_from_a_hundred_failing_cases_on(count: int, held: int) -> None:
    """Fewer are all trained on; held-back ones are not."""
    plan = FixPlan(
        run=Run(id="r", started="", finished=None, status="finished", planned=count, facts={}),
        parent=Adapter(name="v4.0", model="tiny"),
        name="v4.1",
        failures=tuple(failing(count)),
        others=(),
        passing=(),
        results=(),
        recipe=Recipe(),
        sampling=Sampling(),
    )
    assert len(plan.held_back) == held
    assert len(plan.training) == count - held
    assert not {r.case.id for r in plan.held_back} & {r.case.id for r in plan.training}


@pytest.mark.parametrize(
    ("pairs", "steps"), [(10, 36), (46, 36), (160, 100), (320, 200), (4000, 1000)], ids=lambda v: str(v)
)
def test_steps_fit_the_data(pairs: int, steps: int) -> None:
    """Few pairs are seen more often, many less often but all of them once."""
    recipe = fitted(named_recipe("fix", gpus=""), pairs)
    each = math.ceil(pairs / (recipe.batch_size * recipe.accumulation))
    assert recipe.epochs * each == pytest.approx(steps, rel=0.02)
    assert recipe.save_steps == math.ceil(steps / 4)


def test_a_recipe_that_says_its_steps_keeps_them() -> None:
    """max_steps and save_steps are a person's word."""
    recipe = fitted(Recipe(max_steps=7, save_steps=3, epochs=2.0), 100)
    assert (recipe.max_steps, recipe.save_steps, recipe.epochs) == (7, 3, 2.0)


def test_effects_are_told_by_role_and_lengths_only_of_sound_answers() -> None:
    """A cured case has no sound length before, so it does not count in the ratio."""
    before = [
        result(case("badcase1/f"), LOOPING, LOOPS, values={"units": 200.0}),
        result(case("badcase1/g", role="guard"), CLEAN, values={"units": 10.0}),
    ]
    after = [
        result(case("badcase1/f"), CLEAN, values={"units": 50.0}),
        result(case("badcase1/g", role="guard"), CLEAN, values={"units": 12.0}),
    ]
    fix, guard, whole = effects(before, after)
    assert (fix.role, fix.repeaters, fix.cutoffs, fix.length_ratio) == ("fix", (1, 0), (1, 0), None)
    assert (guard.role, guard.repeaters) == ("guard", (0, 0))
    assert [guard.length_ratio, whole.length_ratio] == pytest.approx([1.2, 1.2])
    assert whole.cases == 2


def test_figures_of_what_could_not_be_judged_set_no_standard() -> None:
    """A checkpoint in error has no cut-off rate that the others could be compared with."""
    broken = of(step=5, errors=1, cutoff_rate=0.0, repetition=0.0)
    few, more = of(step=20, cutoff_rate=0.24, repetition=0.119), of(step=10, cutoff_rate=0.28, repetition=0.13)
    assert choose([broken, few, more], cutoff_before=0.5) == 10
    assert choose([broken], cutoff_before=0.5) == 5


@pytest.mark.parametrize(("held", "kept"), [(8, True), (7, False)])
def test_eight_cases_that_were_held_back_decide(held: int, kept: bool) -> None:
    """Of fewer all failing cases are looked at."""
    found, held_back = looked_at(failing(20), {f"badcase1/f{i}" for i in range(held, 20)})
    assert held_back is kept
    assert len(found) == (held if kept else 20)


def test_only_what_failed_or_passed_on_the_parent_is_looked_at() -> None:
    """A case in error is neither, and a failing guard is none that could break."""
    error = result(case("badcase1/e"), verdict=Verdict(Status.ERROR))
    guard = result(case("badcase1/g", role="guard"), LOOPING, LOOPS)
    found, _ = looked_at([*failing(2), error, guard], set())
    assert [r.case.id for r in found] == ["badcase1/f0", "badcase1/f1"]


class Answers:
    """An evaluation that has every answer already."""

    def __init__(self, results: list[CaseResult]) -> None:
        self.results = results
        self.asked: list[tuple[str, str]] = []
        self.facts: Mapping[str, Any] = {}

    def run(self, pairs: Sequence[tuple[Case, str]], facts: Mapping[str, Any]) -> list[CaseResult]:
        self.asked = [(of.id, name) for of, name in pairs]
        self.facts = facts
        return self.results


def test_every_checkpoint_answers_the_same_cases_and_is_counted_by_itself() -> None:
    """Fixed, broken and guards apart; what was not judged is an error, and what it passed before is lost."""
    before = [
        result(case("badcase1/f"), LOOPING, LOOPS, values={"units": 90.0}),
        result(case("badcase1/p"), CLEAN, values={"units": 10.0}),
        result(case("badcase1/g", role="guard"), CLEAN, values={"units": 10.0}),
    ]

    def side(name: str, *failing: str, error: str = "") -> list[CaseResult]:
        return [
            result(r.case, adapter=name, verdict=Verdict(Status.ERROR)) if r.case.id == f"badcase1/{error}"
            else result(r.case, LOOPING, LOOPS, adapter=name) if r.case.id.removeprefix("badcase1/") in failing
            else result(r.case, CLEAN, adapter=name, values={"units": 20.0})
            for r in before
        ]  # fmt: skip

    answers = Answers([*side("c1"), *side("c2", "f", "p", "g"), *side("c3", error="p")])
    moved = Drift(kind="guard", kl=0.3, before=-1.0, now=-1.1, tokens=400.0)
    steps = {"c1": 10, "c2": 20, "c3": 30}
    evaluation: Any = answers
    first, second, third = judge_checkpoints(evaluation, before, steps, {10: (), 20: (moved,), 30: ()}, 0.2)
    assert answers.asked == [(r.case.id, name) for name in steps for r in before]
    assert answers.facts == {"kind": "selection", "command": ["harness", "fix"]}
    assert (first.step, first.fixed, first.broken, first.guards_broken, first.errors) == (10, 1, 0, 0, 0)
    assert (first.length_ratio, first.against, first.drift) == (2.0, (), ())
    assert (second.step, second.fixed, second.broken, second.guards_broken) == (20, 0, 1, 1)
    assert (second.cutoff_rate, second.drift, len(second.against)) == (1.0, (moved,), 1)
    assert second.repetition > 0.9
    assert (third.step, third.fixed, third.broken, third.guards_broken, third.errors) == (30, 1, 1, 0, 1)


def test_a_checkpoint_of_other_lengths_says_why_it_may_not_be_blessed() -> None:
    """Eight sound answers of twice the length."""
    before = [result(case(f"badcase1/p{i}"), CLEAN, values={"units": 10.0}) for i in range(8)]
    after = [result(r.case, CLEAN, adapter="c1", values={"units": 20.0}) for r in before]
    evaluation: Any = Answers(after)
    (only,) = judge_checkpoints(evaluation, before, {"c1": 10}, {10: ()}, 0.0)
    assert "became longer" in only.against[0]


def test_a_training_with_one_checkpoint_has_looked_at_nothing() -> None:
    """What a selection says where there was nothing to choose from."""
    assert Selection(step=3, steps=3) == Selection(
        step=3, steps=3, failing=0, held_back=False, passing=0, guards=0, checkpoints=(), note=""
    )


@pytest.mark.parametrize("figure", ["cutoff_rate", "repetition"])
def test_hardly_worse_than_the_lowest_is_a_tie_whatever_else_there_is(figure: str) -> None:
    """A third checkpoint that is clearly worse does not part two that are alike."""
    more = 0.04 if figure == "cutoff_rate" else 0.015
    lowest, alike, worse = of(step=40), of(step=10), of(step=5)
    alike = dataclasses.replace(alike, **{figure: getattr(GOOD, figure) + more})
    worse = dataclasses.replace(worse, **{figure: getattr(GOOD, figure) + 2 * more})
    assert choose([lowest, alike, worse], cutoff_before=0.5) == 10
