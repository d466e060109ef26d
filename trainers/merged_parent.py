"""A model with the parents merged into it, for trainings that cannot merge them in memory; it goes when it has served.

    <trainings>/merged/<key>/          the merged model; the key is that of the model and its parents
    <trainings>/merged/<key>.users/    a file for each attempt that reads it

A new LoRA on base + parents is the same LoRA, merged by any tool, so its lineage stays: base, then parents. The folder
lies beside the trainings, where several nodes see it, and trainings on the same chain share it. It is as large as the
base model (145 GB for 72 billion parameters), so it is counted against the disk before it is made
(:func:`trainers.attempt.check_disk`), and removed when the last training that reads it has ended, well or not.

An interrupted training (Ctrl-C, a kill) keeps it: ``--resume`` goes on with it. So does one that runs elsewhere, until
its weights are collected. What a killed training has left is removed with the next one on the same chain, or by hand:
the folder may be deleted whenever no training runs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.models.adapters.folder import check
from harness.models.adapters.lineage import fingerprint, parts_of
from harness.models.adapters.merge import merge
from harness.safe.files import locked, write_text
from harness.safe.processes import is_alive, process_facts
from harness.safe.read import read_object
from trainers.arguments import cannot_carry
from trainers.base import TrainRequest

__all__ = ["bytes_to_make", "release", "with_merged_parents"]

_FOLDER, _USERS = "merged", ".users"
_SECONDS = 3600
"""For another training to finish merging the same chain."""


def bytes_to_make(request: TrainRequest) -> int:
    """Bytes of the merged model that the training needs and that is not there yet; 0 where it needs none."""
    if not _needed(request) or _place(request).is_dir():
        return 0
    # A hundredth more, as merging itself counts.
    return int(1.01 * sum(path.stat().st_size for path in request.model_path.glob("*.safetensors")))


def with_merged_parents(request: TrainRequest, attempt: Path, *, owned: bool) -> TrainRequest:
    """The request on a merged model, where LLaMA-Factory could not merge the parents itself; else as it is.

    Args:
        request: the training.
        attempt: its folder, by which the merged model knows who reads it.
        owned: whether this process starts the training.

    Raises:
        AdapterError: the parents cannot be merged, or there is no space.
        StoreError: another process has been merging the same chain for an hour.
    """
    if not _needed(request):
        return request
    merged = _place(request)
    with locked(merged, seconds=_SECONDS):
        user = {"attempt": str(attempt), "process": process_facts() if owned else None}
        write_text(_user(merged, attempt), json.dumps(user) + "\n")
        if not merged.is_dir():
            merge(request.model_path, request.parents, merged)
    return replace(request, model_path=merged, parents=())


def release(attempt: Path) -> None:
    """Say that an attempt has ended, and remove the merged model that nobody else reads; nothing where it read none."""
    for users in (attempt.parent.parent / _FOLDER).glob(f"*{_USERS}"):
        merged = users.with_name(users.name.removesuffix(_USERS))
        if not _user(merged, attempt).is_file():
            continue
        with locked(merged, seconds=_SECONDS):
            # Earlier attempts of the same training were interrupted, and this one has gone on with them.
            ended = [path for path in users.glob("*.json") if not _reads(path, attempt.parent)]
            for path in ended:
                path.unlink(missing_ok=True)
            if not any(users.glob("*.json")):
                shutil.rmtree(merged, ignore_errors=True)
                shutil.rmtree(users, ignore_errors=True)


def _needed(request: TrainRequest) -> bool:
    if not request.parents or request.recipe.parent != "new":
        return False
    # Peft puts modules saved whole into a model of the same size only.
    return cannot_carry(request.recipe) or any(check(path).extras for path in request.parents)


def _place(request: TrainRequest) -> Path:
    below = [fingerprint(request.model_path), *(digest for path in request.parents for digest in parts_of(path))]
    key = hashlib.sha256("\n".join(below).encode()).hexdigest()[:24]
    return request.output.absolute().parent / _FOLDER / key


def _user(merged: Path, attempt: Path) -> Path:
    name = hashlib.sha256(str(attempt).encode()).hexdigest()[:24]
    return merged.with_name(merged.name + _USERS) / f"{name}.json"


def _reads(user: Path, ended: Path) -> bool:
    """Whether an attempt may still read the model: its process lives, is on another machine, or is nobody's here.

    Args:
        user: the attempt's note.
        ended: folder of the attempts of the training that has ended.
    """
    with suppress(OSError, ValueError):
        values = read_object(user)
        attempt, who = Path(str(values.get("attempt"))), values.get("process")
        return attempt.parent != ended and attempt.is_dir() and (not isinstance(who, dict) or is_alive(who))
    return False
