"""Translates a request into LLaMA-Factory's arguments.

Every key has a reason that was measured or read in its source (0.9.5). ``tokenized_path`` and ``template: empty`` keep
it from touching prompts. ``logging_nan_inf_filter: false`` is there because the filter hides NaN losses,
``logging_steps: 1`` because a short run shows nothing otherwise. The validation set has its own file, because
``val_size: 1`` crashes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from harness.errors import TrainerError
from harness.models.processor import multiplies_bfloat16
from trainers.base import TrainRequest
from trainers.examples import DataFacts
from trainers.recipe import Recipe

__all__ = ["DEEPSPEED", "arguments", "cannot_carry", "steps_of"]

DEEPSPEED = Path(__file__).parent / "deepspeed"
_CHECKPOINTS = 8


def arguments(request: TrainRequest, data: DataFacts, folder: Path, *, resume: Path | None = None) -> dict[str, Any]:
    """LLaMA-Factory's configuration for one attempt in ``folder``.

    Raises:
        TrainerError: a combination that it would silently train otherwise.
    """
    recipe, launch = request.recipe, request.launch
    cuda = bool(launch.devices)
    size, accumulation = recipe.share(launch.world_size)
    values: dict[str, Any] = {
        "model_name_or_path": str(request.model_path),
        "stage": request.stage,
        "do_train": True,
        "finetuning_type": recipe.tuning,
        "dataset": "harness",
        "tokenized_path": str(folder / "dataset"),
        "template": "empty",
        "cutoff_len": recipe.cutoff_len,
        "output_dir": str(folder / "output"),
        "overwrite_output_dir": False,
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": recipe.learning_rate,
        "num_train_epochs": recipe.epochs,
        "lr_scheduler_type": recipe.scheduler,
        "warmup_steps": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": True,
        "save_strategy": "steps",
        "save_steps": recipe.save_steps or max(1, math.ceil(steps_of(request, data.rows) / _CHECKPOINTS)),
        "save_total_limit": recipe.keep_checkpoints,
        "seed": recipe.seed,
        "report_to": recipe.report_to,
        "disable_gradient_checkpointing": not recipe.gradient_checkpointing,
        "plot_loss": True,
        "dataloader_pin_memory": cuda,
        "ddp_timeout": recipe.ddp_timeout,
        "adam_beta2": recipe.adam_beta2,
    }
    if recipe.attention != "auto":
        values["flash_attn"] = recipe.attention
    if recipe.liger_kernels:
        values["enable_liger_kernel"] = True
    if request.trust_remote_code:
        values["trust_remote_code"] = True
    if recipe.max_steps is not None:
        values["max_steps"] = recipe.max_steps
    emulated = recipe.precision == "auto" and not cuda and not multiplies_bfloat16()
    if recipe.precision != "fp32" and not emulated:
        values["fp16" if recipe.precision == "fp16" else "bf16"] = True
    if not cuda:
        values["use_cpu"] = True
    if recipe.resize_vocab:
        values["resize_vocab"] = True
    if data.validation is not None:
        # The name is not looked up, but without one LLaMA-Factory refuses to evaluate.
        values |= {"eval_dataset": "harness", "eval_strategy": "epoch", "per_device_eval_batch_size": recipe.batch_size}
    if recipe.deepspeed is not None and recipe.uses_deepspeed:
        shipped = DEEPSPEED / f"{recipe.deepspeed}.json"
        own = Path(recipe.deepspeed).expanduser().resolve()
        values["deepspeed"] = str(own if recipe.deepspeed.endswith(".json") else shipped)
    if resume is not None:
        values["resume_from_checkpoint"] = str(resume)
    return values | _lora(request) | _preference(request) | _parents(request)


def steps_of(request: TrainRequest, rows: int) -> int:
    """Updates that so many training examples make."""
    return request.recipe.updates(rows, request.launch.world_size)


def _lora(request: TrainRequest) -> dict[str, Any]:
    recipe = request.recipe
    if recipe.tuning != "lora":
        return {}
    values: dict[str, Any] = {
        "lora_rank": recipe.lora_rank,
        "lora_alpha": recipe.lora_alpha,
        "lora_dropout": recipe.lora_dropout,
        "lora_target": ",".join(recipe.lora_targets),
    }
    if recipe.additional_targets:
        values["additional_target"] = ",".join(recipe.additional_targets)
    if recipe.quantization is not None:
        values |= {"quantization_bit": recipe.quantization, "quantization_method": "bnb"}
    return values


def _preference(request: TrainRequest) -> dict[str, Any]:
    recipe = request.recipe
    if request.stage == "sft":
        return {}
    values: dict[str, Any] = {"pref_beta": recipe.pref_beta, "pref_ftx": recipe.pref_ftx}
    if request.stage == "dpo":
        values["pref_loss"] = recipe.pref_loss
        if recipe.pref_loss == "simpo":
            values["simpo_gamma"] = recipe.simpo_gamma
    return values


def _parents(request: TrainRequest) -> dict[str, Any]:
    """Parents, and the reference that a preference stage measures against.

    A new LoRA on top: the parents are merged in memory, and the model without the new LoRA is the reference. A
    continued one: LLaMA-Factory would take the bare model for the reference, so the parents are given a second time.
    """
    recipe = request.recipe
    if not request.parents:
        return {}
    if any("," in str(p) for p in (*request.parents, request.model_path)):
        paths = ", ".join(map(str, request.parents))
        raise TrainerError(f"LLaMA-Factory splits adapter paths at commas; rename: {paths}")
    if cannot_carry(recipe):
        raise TrainerError(
            "ZeRO-3, quantised models and full tuning cannot train a parent adapter further with the right reference; "
            "use parent = 'new' (the parents are then merged into a model of their own first)"
        )
    chain = ",".join(str(p) for p in request.parents)
    values: dict[str, Any] = {"adapter_name_or_path": chain, "create_new_adapter": recipe.parent == "new"}
    if recipe.parent == "continue" and request.stage != "sft" and recipe.pref_loss == "sigmoid":
        values |= {"ref_model": str(request.model_path), "ref_model_adapters": chain}
    return values


def cannot_carry(recipe: Recipe) -> bool:
    """Whether LLaMA-Factory cannot merge parents in memory under this recipe.

    With ZeRO-3 it ignores ``create_new_adapter`` silently and trains the parent itself; a quantised model takes
    no merge; full tuning takes no LoRA.
    """
    return recipe.zero_stage == 3 or recipe.quantization is not None or recipe.tuning == "full"
