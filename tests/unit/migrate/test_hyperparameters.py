"""A script's hyperparameters become a recipe that trains the same; what is not taken is named with its reason."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.migrate.hyperparameters import draft_recipe
from harness.migrate.training_scripts import Training
from trainers.recipe import Recipe, named_recipe


def training(processes: int | None = 1, devices: str = "", **arguments: Any) -> Training:
    return Training(place="train.sh, line 3", arguments=arguments, processes=processes, devices=devices)


def recipe(tmp_path: Path, processes: int | None = 1, devices: str = "", **arguments: Any) -> Recipe:
    path = tmp_path / "v4.0.toml"
    path.write_text(draft_recipe(training(processes, devices, **arguments), "v4.0").text, "utf-8")
    return named_recipe(str(path))


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ({"learning_rate": "5e-6"}, "learning_rate", 5e-6),
        ({"num_train_epochs": "3.0"}, "epochs", 3),
        ({"lora_rank": "16"}, "lora_rank", 16),
        ({"lora_rank": "16"}, "lora_alpha", 32),
        ({"lora_target": "q_proj,v_proj"}, "lora_targets", ("q_proj", "v_proj")),
        ({"lora_target": ["q_proj"]}, "lora_targets", ("q_proj",)),
        ({"lr_scheduler_type": "cosine"}, "scheduler", "cosine"),
        ({"warmup_ratio": 0.1}, "warmup", 0.1),
        ({"warmup_steps": "20", "max_steps": "200"}, "warmup", 0.1),
        ({"pref_beta": "0.2"}, "pref_beta", 0.2),
        ({"max_steps": "-1"}, "max_steps", None),
        ({"flash_attn": "true"}, "attention", "fa2"),
        ({"pref_loss": "simpo"}, "pref_loss", "simpo"),
        ({"bf16": True}, "precision", "bf16"),
        ({"fp16": "true"}, "precision", "fp16"),
        ({"quantization_bit": 4, "lora_rank": 8}, "quantization", 4),
        ({"deepspeed": "examples/deepspeed/ds_z3_offload_config.json"}, "deepspeed", "zero3-offload"),
        ({"deepspeed": "zero2.json"}, "deepspeed", "zero2"),
        ({"disable_gradient_checkpointing": "true"}, "gradient_checkpointing", False),
        ({"flash_attn": "fa2"}, "attention", "fa2"),
        ({"create_new_adapter": "true", "adapter_name_or_path": "/a"}, "parent", "new"),
        ({"adapter_name_or_path": "/a"}, "parent", "continue"),
        ({"finetuning_type": "full"}, "tuning", "full"),
        ({}, "learning_rate", 5e-5),
        ({}, "epochs", 3),
        ({}, "scheduler", "linear"),
        ({}, "warmup", 0.0),
    ],
    ids=str,
)
def test_an_argument_is_taken_with_its_meaning(tmp_path: Path, arguments: Any, field: str, value: object) -> None:
    """What a script does not say is LLaMA-Factory's default, not the recipe's."""
    assert getattr(recipe(tmp_path, **arguments), field) == value


@pytest.mark.parametrize(("processes", "size", "each"), [(1, 2, 8), (8, 1, 2), (16, 4, 1)], ids=str)
def test_an_update_sees_as_many_examples_as_before(tmp_path: Path, processes: int, size: int, each: int) -> None:
    """LLaMA-Factory counts a batch for each device, a recipe for all of them together."""
    made = recipe(tmp_path, processes, per_device_train_batch_size=size, gradient_accumulation_steps=each)
    assert made.per_update == processes * size * each
    assert made.share(processes) == (size, each)


def test_the_devices_are_those_of_the_script(tmp_path: Path) -> None:
    """By their numbers where the script has them."""
    assert recipe(tmp_path, 4, "4,5,6,7").gpus == "4,5,6,7"
    assert recipe(tmp_path, 8, "").gpus == "8"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"use_unsloth": "true"}, "use_unsloth = true: the trainer has nothing like it"),
        ({"use_dora": "false"}, "use_dora = false: the trainer has nothing like it; it was off"),
        ({"invented": "7"}, "invented = 7: not known"),
        ({"warmup_steps": "20"}, "warmup_steps = 20: a recipe's warmup is a share of the steps"),
        ({"deepspeed": "mine.json"}, "deepspeed = mine.json: only ZeRO-2 and ZeRO-3"),
        ({"pref_loss": "ipo"}, "pref_loss = ipo: a recipe does not take it"),
        ({"learning_rate": "fast"}, "learning_rate = fast: a recipe does not take it"),
        ({"finetuning_type": "freeze"}, "finetuning_type = freeze: a recipe does not take it"),
        ({"lr_scheduler_type": "polynomial"}, "lr_scheduler_type = polynomial: a recipe does not take it"),
        ({"deepspeed": "z3.json", "adapter_name_or_path": "/a"}, "puts a new LoRA on top"),
    ],
    ids=str,
)
def test_what_is_not_taken_is_named_with_its_reason(arguments: Any, says: str) -> None:
    """In the report of the import, and in the recipe's own comments."""
    draft = draft_recipe(training(**arguments), "v4.0")
    assert says in "\n".join(draft.left)
    assert says in draft.text


def test_a_variable_that_is_not_known_is_not_taken_for_its_name() -> None:
    """``$LR`` is no learning rate."""
    script = Training(
        place="x", arguments={"learning_rate": "$LR"}, unresolved={"learning_rate": ("$LR",)}, processes=1
    )
    draft = draft_recipe(script, "v4.0")
    assert draft.left == ("learning_rate = $LR: the script does not set $LR",)


def test_a_secret_of_the_script_is_not_repeated() -> None:
    """The recipe is kept under version control."""
    draft = draft_recipe(training(hub_token="hf_abcdefgh", wandb_api_key="12345678"), "v4.0")
    assert "hf_abcdefgh" not in draft.text
    assert "12345678" not in draft.text
    assert "hub_token = ***: not known" in draft.left


def test_every_argument_is_taken_kept_elsewhere_or_left() -> None:
    """None is dropped in silence."""
    arguments: dict[str, Any] = {
        "stage": "dpo", "do_train": True, "learning_rate": "1e-5", "use_unsloth": "true", "invented": "1",
    }  # fmt: skip
    draft = draft_recipe(training(**arguments), "v4.0")
    left = {text.partition(" =")[0] for text in draft.left}
    assert {*draft.taken, *draft.elsewhere, *left} == set(arguments)


_VALUE = st.one_of(
    st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.none(),
    st.lists(st.text(max_size=5), max_size=3),
    st.sampled_from(["1e-5", "3", "true", "all", "linear", "nan", "1e999", "99999999999999999999", "fa2", "z3.json"]),
)  # fmt: skip
_NAME = st.sampled_from([
    "learning_rate", "num_train_epochs", "lora_rank", "lora_target", "per_device_train_batch_size", "deepspeed", "bf16",
    "gradient_accumulation_steps", "warmup_steps", "max_steps", "quantization_bit", "finetuning_type", "save_steps",
    "resize_vocab", "additional_target", "create_new_adapter", "pref_loss", "report_to", "adapter_name_or_path",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_NAME | st.text(max_size=12), _VALUE, max_size=8), st.sampled_from([None, 1, 8, 9999]))
def test_every_recipe_is_a_recipe(arguments: dict[str, Any], processes: int | None) -> None:
    """Whatever the arguments are, the file is TOML, and its fields make a recipe."""
    draft = draft_recipe(training(processes, "0,x", **arguments), "v4.0")
    assert Recipe.from_mapping(tomllib.loads(draft.text)) == Recipe.from_mapping(draft.fields)
