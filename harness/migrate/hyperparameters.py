"""LLaMA-Factory's arguments as a recipe: each one is taken, or named with the reason why not.

What a script does not say has LLaMA-Factory's default there, which is not always a recipe's; so these are written out.
Two meanings differ. LLaMA-Factory's batch is that of each device, a recipe's is that of an update on any number of
devices: the devices are multiplied into ``accumulation``. And where LLaMA-Factory cuts what is over ``cutoff_len``, a
recipe refuses it or leaves it out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from harness.errors import SettingsError
from harness.migrate.training_scripts import Training, shown_value
from trainers.recipe import Recipe

__all__ = ["RecipeDraft", "draft_recipe"]

_DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 5e-5, "epochs": 3.0, "scheduler": "linear", "warmup": 0.0, "batch_size": 8, "accumulation": 1,
    "cutoff_len": 2048, "lora_rank": 8,
}  # fmt: skip
"""LLaMA-Factory's, where a recipe's are others."""
_SAME = {
    "lora_rank": "lora_rank", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout", "lora_target": "lora_targets",
    "additional_target": "additional_targets", "resize_vocab": "resize_vocab", "quantization_bit": "quantization",
    "learning_rate": "learning_rate", "num_train_epochs": "epochs", "max_steps": "max_steps",
    "lr_scheduler_type": "scheduler", "warmup_ratio": "warmup", "weight_decay": "weight_decay",
    "max_grad_norm": "max_grad_norm", "cutoff_len": "cutoff_len", "val_size": "val_size", "max_samples": "max_samples",
    "per_device_train_batch_size": "batch_size", "pref_beta": "pref_beta", "pref_loss": "pref_loss",
    "pref_ftx": "pref_ftx", "simpo_gamma": "simpo_gamma", "flash_attn": "attention",
    "enable_liger_kernel": "liger_kernels", "adam_beta2": "adam_beta2", "ddp_timeout": "ddp_timeout", "seed": "seed",
    "report_to": "report_to", "save_steps": "save_steps", "save_total_limit": "keep_checkpoints",
}  # fmt: skip
"""Arguments with their fields of a recipe."""
_ELSEWHERE = {
    **dict.fromkeys(("model_name_or_path", "template"), "it is in the manifest"),
    **dict.fromkeys(("adapter_name_or_path", "output_dir"), "it is a version in the manifest"),
    **dict.fromkeys(("dataset", "dataset_dir", "eval_dataset"), "the harness trains on the pairs of the cases"),
    **dict.fromkeys(("ref_model", "ref_model_adapters"), "the harness sets the reference itself"),
    "stage": "harness fix --stage has it",
    "trust_remote_code": "code in a model's folder runs only when you allow it in the manifest",
}
_SET_BY_HARNESS = (
    "do_train", "overwrite_output_dir", "overwrite_cache", "logging_steps", "plot_loss", "save_strategy", "do_eval",
    "preprocessing_num_workers", "dataloader_num_workers", "eval_steps", "eval_strategy", "evaluation_strategy",
    "per_device_eval_batch_size", "load_best_model_at_end", "save_only_model", "tokenized_path", "cache_dir",
    "preprocessing_batch_size", "include_num_input_tokens_seen", "do_predict", "dataloader_pin_memory", "local_rank",
    "remove_unused_columns", "disable_tqdm", "logging_dir", "run_name", "resume_from_checkpoint", "master_port",
    "predict_with_generate", "metric_for_best_model", "greater_is_better", "use_fast_tokenizer", "print_param_status",
)  # fmt: skip
_UNSUPPORTED = (
    "use_unsloth", "use_rslora", "use_dora", "pissa_init", "pissa_iter", "pissa_convert", "loraplus_lr_ratio",
    "rope_scaling", "shift_attn", "neftune_noise_alpha", "packing", "neat_packing", "train_on_prompt", "mask_history",
    "streaming", "mix_strategy", "interleave_probs", "dpo_label_smoothing", "optim", "adam_beta1", "adam_epsilon",
    "use_galore", "use_badam", "use_apollo", "use_adam_mini", "use_muon", "freeze_trainable_layers",
    "freeze_trainable_modules", "double_quantization", "quantization_type", "quantization_method", "rollout_n", "fsdp",
    "fsdp_config", "warmup_stable_decay", "lr_scheduler_kwargs", "kto_chosen_weight", "kto_rejected_weight", "tf32",
    "pref_bco_weight", "ld_alpha", "use_llama_pro", "mixture_of_depths", "upcast_layernorm", "upcast_lmhead_output",
    "image_max_pixels", "video_max_pixels", "freeze_vision_tower", "enable_thinking", "reserved_label_len",
    "buffer_size", "new_special_tokens", "add_tokens", "add_special_tokens", "ignore_pad_token_for_loss",
)  # fmt: skip
_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}
_SCHEDULERS = ("cosine", "linear", "constant", "constant_with_warmup")
_DEEPSPEED = re.compile(r"z(?:ero)?[-_]?([23])")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeDraft:
    """A recipe as a file."""

    text: str
    """TOML."""
    fields: Mapping[str, Any]
    taken: tuple[str, ...]
    """Arguments that are in it."""
    elsewhere: Mapping[str, str]
    """Reason by name for those that the project holds elsewhere, or that the harness sets itself."""
    left: tuple[str, ...]
    """``name = value: reason`` for each of the others."""


class _Draft:
    """Fields while they are found."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.fields: dict[str, Any] = {}
        self.taken: list[str] = []
        self.elsewhere: dict[str, str] = {}
        self.left: list[str] = []

    def leave(self, name: str, why: str) -> None:
        self.left.append(f"{name} = {shown_value(name, self.training.arguments.get(name))}: {why}")

    def take(self, name: str, field: str, value: Any) -> None:
        """Take a value if a recipe accepts it."""
        try:
            Recipe.from_mapping({field: value})
        except SettingsError as error:
            self.leave(name, f"a recipe does not take it ({str(error).partition(': ')[2]})")
            return
        self.fields[field] = value
        self.taken.append(name)


def draft_recipe(training: Training, name: str) -> RecipeDraft:
    """The recipe of a training; never raises.

    Args:
        training: with its arguments.
        name: of the recipe.
    """
    draft = _Draft(training)
    for key in training.arguments:
        _take(draft, key)
    defaults = {k: v for k, v in _DEFAULTS.items() if k not in draft.fields}
    if draft.fields.get("tuning") == "full":
        defaults.pop("lora_rank", None)
    elif "lora_alpha" not in draft.fields:
        defaults["lora_alpha"] = 2 * draft.fields.get("lora_rank", 8)
    _devices(draft, defaults)
    if _adapters(training) and "create_new_adapter" not in draft.taken:
        defaults["parent"] = "continue"
    _parent(draft, defaults)
    _check_together(draft, defaults)
    return RecipeDraft(
        text=_text(draft, defaults, name), fields={**defaults, **draft.fields}, taken=tuple(draft.taken),
        elsewhere=draft.elsewhere, left=tuple(draft.left),
    )  # fmt: skip


def _take(draft: _Draft, key: str) -> None:
    training = draft.training
    value = training.arguments[key]
    if key in training.unresolved:
        draft.leave(key, f"the script does not set {', '.join(training.unresolved[key])}")
    elif value is None or value == "" or (key in ("max_steps", "save_total_limit") and str(value) == "-1"):
        draft.elsewhere[key] = "it is not set"
    elif key in _OWN:
        _OWN[key](draft, key, value)
    elif key in _SAME:
        draft.take(key, _SAME[key], _value(_SAME[key], value))
    elif key in _ELSEWHERE:
        draft.elsewhere[key] = _ELSEWHERE[key]
    elif key in _SET_BY_HARNESS or (key == "optim" and str(value).startswith("adamw_torch")):
        draft.elsewhere[key] = "the harness sets it itself"
    elif key in _UNSUPPORTED:
        off = value is None or str(value).lower() in _FALSE
        draft.leave(key, "the trainer has nothing like it; it was off" if off else "the trainer has nothing like it")
    else:
        draft.leave(key, "not known")


def _value(field: str, value: Any) -> Any:
    """A text of the command line as the value that the recipe's field has."""
    if field in ("lora_targets", "additional_targets"):
        parts = value if isinstance(value, list) else str(value).split(",")
        return [p for part in parts if (p := str(part).strip())]
    if field in ("resize_vocab", "liger_kernels"):
        return _truth(value)
    if field == "attention" and isinstance(_truth(value), bool):
        # Older versions of LLaMA-Factory only asked whether to use FlashAttention-2.
        return "fa2" if _truth(value) else "auto"
    if field in ("scheduler", "pref_loss", "attention", "report_to"):
        return value[0] if isinstance(value, list) and len(value) == 1 else str(value)
    number = _number(value)
    default = getattr(Recipe(), field)
    if isinstance(number, float) and number.is_integer() and (isinstance(default, int) or default is None):
        return int(number)
    return number


def _truth(value: Any) -> Any:
    text = str(value).lower()
    return True if text in _TRUE else False if text in _FALSE else value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(value) if re.fullmatch(r"[-+]?\d{1,18}", value.strip()) else float(value)
        except ValueError:
            return value
    return value


def _tuning(draft: _Draft, key: str, value: Any) -> None:
    draft.take(key, "tuning", str(value))


def _accumulation(draft: _Draft, key: str, value: Any) -> None:
    draft.take(key, "accumulation", _number(value))


def _precision(draft: _Draft, key: str, value: Any) -> None:
    if _truth(value) is True:
        draft.take(key, "precision", "fp16" if key == "fp16" else "bf16")
        if key == "pure_bf16":
            draft.leave(key, "taken as bf16; trained weights are kept in fp32")
    else:
        draft.taken.append(key)


def _checkpointing(draft: _Draft, key: str, value: Any) -> None:
    truth = _truth(value)
    draft.take(
        key, "gradient_checkpointing", not truth if key.startswith("disable") and truth in (True, False) else truth
    )


def _warmup_steps(draft: _Draft, key: str, value: Any) -> None:
    steps, total = _number(value), _number(draft.training.arguments.get("max_steps"))
    if steps == 0:
        draft.taken.append(key)
    elif isinstance(steps, int | float) and isinstance(total, int | float) and total > 0:
        draft.take(key, "warmup", round(steps / total, 4))
    else:
        draft.leave(key, "a recipe's warmup is a share of the steps, whose number the script does not say")


def _new_adapter(draft: _Draft, key: str, value: Any) -> None:
    if _truth(value) in (True, False):
        draft.take(key, "parent", "new" if _truth(value) else "continue")
    else:
        draft.leave(key, "neither true nor false")


def _deepspeed(draft: _Draft, key: str, value: Any) -> None:
    name = PurePosixPath(str(value)).name.lower()
    stage = _DEEPSPEED.search(name)
    if stage is None:
        draft.leave(key, "only ZeRO-2 and ZeRO-3 by the name of their file are taken; give its path in the recipe")
        return
    draft.take(key, "deepspeed", f"zero{stage[1]}{'-offload' if 'offload' in name else ''}")
    draft.left.append(
        f"{key} = {str(value)[:80]}: taken as {draft.fields['deepspeed']}; its other settings are not read"
    )


_OWN = {
    "finetuning_type": _tuning, "gradient_accumulation_steps": _accumulation, "bf16": _precision, "fp16": _precision,
    "pure_bf16": _precision, "disable_gradient_checkpointing": _checkpointing,
    "gradient_checkpointing": _checkpointing, "warmup_steps": _warmup_steps, "create_new_adapter": _new_adapter,
    "deepspeed": _deepspeed,
}  # fmt: skip
"""Arguments whose meaning is not that of one field."""


def _adapters(training: Training) -> tuple[str, ...]:
    return training.paths("adapter_name_or_path")


def _devices(draft: _Draft, defaults: dict[str, Any]) -> None:
    """Devices of the script, and their number as a factor of the examples of an update."""
    training = draft.training
    if training.processes is None:
        draft.left.append("number of GPUs: the script does not say it; taken as 1, which accumulation depends on")
    count = training.processes or 1
    accumulation = draft.fields.pop("accumulation", defaults.pop("accumulation", 1))
    defaults["accumulation"] = accumulation * count
    gpus = training.devices if len([d for d in training.devices.split(",") if d]) == count else str(count)
    if training.processes is not None:
        try:
            Recipe.from_mapping({"gpus": gpus})
            defaults["gpus"] = gpus
        except SettingsError:
            draft.left.append(f"CUDA_VISIBLE_DEVICES = {training.devices[:80]}: a recipe does not take it")
    try:
        Recipe.from_mapping({"accumulation": defaults["accumulation"]})
    except SettingsError:
        draft.left.append(f"accumulation = {defaults['accumulation']}: a recipe does not take as many")
        defaults["accumulation"] = accumulation


def _parent(draft: _Draft, defaults: dict[str, Any]) -> None:
    """A new LoRA instead of the parent's own where the trainer cannot train that further with the right reference."""
    fields = {**defaults, **draft.fields}
    carries = not str(fields.get("deepspeed", "")).startswith("zero3") and "quantization" not in fields
    if fields.get("parent") == "continue" and not carries:
        draft.fields.pop("parent", None)
        defaults["parent"] = "new"
        draft.left.append(
            "training the parent's own LoRA further: with ZeRO-3 or a quantised model the reference would be wrong; "
            "the recipe puts a new LoRA on top"
        )


def _check_together(draft: _Draft, defaults: dict[str, Any]) -> None:
    """Take out what a recipe refuses together with the rest."""
    for field in ("deepspeed", "quantization", "resize_vocab", "additional_targets", None):
        try:
            Recipe.from_mapping({**defaults, **draft.fields})
        except SettingsError as error:
            if field is None:
                draft.left.append(f"the recipe as a whole is refused: {str(error).partition(': ')[2]}")
                draft.fields.clear()
            elif field in draft.fields:
                draft.left.append(f"{field} = {draft.fields.pop(field)}: {str(error).partition(': ')[2]}")
        else:
            return


def _text(draft: _Draft, defaults: Mapping[str, Any], name: str) -> str:
    """The recipe as TOML: what the script says, then what LLaMA-Factory assumes."""
    lines = [
        f"# Recipe of {_comment(name)}: how {_comment(draft.training.place)} trained it.",
        f"# Train with it: harness fix --failed --recipe trainers/{name}.toml",
        *(f"{field} = {_toml(value)}" for field, value in sorted(draft.fields.items())),
        "",
        "# Not in the script as it stands: LLaMA-Factory's defaults, its devices times its accumulation.",
        *(f"{field} = {_toml(value)}" for field, value in sorted(defaults.items()) if field not in draft.fields),
    ]
    if draft.left:
        lines += ["", "# Not taken from the script:", *(f"#   {_comment(text)}" for text in draft.left)]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """Text that can stand in a comment of a TOML file."""
    return "".join(c if c.isprintable() else " " for c in text)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | str):
        return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
    return repr(value)
