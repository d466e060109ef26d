"""An adapter that is not understood whole is refused by name, before anything is merged or served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import AdapterError
from harness.models.adapters.folder import CONFIG, WEIGHTS, check
from harness.models.adapters.lineage import check_lineage
from harness.models.adapters.lora import Lora
from harness.models.adapters.tensors import write_tensors
from tests.support.adapters import lora

REFUSED: dict[str, Any] = {
    "init_lora_weights": "pissa",
    "fan_in_fan_out": True,
    "layer_replication": [[0, 4], [2, 5]],
    "lora_bias": True,
    "trainable_token_indices": [1, 2],
    "alora_invocation_tokens": [7],
    "use_qalora": True,
    "target_parameters": ["experts.down_proj"],
    "use_bdlora": {"nblocks": 2},
    "kasa_config": {"beta": 1},
    "a_field_of_next_year": 3,
    "bias": "all",
    "lora_alpha": float("inf"),
    "rank_pattern": float("inf"),
    "alpha_pattern": {"q_proj": float("nan")},
    "r": True,
}
PLAIN: dict[str, Any] = {
    "init_lora_weights": "gaussian", "lora_dropout": 0.1, "layers_to_transform": [0], "peft_version": "0.21.2",
    "qalora_group_size": 16, "runtime_config": {"ephemeral_gpu_offload": False}, "eva_config": {"rho": 2.0},
    "unsloth_fixed": True, "a_field_of_next_year": None, "use_dora": False, "megatron_core": "megatron.core",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_field_that_changes_the_update_and_is_not_understood_is_refused(tmp_path: Path, name: str) -> None:
    """A PiSSA adapter was merged into a broken model with exit code 0."""
    with pytest.raises(AdapterError, match=f"{name} = "):
        check(lora(tmp_path / "a", **{name: REFUSED[name]}))


@pytest.mark.parametrize("start", ["pissa_niter_4", "olora", "OLoRA", "corda", "loftq", "lora_ga", "of_next_year"])
def test_an_initialisation_that_changes_the_base_says_how_to_convert_it(tmp_path: Path, start: str) -> None:
    """The matrices belong to a base model that nobody has any more."""
    with pytest.raises(AdapterError, match="path_initial_model_for_weight_conversion"):
        check(lora(tmp_path / "a", init_lora_weights=start))


@pytest.mark.parametrize("name", PLAIN)
def test_a_field_without_effect_on_the_update_is_accepted(tmp_path: Path, name: str) -> None:
    """Facts about the training do not make an adapter unusable."""
    assert check(lora(tmp_path / "a", **{name: PLAIN[name]})).rank == 2


def test_all_wrong_fields_are_named_at_once(tmp_path: Path) -> None:
    """One message, not one for each try."""
    with pytest.raises(AdapterError, match=r"fan_in_fan_out = True .*; lora_bias = True"):
        check(lora(tmp_path / "a", fan_in_fan_out=True, lora_bias=True))


def test_dora_says_what_to_do(tmp_path: Path) -> None:
    """It can be merged by peft, and the merged model can be registered."""
    with pytest.raises(AdapterError, match=r"use_dora = true.*merge it with peft and register the model"):
        Lora(lora(tmp_path / "a", use_dora=True))


def test_the_rank_is_what_an_engine_must_make_room_for(tmp_path: Path) -> None:
    """verify said ok, and the engine "was started for 8 at most": the configuration says 32."""
    assert check(lora(tmp_path / "a", rank=2, r=32, rank_pattern={"q_proj": 2})).rank == 32


def test_layers_that_the_model_has_not_are_refused(tmp_path: Path) -> None:
    """From layer 5 on the names had another prefix: vLLM dropped these updates in silence."""
    model = tmp_path / "model"
    model.mkdir()
    name = "model.layers.0.self_attn.q_proj"
    write_tensors(model / "model.safetensors", {f"{name}.weight": np.ones((4, 4), np.float32)})
    good = lora(tmp_path / "good")
    check_lineage(model, [good])
    mixed = lora(tmp_path / "mixed")
    sides = {"A": np.ones((2, 4), np.float32), "B": np.ones((4, 2), np.float32)}
    tensors = {
        f"base_model.model.{module}.lora_{side}.weight": array
        for module in (name, "language_model.model.layers.1.self_attn.q_proj")
        for side, array in sides.items()
    }
    write_tensors(mixed / WEIGHTS, tensors)
    assert json.loads((mixed / CONFIG).read_text("utf-8"))["r"] == 2
    with pytest.raises(AdapterError, match=r"no language_model\.model\.layers\.1\.self_attn\.q_proj.*1 of 2 modules"):
        check_lineage(model, [mixed])
