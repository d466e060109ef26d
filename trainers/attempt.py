"""Folders of trainings: a new one for every attempt, and what is in an old one.

    <output>/attempt-1/   train.json job.json recipe.json   what was asked for
                          examples.jsonl dataset/           token ids, and the same as LLaMA-Factory reads them
                          train.log progress.jsonl          output and progress
                          output/checkpoint-*               LLaMA-Factory's checkpoints
                          adapter/ checkpoints/step-*       checked weights: two files each

LLaMA-Factory resumes by itself, silently, in a folder that has checkpoints. So no folder is used twice, and resuming is
explicit and checked: same examples, same recipe, a checkpoint that was written to its end.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from harness.errors import TrainerError
from harness.models.adapters.folder import FILES
from harness.safe.files import digest_file, sweep
from harness.safe.read import read_object
from trainers.examples import DataFacts
from trainers.recipe import Recipe

__all__ = [
    "FREE_TO_CHANGE",
    "check_disk",
    "check_same",
    "is_complete",
    "last_checkpoint",
    "new_attempt",
    "trainer_state",
]

_SPARE = 512 * 2**20
"""Bytes that must stay free on the disk."""
FREE_TO_CHANGE = {"name", "gpus", "threads", "environment", "keep_checkpoints", "save_steps", "report_to"}
"""Fields of a recipe that may differ when a training goes on: they change no number."""


def new_attempt(output: Path) -> Path:
    """A folder of this attempt alone: creating it claims the name."""
    for earlier in _attempts(output):
        sweep(earlier)
    number = len(_attempts(output)) + 1
    while True:
        folder = output / f"attempt-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise TrainerError(f"cannot make {folder}: {error.strerror or error}") from error
        else:
            return folder.absolute()


def last_checkpoint(output: Path) -> Path | None:
    """The complete checkpoint of most steps in the newest attempt that has any; None when there is none."""
    for attempt in reversed(_attempts(output)):
        checkpoints = [p for p in (attempt / "output").glob("checkpoint-*") if is_complete(p)]
        if checkpoints:
            return max(checkpoints, key=lambda p: int(p.name.rpartition("-")[2])).absolute()
    return None


def is_complete(checkpoint: Path) -> bool:
    """Whether it was written to its end: trainer_state.json is what comes last."""
    number = checkpoint.name.rpartition("-")[2].isdigit()
    marked = (checkpoint / "checkpoint-is-incomplete.txt").exists()
    weights = (checkpoint / FILES[1]).is_file() or any(checkpoint.glob("model*.safetensors"))
    return number and weights and not marked and trainer_state(checkpoint) is not None


def trainer_state(folder: Path) -> dict[str, Any] | None:
    """The trainer's own account of steps and losses; None when it is missing or half written."""
    try:
        return read_object(folder / "trainer_state.json")
    except (OSError, ValueError):
        return None


def check_same(checkpoint: Path, data: DataFacts, recipe: Recipe, *, ours: bool = True) -> None:
    """Refuse to go on from a checkpoint with other examples or another recipe: steps and learning rate would be wrong.

    Args:
        checkpoint: what is gone on from.
        data: the examples of this attempt.
        recipe: of this attempt.
        ours: whether the checkpoint must lie in an attempt of the harness; another one says neither.

    Raises:
        TrainerError: what differs, or the checkpoint is not complete.
    """
    if not is_complete(checkpoint):
        raise TrainerError(
            f"{checkpoint}: is no complete checkpoint (checkpoint-N with weights and trainer_state.json)"
        )
    before = checkpoint.parent.parent
    if not ours and not (before / "recipe.json").is_file():
        return
    try:
        old = read_object(before / "recipe.json")
        same = digest_file(before / "examples.jsonl") == digest_file(data.train)
    except (OSError, ValueError) as error:
        raise TrainerError(f"{checkpoint}: {before} is damaged ({error}); train without --resume") from error
    new = json.loads(json.dumps(recipe.to_mapping()))
    # A recipe of an older harness lacks the fields that came later, which had their defaults.
    usual = json.loads(json.dumps(Recipe().to_mapping()))
    other = sorted(k for k in new if k not in FREE_TO_CHANGE and old.get(k, usual[k]) != new[k])
    if other:
        raise TrainerError(f"{checkpoint}: the recipe differs in {', '.join(other)}; train without --resume")
    if not same:
        raise TrainerError(f"{checkpoint}: the training data differ; train without --resume")


def check_disk(
    model: Path, data: DataFacts, recipe: Recipe, folder: Path, *, merged: int = 0, trained: int | None = None
) -> None:
    """Refuse a training that would fill the disk.

    Args:
        model: folder of the base model.
        data: facts about the examples on disk.
        recipe: of the training.
        folder: of the attempt.
        merged: bytes of a merged model that has to be made first.
        trained: parameters that the training changes; None: not known, and guessed by the model's size.

    Raises:
        TrainerError: how much is free, how much it takes and for what, and what helps.
    """
    parts = {
        # The data once more with masks and labels (Arrow), and once more while that is written.
        "data": 6 * data.train.stat().st_size,
        "checkpoints": _checkpoint(model, recipe, trained) * (recipe.keep_checkpoints + 1),
        "the model with its parents merged into it": merged,
        "spare": _SPARE,
    }
    needed, free = sum(parts.values()), shutil.disk_usage(folder).free
    if free >= needed:
        return
    shown = " + ".join(f"{name} {size / 2**30:.1f}" for name, size in parts.items() if size)
    helps = [f"set keep_checkpoints = 1 (now {recipe.keep_checkpoints})"] if recipe.keep_checkpoints > 1 else []
    if merged and recipe.zero_stage == 3 and recipe.quantization is None:
        helps.append("train where the weights fit without ZeRO-3, since the parents are then merged in memory")
    raise TrainerError(
        f"{folder}: {free / 2**30:.1f} GiB free, this training takes about {needed / 2**30:.1f} GiB ({shown}); "
        f"{', or '.join(['free space', *helps])}"
    )


def _checkpoint(model: Path, recipe: Recipe, trained: int | None) -> int:
    """Bytes of a checkpoint with the optimizer's states, and of the copy that the harness makes of its weights."""
    if trained is None:
        weights = sum(p.stat().st_size for p in model.glob("*.safetensors"))
        # A checkpoint holds weights and two moments in fp32: all of a model's, or a LoRA's few percent.
        return int(weights * (6.0 if recipe.tuning == "full" else 0.05 * recipe.lora_rank / 8))
    # Weights in fp32 and two moments; DeepSpeed keeps the weights in both types, and frozen ones are left out.
    states = 18 if recipe.uses_deepspeed else 12
    return trained * (states + (4 if recipe.tuning == "lora" else 0))


def _attempts(output: Path) -> list[Path]:
    attempts = [p for p in output.glob("attempt-*") if p.name.removeprefix("attempt-").isdigit()]
    return sorted(attempts, key=lambda p: int(p.name.removeprefix("attempt-")))
