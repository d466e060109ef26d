"""What to change after a training ran out of memory, by what takes the memory.

Smaller batches do not help where the weights do not fit, and ZeRO-2 does not either: it divides gradients and
optimizer states among the GPUs, and leaves every GPU a whole copy of the weights (Rajbhandari et al., arXiv
1910.02054). The count of :mod:`trainers.memory` says which part is the larger one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainers.launch import Launch
from trainers.memory import GIB, Parts, model_size, need_of
from trainers.recipe import Recipe

__all__ = ["advice"]


def advice(
    model: Path, recipe: Recipe, stage: str, launch: Launch, longest: int, *, killed: bool, parents: int = 0
) -> str:
    """One sentence: what ran out, what takes it, and what to try.

    Args:
        model: folder of the base model.
        recipe: of the training.
        stage: ``sft``, ``dpo`` or ``kto``.
        launch: its processes.
        longest: tokens of the longest example.
        parents: number of adapters below the new one.
        killed: whether the system killed a process, which it does for its own memory and never for a GPU's.
    """
    size = model_size(model)
    each = need_of(size, recipe, stage, launch, longest, parents=parents).each if size else None
    if killed and launch.devices:
        ways, where = _machine(recipe, launch), "the machine's memory ran out (a process was killed)"
        return f"{where}; try {'; or '.join(ways)}"
    counted = ""
    if each is not None:
        states, examples = each.states / GIB, each.passing / GIB
        counted = f": by the count, weights and states {states:.1f} GiB, examples {examples:.1f} GiB"
    if each is not None and each.states > each.passing:
        ways = list(_states(recipe, launch))
    else:
        ways = list(_passing(recipe, launch, longest, each))
    return f"the training ran out of memory (batch_size = {recipe.batch_size}){counted}; try {'; or '.join(ways)}"


def _machine(recipe: Recipe, launch: Launch) -> list[str]:
    ways = []
    if any(recipe.offloads):
        ways.append(f'deepspeed = "zero{recipe.zero_stage}", which offloads nothing, on more GPUs')
    if launch.slurm is not None:
        ways.append("more --memory for each node")
    return [*ways, "fewer processes on each machine, or one with more memory"]


def _states(recipe: Recipe, launch: Launch) -> Iterator[str]:
    """Where the weights, gradients and optimizer states are the larger part."""
    if launch.devices:
        if recipe.zero_stage < 3:
            more = "" if launch.world_size > 1 else " on several GPUs"
            not_two = " (ZeRO-2 does not divide the weights)" if recipe.zero_stage == 2 else ""
            yield f'deepspeed = "zero3"{more}{not_two}'
        else:
            yield "more GPUs"
        if not all(recipe.offloads):
            yield 'deepspeed = "zero3-offload"'
        if recipe.tuning == "lora" and recipe.quantization is None:
            yield "quantization = 4"
    if recipe.tuning == "full":
        yield 'tuning = "lora"'
    if not launch.devices:
        yield "a smaller model, or fewer processes"


def _passing(recipe: Recipe, launch: Launch, longest: int, each: Parts | None) -> Iterator[str]:
    """Where activations and logits are the larger part."""
    changes = []
    if recipe.share(launch.world_size)[0] > 1:
        changes.append(f"batch_size = {recipe.batch_size // 2}, accumulation = {recipe.accumulation * 2}")
    if not recipe.gradient_checkpointing and (each is None or each.activations * 2 > each.logits):
        changes.append("gradient_checkpointing = true")
    if changes:
        yield ", ".join(changes)
    if len(changes) < 2:
        yield f"cutoff_len = {max(8, longest // 2)}"
