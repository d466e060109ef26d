"""adapter_config.json: which fields are understood, and which adapters are refused because of them.

A field that changes the update and is not understood gives a broken model without an error. So there is an allow-list:
fields that are used, fields that cannot change what the stored matrices mean, and values that are refused by name. A
field that is not known is refused unless it is empty.

References: peft's ``LoraConfig`` (0.21); initialisations after https://huggingface.co/docs/peft, "LoRA methods". PiSSA,
OLoRA, CorDA, LoftQ and LoRA-GA change the base model's weights, and their matrices belong to the changed base.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import AdapterError
from harness.safe.read import read_object, reason

__all__ = ["read_config"]

_USED = {
    "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "bias", "target_modules",
    "modules_to_save", "base_model_name_or_path", "init_lora_weights",
}  # fmt: skip
_WITHOUT_EFFECT = {
    "task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "exclude_modules", "lora_dropout",
    "layers_to_transform", "layers_pattern", "megatron_core", "qalora_group_size", "runtime_config", "eva_config",
    "loftq_config", "corda_config", "lora_ga_config", "unsloth_fixed",
}  # fmt: skip
"""Fields of the training, or about the initialisation, which has its own field."""
_LARGEST = 4 * 2**20
"""Bytes of a configuration; patterns for every layer of a large model take a tenth of it."""
_MAX_ALPHA = 1e6
_PLAIN_INITIALISATIONS = ("gaussian", "eva", "orthogonal", "mica")
_CONVERT = (
    "it was trained against a changed base model; convert it with peft: "
    "save_pretrained(..., path_initial_model_for_weight_conversion=...)"
)
_REASONS = {
    "fan_in_fan_out": "its matrices are transposed; convert it to a LoRA on linear layers",
    "lora_bias": "biases cannot be served with a LoRA",
    "layer_replication": "it is for a model with repeated layers; merge it with peft and register the model",
    "trainable_token_indices": "it also changes single embeddings; merge it with peft and register the model",
    "alora_invocation_tokens": "an activated LoRA acts on a part of the text only; it cannot be served or merged",
    "use_qalora": "its matrices are grouped; merge it with peft and register the model",
    "target_parameters": "it adapts parameters of fused experts; merge it with peft and register the model",
    "ensure_weight_tying": "tied layers get one update twice; merge it with peft and register the model",
}


def read_config(path: Path) -> dict[str, Any]:
    """The fields of ``path``, checked: what is returned describes updates of the form scale x B A (or DoRA's).

    Raises:
        AdapterError: unreadable, or not a LoRA that the harness understands; names every field.
    """
    try:
        config = read_object(path, largest=_LARGEST)
    except (OSError, ValueError) as error:
        raise AdapterError(f"{path}: cannot be read as JSON: {reason(error)}") from error
    problems = [*_wrong_values(config), *_not_understood(config)]
    if problems:
        raise AdapterError(f"{path}: " + "; ".join(problems))
    return config


def _wrong_values(config: Mapping[str, Any]) -> list[str]:
    problems = []
    if config.get("peft_type") != "LORA":
        problems.append(f"peft_type = {config.get('peft_type')!r} (only LORA can be loaded)")
    if not _rank(config.get("r")):
        problems.append(f"r = {config.get('r')!r} (expected a whole number >= 1)")
    if not _number(config.get("lora_alpha")):
        problems.append(f"lora_alpha = {config.get('lora_alpha')!r} (expected a number)")
    for name, good, what in (("rank_pattern", _rank, "ranks"), ("alpha_pattern", _number, "numbers")):
        pattern = config.get(name) or {}
        if not isinstance(pattern, dict) or not all(map(good, pattern.values())):
            problems.append(f"{name} = {pattern!r} (expected {what} by module name)")
    if config.get("bias", "none") != "none":
        problems.append(f"bias = {config['bias']!r} (biases cannot be served with a LoRA)")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in _PLAIN_INITIALISATIONS:
        problems.append(f"init_lora_weights = {start!r} ({_CONVERT})")
    return problems


def _not_understood(config: Mapping[str, Any]) -> list[str]:
    unknown = "is not understood; if it does not change the update, remove it from the file"
    return [
        f"{name} = {value!r} ({_REASONS.get(name, unknown)})"
        for name, value in config.items()
        if value and name not in _USED | _WITHOUT_EFFECT
    ]


def _rank(value: object) -> bool:
    return type(value) is int and 1 <= value <= 4096


def _number(value: object) -> bool:
    """A finite number; one of hundreds of digits is a float to nobody."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MAX_ALPHA
