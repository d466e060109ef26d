"""Publishes weights as a version: copied whole, or left where they are, then registered in the manifest.

A fix, a training and an import all end here. The manifest names a version only after its files are complete and
checked. When the registration fails, the copied files are removed, so a version exists in both places or in neither.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.models.adapters.folder import check, publish
from harness.project.manifest import Adapter, read_manifest, register

__all__ = ["register_version"]


def register_version(
    weights: Path,
    version: Adapter,
    manifest_path: Path,
    *,
    verify: Callable[[Path], None] | None = None,
    discard_leftover: bool = False,
) -> Adapter:
    """Copy ``weights`` to the version's path and add the version to the manifest.

    Args:
        weights: folder of an adapter; it may hold more than the two files of one.
        version: the manifest's entry; ``sha256`` and ``rank`` are read off the files. ``path`` is the destination, or
            ``weights`` itself for a version that stays where it is.
        manifest_path: adapters_manifest.toml.
        verify: called with the version's folder before the registration; raises to refuse it.
        discard_leftover: remove a destination that no version names, which an interrupted training left behind.

    Returns:
        The registered version.

    Raises:
        AdapterError: the destination exists, or the weights are damaged.
        ManifestError: the name is taken.
        StoreError: the manifest cannot be written.
    """
    destination = version.path
    assert destination is not None
    if discard_leftover and destination.exists() and version.name not in read_manifest(manifest_path).adapters:
        shutil.rmtree(destination)
    in_place = destination == weights
    facts = check(weights) if in_place else publish(weights, destination)
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
