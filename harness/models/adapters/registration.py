"""Publishes weights as a version: copied whole, or left where they are, then registered in the manifest.

A fix, a training and an import all end here. The manifest names a version only after its files are complete and
checked. When the registration fails, the copied files are removed, so a version exists in both places or in neither. A
folder that somebody else made is never removed.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.errors import AdapterError
from harness.models.adapters.folder import check, publish
from harness.project.manifest import Adapter, read_manifest, register

__all__ = ["register_version"]


def register_version(
    weights: Path,
    version: Adapter,
    manifest_path: Path,
    *,
    verify: Callable[[Path], None] | None = None,
    interrupted: bool = False,
) -> Adapter:
    """Copy ``weights`` to the version's path and add the version to the manifest.

    Args:
        weights: folder of an adapter; it may hold more than the two files of one.
        version: the manifest's entry; ``sha256`` and ``rank`` are read off the files. ``path`` is the destination, or
            ``weights`` itself for a version that stays where it is.
        manifest_path: adapters_manifest.toml.
        verify: called with the version's folder before the registration; raises to refuse it.
        interrupted: whether a training is continued, which may have left the destination without registering it. The
            same weights are then taken as they are there; others are set aside as ``<name>.leftover-N``.

    Returns:
        The registered version.

    Raises:
        AdapterError: the destination exists, or the weights are damaged.
        ManifestError: the name is taken.
        StoreError: the manifest cannot be written.
    """
    destination = version.path
    assert destination is not None
    in_place = destination == weights or (interrupted and _left_there(weights, version, destination, manifest_path))
    facts = check(destination) if in_place else publish(weights, destination)
    version = replace(version, sha256=facts.digest, rank=facts.rank)
    try:
        if verify is not None:
            verify(destination)
        register(manifest_path, version)
    except BaseException:
        if not in_place:
            shutil.rmtree(destination, ignore_errors=True)
        raise
    return version


def _left_there(weights: Path, version: Adapter, destination: Path, manifest_path: Path) -> bool:
    """Whether the destination holds the weights already; others, which no version names, are set aside."""
    if not destination.exists() or version.name in read_manifest(manifest_path).adapters:
        return False
    try:
        if check(destination).digest == check(weights).digest:
            return True
    except AdapterError:
        pass
    names = (destination.with_name(f"{destination.name}.leftover-{n}") for n in itertools.count(1))
    destination.rename(next(path for path in names if not path.exists()))
    return False
