"""What a training will take, as far as it can be known before it: memory for the weights, and time by the last one.

Trade-off: activations are not estimated. They depend on the longest example, and a wrong figure would be worse than
none. The time is that of the last training's updates in this project, whatever recipe it had.
"""

from __future__ import annotations

from pathlib import Path

from harness.runs.progress import duration
from harness.store import Store
from trainers.launch import Launch
from trainers.recipe import Recipe

__all__ = ["estimate"]

_GIB = 2**30


def estimate(recipe: Recipe, examples: int, launch: Launch, model: Path, store: Store) -> str:
    """``weights 0.3 GiB on each process, and activations; about 06:10, at 5.3 s an update as in the last training``.

    Args:
        recipe: with the epochs that will be trained.
        examples: training examples.
        launch: processes and devices.
        model: folder of the base model.
        store: where earlier trainings are recorded.
    """
    weights = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    if recipe.quantization is not None:
        weights = weights * recipe.quantization // 16
    share = weights / launch.world_size if recipe.zero_stage == 3 else weights
    where = "GPU" if launch.devices else "process"
    memory = f"weights {share / _GIB:.1f} GiB on each {where}, and activations"
    each = _seconds_an_update(store)
    if each is None:
        return f"{memory}; the time is not known before the first training"
    seconds = each * recipe.updates(examples, launch.world_size)
    return f"{memory}; about {duration(seconds)}, at {each:.1f} s an update as in the last training"


def _seconds_an_update(store: Store) -> float | None:
    for training in store.trainings():
        steps, seconds = training.facts.get("steps"), training.facts.get("seconds")
        if isinstance(steps, int) and isinstance(seconds, int | float) and steps > 0 and seconds > 0:
            return seconds / steps
    return None
