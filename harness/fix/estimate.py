"""What a fix will take, as far as it can be known before it: memory by arithmetic, and time by earlier work.

The time of the training is that of the last training's updates in this project, whatever recipe it had. The time of
the checkpoints and of the suite's rerun is that of the answers of the run that is fixed.

The memory is that of :mod:`trainers.memory`; of a model that does not say its shape, only the weights are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.judging.results import CaseResult
from harness.language import tr
from harness.runs.progress import duration
from harness.store import Run, Store
from trainers.launch import Launch
from trainers.placement import Placement
from trainers.recipe import Recipe

__all__ = ["estimate", "seconds_of_judging"]

_GIB = 2**30
_FEWEST = 4
"""Answers that a run must have generated to tell how long one takes."""


def seconds_of_judging(run: Run, results: Sequence[CaseResult], answers: int) -> float | None:
    """Seconds that so many answers will take, by those that the run generated; None where it generated too few."""
    generated = sum(not a.cached for r in results for a in r.attempts)
    seconds = run.facts.get("seconds")
    if generated < _FEWEST or not isinstance(seconds, int | float) or seconds <= 0:
        return None
    return float(seconds) / generated * answers


def estimate(
    recipe: Recipe, examples: int, placement: Placement, model: Path, store: Store, judging: float | None = None
) -> str:
    """``memory 9.6 GiB on each GPU; about 06:10, at 5.3 s an update as in the last training``.

    Args:
        recipe: with the epochs that will be trained.
        examples: training examples.
        placement: processes, devices and the count of memory.
        model: folder of the base model.
        store: where earlier trainings are recorded.
        judging: seconds for checkpoints and rerun; None: not known.
    """
    launch = placement.launch
    where = tr("GPU") if launch.devices else tr("process")
    memory = _weights(recipe, launch, model, where)
    if placement.need is not None:
        size = f"{placement.need.each.total / _GIB:.1f}"
        memory = tr("memory {size} GiB on each {where}", size=size, where=where)
    each = _seconds_an_update(store)
    if each is None:
        time = tr("the time is not known before the first training")
    else:
        seconds = each * recipe.updates(examples, launch.world_size)
        time = tr(
            "about {time}, at {each} s an update as in the last training", time=duration(seconds), each=f"{each:.1f}"
        )
    parts = [memory, time]
    if judging is not None:
        parts.append(tr("then about {time} for the checkpoints and the suite", time=duration(judging)))
    return tr("; ").join(parts)


def _weights(recipe: Recipe, launch: Launch, model: Path, where: str) -> str:
    """What is known of a model that does not say its shape."""
    weights = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    if recipe.quantization is not None:
        weights = weights * recipe.quantization // 16
    share = weights / launch.world_size if recipe.zero_stage == 3 else weights
    return tr("weights {size} GiB on each {where}, and activations", size=f"{share / _GIB:.1f}", where=where)


def _seconds_an_update(store: Store) -> float | None:
    for training in store.trainings():
        steps, seconds = training.facts.get("steps"), training.facts.get("seconds")
        if isinstance(steps, int) and isinstance(seconds, int | float) and steps > 0 and seconds > 0:
            return seconds / steps
    return None
