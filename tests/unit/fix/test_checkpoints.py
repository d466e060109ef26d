"""The best checkpoint is kept, by a rule that a person can check, and never by holdout cases."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fix.checkpoints import MAX_CASES, MIN_HELD_BACK, CheckpointFigures, choose, looked_at
from harness.fix.plan import FixPlan, fitted
from harness.fix.promotion import effects
from harness.judging.results import CaseResult
from harness.project.manifest import Adapter
from harness.project.sampling import Sampling
from harness.store import Run
from tests.support.builders import case, looped, result
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
    ],
    ids=[
        "guard", "cut-off", "nothing-fixed", "fewer-guards", "errors", "more-fixed", "passing", "fewer-cut",
        "repetition", "tie-goes-to-fewer-steps", "an-answer-more-is-a-tie", "hardly-more-repetition-is-a-tie",
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
