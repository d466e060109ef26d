"""A recipe is checked whole before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SettingsError
from trainers.recipe import Recipe, named_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    """What ships loads, and knows its own name."""
    assert named_recipe(name).name == name


def test_the_defaults_of_todays_users_are_one_named_recipe() -> None:
    """Who moves over keeps the training that they know."""
    recipe = named_recipe("production")
    assert (recipe.cutoff_len, recipe.batch_size, recipe.lora_rank, recipe.lora_alpha) == (4096, 1, 8, 16)
    assert (recipe.lora_dropout, recipe.learning_rate, recipe.epochs, recipe.val_size) == (0.05, 1e-4, 1.0, 0.05)
    assert (recipe.precision, recipe.deepspeed) == ("bf16", "zero3")


def test_all_problems_come_in_one_message() -> None:
    """Nobody mends a recipe one error at a time."""
    with pytest.raises(SettingsError) as error:
        Recipe.from_mapping({"lora_rnak": 4, "epochs": -1, "precision": "fp8", "batch_size": 1.5, "seed": True,
                             "gpus": "0,x"})  # fmt: skip
    for word in ("'lora_rnak' (did you mean 'lora_rank'?)", "epochs", "precision", "batch_size", "seed", "'0,x'"):
        assert word in str(error.value)


@pytest.mark.parametrize("loss", ["hinge", "ipo", "kto_pair"])
def test_losses_that_silently_train_another_are_refused(loss: str) -> None:
    """LLaMA-Factory with trl 0.24 trains plain DPO under these names."""
    with pytest.raises(SettingsError, match="silently"):
        Recipe.from_mapping({"pref_loss": loss})


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"quantization": 4, "tuning": "full"}, "lora"),
        ({"quantization": 8, "deepspeed": "zero3"}, "ZeRO-3"),
        ({"quantization": 4, "resize_vocab": True, "additional_targets": ["lm_head"]}, "resize_vocab"),
        ({"resize_vocab": True}, "additional_targets"),
        ({"learning_rate": 0}, "nothing"),
        ({"environment": {"nccl_debug": "INFO"}}, "environment"),
        ({"lora_targets": []}, "lora_targets"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else "",
)
def test_combinations_that_cannot_work_are_refused(values: dict[str, object], word: str) -> None:
    """Before a GPU minute is spent."""
    with pytest.raises(SettingsError, match=word):
        Recipe.from_mapping(values)


def test_changes_go_over_a_named_recipe_and_none_changes_nothing() -> None:
    """An option that was not given leaves the recipe's own value."""
    recipe = named_recipe("fix", gpus=None, epochs=1.0)
    assert (recipe.gpus, recipe.epochs) == ("", 1.0)


def test_a_projects_own_recipe_is_read_from_its_path(tmp_path: Path) -> None:
    """A path that ends in .toml is a file."""
    path = tmp_path / "mine.toml"
    path.write_text("lora_rank = 4\nsave_steps = 'off'\n", "utf-8")
    assert named_recipe(str(path)) == Recipe(name="mine", lora_rank=4)


@pytest.mark.parametrize("text", ["lora_rank = ", "x = 1", "\xff"], ids=["no TOML", "unknown field", "no UTF-8"])
def test_a_damaged_recipe_is_one_line(tmp_path: Path, text: str) -> None:
    """Never a traceback."""
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match="recipe"):
        named_recipe(str(path))


def test_an_unknown_name_lists_the_known() -> None:
    """The reader sees what there is."""
    with pytest.raises(SettingsError, match="fix, fix-kto, fix-sft, production"):
        named_recipe("quick")


def test_a_recipe_survives_its_own_mapping() -> None:
    """What is kept with a training can be trained with again."""
    recipe = named_recipe("production", environment={"NCCL_DEBUG": "WARN"})
    assert Recipe.from_mapping(recipe.to_mapping()) == recipe
