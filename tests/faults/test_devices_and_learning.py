"""The number of GPUs divides the work of a training; what is learnt is what the recipe says."""

from __future__ import annotations

import pytest

from trainers.recipe import Recipe, named_recipe, recipe_names


@pytest.mark.parametrize("processes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("batch_size", "accumulation"), [(1, 16), (2, 8), (4, 4), (8, 2), (16, 1)])
def test_an_update_has_as_many_examples_on_any_number_of_gpus(
    processes: int, batch_size: int, accumulation: int
) -> None:
    """63 pairs were 2.5 epochs on one GPU and 18 epochs on eight."""
    recipe = Recipe(batch_size=batch_size, accumulation=accumulation)
    size, steps = recipe.share(processes)
    assert size * steps * processes == recipe.per_update == 16
    assert size <= batch_size
    assert recipe.updates_per_epoch(160, processes) == 10


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 6, 7, 8, 12, 32, 64])
@pytest.mark.parametrize("name", recipe_names())
def test_where_it_cannot_be_divided_the_nearest_number_is_taken_and_said(name: str, processes: int) -> None:
    """Eight GPUs cannot share four pairs: each has one, and the dry run says so."""
    recipe = named_recipe(name)
    size, steps = recipe.share(processes)
    actual = size * steps * processes
    assert actual == processes or abs(actual - recipe.per_update) <= processes / 2
    assert size <= recipe.batch_size
    says = f"the recipe says {recipe.per_update} examples an update" in recipe.updates_text(63, processes)
    assert says == (actual != recipe.per_update)


def test_the_plan_says_updates_and_epochs() -> None:
    """In one line of the dry run."""
    recipe = Recipe(batch_size=2, accumulation=2, epochs=2.5)
    assert recipe.updates_text(64, 1) == "40 updates of 4 examples (2.5 epochs, 1 process)"
    assert recipe.updates_text(64, 4) == "40 updates of 4 examples (2.5 epochs, 4 processes)"
    assert recipe.updates_text(64, 8) == (
        "20 updates of 8 examples (2.5 epochs, 8 processes); the recipe says 4 examples an update"
    )


def test_production_makes_enough_updates_of_few_pairs_on_eight_gpus() -> None:
    """It made two."""
    from harness.fix.plan import fitted

    recipe = fitted(named_recipe("production", gpus=""), 16)
    assert recipe.per_update == 8
    assert recipe.epochs * recipe.updates_per_epoch(16, 8) >= 36
