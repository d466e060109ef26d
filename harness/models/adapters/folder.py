"""One adapter folder: two files, checked before anything loads them.

A LoRA is ``adapter_config.json`` and ``adapter_model.safetensors``. What else a trainer leaves (pickled arguments,
optimiser states, tokenizers, code) is not needed to load it and may run code. It is never read, never copied, and never
in a folder that is handed to an engine or a trainer (:func:`two_files`). Checked here: the weights are whole and
finite, every layer has its pair of matrices of the rank that the configuration names, and not every update is zero.
Whether the adapter changes the model's answers is checked by :mod:`harness.engines.canary`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import AdapterError
from harness.models.adapters.config import read_config
from harness.models.adapters.tensors import TensorFile, copy_tensors
from harness.safe.files import digest_folder, locked, new_folder

__all__ = ["CONFIG", "FILES", "WEIGHTS", "AdapterFacts", "check", "publish", "two_files"]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
FILES = (CONFIG, WEIGHTS)
_COPY = re.compile(r"(?P<module>.+)\.(?P<kind>modules_to_save|original_module)(\.[^.]+)?\.(?P<leaf>[^.]+)")
"""With a resized vocabulary peft 0.18 writes a module saved whole three times: under its name, under the wrapper's, and
as it was before the training. It loads the first."""
_MATRIX = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(\.[^.]+)?\.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFacts:
    """What a folder's two files say."""

    digest: str
    """sha256 over both files, as 64 hex digits."""
    rank: int
    """The largest rank that layers or configuration name: what an engine must make room for."""
    alpha: float
    targets: tuple[str, ...]
    """Last parts of the names of the adapted modules, sorted."""
    base: str
    """What the trainer called the model; a path or hub id, for people only."""
    modules: int
    parameters: int
    extras: tuple[str, ...] = ()
    """Modules saved whole beside the LoRA (embeddings after a vocabulary resize)."""
    dora: bool = False


def check(folder: Path) -> AdapterFacts:
    """Look at an adapter folder and fail closed.

    Raises:
        AdapterError: missing or damaged files, links, numbers that are not finite, or
        weights
            that change nothing.
    """
    _check_files(folder)
    config = read_config(folder / CONFIG)
    weights = TensorFile(folder / WEIGHTS)
    modules: dict[str, set[str]] = {}
    ranks: set[int] = set()
    parameters, moved = 0, False
    extras = set()
    for name, info in weights.tensors.items():
        array = weights.array(name)
        if not np.isfinite(array).all():
            raise AdapterError(f"{folder / WEIGHTS}: tensor {name!r} has NaN or infinite values; do not use it")
        copy = _COPY.fullmatch(name)
        first = f"{copy['module']}.{copy['leaf']}" if copy else ""
        if copy and first in weights.tensors:
            if copy["kind"] == "modules_to_save" and not np.array_equal(array, weights.array(first)):
                raise AdapterError(f"{folder / WEIGHTS}: {name!r} and {first!r} differ: which one was trained?")
            continue
        parameters += array.size
        match = _MATRIX.fullmatch(name)
        if match is None:
            extras.add(name.removeprefix("base_model.model."))
            moved = moved or ".lora_magnitude_vector" not in name
            continue
        modules.setdefault(match["module"], set()).add(match["side"])
        if len(info.shape) != 2:
            raise AdapterError(f"{folder / WEIGHTS}: tensor {name!r} has shape {info.shape}, not two dimensions")
        ranks.add(info.shape[0] if match["side"] == "A" else info.shape[1])
        moved = moved or (match["side"] == "B" and bool(array.any()))
    _check_modules(folder, config, modules, ranks)
    if not moved:
        raise AdapterError(f"{folder / WEIGHTS}: every lora_B is zero: the adapter changes nothing (was it trained?)")
    return AdapterFacts(
        digest=digest_folder(folder, FILES),
        rank=max(*ranks, config["r"], *dict(config.get("rank_pattern") or {}).values()),
        alpha=float(config["lora_alpha"]),
        targets=tuple(sorted({m.rpartition(".")[2] for m in modules})),
        base=str(config.get("base_model_name_or_path") or ""),
        modules=len(modules),
        parameters=parameters,
        extras=tuple(sorted(extras)),
        dora=bool(config.get("use_dora")),
    )


def publish(source: Path, destination: Path, notes: Mapping[str, str] | None = None) -> AdapterFacts:
    """Copy the two files, and nothing else, into a folder that appears whole or not at all.

    Args:
        source: a folder that may hold more.
        destination: must not exist.
        notes: further metadata of the weights file (:meth:`harness.models.adapters.lineage.Lineage.notes`).

    Raises:
        AdapterError: ``destination`` exists, or the weights are not fit to be used; nothing is left behind.
    """
    if destination.exists() or destination.is_symlink():
        raise AdapterError(f"{destination} exists already; an adapter version is never overwritten, take another name")
    for name in FILES:
        _plain_file(source / name)
    try:
        with new_folder(destination) as temporary:
            shutil.copyfile(source / CONFIG, temporary / CONFIG)
            if notes:
                copy_tensors(source / WEIGHTS, temporary / WEIGHTS, notes=notes)
            else:
                shutil.copyfile(source / WEIGHTS, temporary / WEIGHTS)
            return check(temporary)
    except OSError as error:
        raise AdapterError(f"cannot publish {source} as {destination}: {error.strerror or error}") from error


def two_files(folder: Path, digest: str, copies: Path) -> Path:
    """``folder``, or a copy of its two files below ``copies`` where it holds more.

    Raises:
        AdapterError: the files cannot be copied.
    """
    if all(path.name in FILES for path in folder.iterdir()):
        return folder
    copy = copies / digest[:24]
    with locked(copy, seconds=3600):
        if not copy.is_dir():
            publish(folder, copy)
    return copy


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise AdapterError(f"{folder}: no such adapter folder")
    for name in FILES:
        _plain_file(folder / name)


def _plain_file(path: Path) -> None:
    if path.is_symlink():
        raise AdapterError(f"{path}: is a link; adapters are plain files")
    if not path.is_file():
        hint = ""
        if path.name == WEIGHTS and path.with_suffix(".bin").exists():
            hint = " (adapter_model.bin is a pickle and is never loaded; convert it to safetensors)"
        raise AdapterError(f"{path.parent}: has no {path.name}{hint}")


def _check_modules(folder: Path, config: dict[str, Any], modules: dict[str, set[str]], ranks: set[int]) -> None:
    if not modules:
        raise AdapterError(f"{folder / WEIGHTS}: has no LoRA matrices")
    lonely = [m for m, sides in modules.items() if sides != {"A", "B"}]
    if lonely:
        raise AdapterError(f"{folder / WEIGHTS}: {lonely[0]} has only one of lora_A and lora_B")
    allowed = {config["r"], *dict(config.get("rank_pattern") or {}).values()}
    if not ranks <= allowed:
        raise AdapterError(f"{folder}: weights have rank {sorted(ranks)}, {CONFIG} says {sorted(allowed)}")
