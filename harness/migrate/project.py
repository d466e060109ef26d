"""Writes a planned project: files that are not there yet, versions whose weights are here.

Nothing that exists is overwritten. A file with the same content counts as done, so that the same import twice changes
nothing; one with another content is kept and named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import AdapterError, HarnessError, UsageError
from harness.migrate.plan import MigrationPlan, PlannedVersion
from harness.models.adapters.addition import add_version
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.safe.files import write_bytes

__all__ = ["Written", "check_place", "register_versions", "write_files"]

_FOLDERS = ("badcases", "trainers", "reports", "baselines", "adapters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of each file, by path relative to the project."""

    written: tuple[str, ...]
    same: tuple[str, ...]
    """Were there with this very content."""
    kept: tuple[str, ...]
    """Are there with another content."""
    left: tuple[str, ...] = ()
    """Are not there, in a case folder that has other content: its cases are not to be changed by a case.toml."""

    def __add__(self, other: Written) -> Written:
        """What became of the files of both."""
        return Written(
            written=self.written + other.written, same=self.same + other.same, kept=self.kept + other.kept,
            left=self.left + other.left,
        )  # fmt: skip


def check_place(source: Path, root: Path) -> None:
    """Pass when writing the project at ``root`` touches nothing in ``source``.

    Raises:
        UsageError: the project, or a folder of it, would lie in ``source``.
    """
    source = source.resolve()
    for place in (root, *(root / name for name in _FOLDERS)):
        if place.resolve().is_relative_to(source):
            raise UsageError(f"{place} lies in {source}, which is not to be changed; name another place with --into")


def write_files(root: Path, files: Mapping[str, bytes], *, dry_run: bool = False) -> Written:
    """Write the files that are not there.

    Args:
        root: the project.
        files: content by relative path.
        dry_run: only say what would become of each.

    Raises:
        StoreError: one could not be written.
    """
    there = [name for name in files if os.path.lexists(root / name)]
    same = [name for name in there if _content(root / name, len(files[name])) == files[name]]
    kept = [name for name in there if name not in same]
    others = {folder for name in kept if (folder := _case_folder(name))}
    absent = [name for name in files if name not in there]
    left = [name for name in absent if _case_folder(name) in others]
    written = [name for name in absent if name not in left]
    for name in written if not dry_run else ():
        write_bytes(root / name, files[name])
    return Written(written=tuple(written), same=tuple(same), kept=tuple(kept), left=tuple(left))


def _case_folder(name: str) -> str:
    """The case folder of a path in the project; empty for other paths."""
    parts = name.split("/")
    return parts[1] if parts[0] == "badcases" and len(parts) > 2 else ""


def _content(path: Path, size: int) -> bytes | None:
    """The content of a regular file of that size; None for anything else."""
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size == size else None
    except OSError:
        return None


def register_versions(root: Path, plan: MigrationPlan, base: str) -> tuple[list[str], list[str]]:
    """Add the versions whose weights, and whose model, are on this machine to the manifest.

    Args:
        root: the project, with a manifest.
        plan: its versions.
        base: the version that is the model as shipped.

    Returns:
        Names of those that were added, and why others were not, for people.
    """
    settings = read_settings(root.resolve())
    added: list[str] = []
    notes: list[str] = []
    models = {model.name: model for model in plan.models}
    for version in plan.versions:
        manifest = read_manifest(settings.manifest_path)
        if version.name in manifest.adapters or not version.here:
            continue
        if version.model not in manifest.models or version.model not in models or not models[version.model].here:
            notes.append(f"version {version.name}: its model is not on this machine; add it later: {version.command}")
            continue
        parent = version.parent if version.parent in manifest.adapters else None
        if version.parent and parent is None and version.on_top:
            notes.append(f"version {version.name}: needs {version.parent} below it, which is not in the manifest")
            continue
        if version.parent and parent is None:
            notes.append(f"version {version.name}: its parent {version.parent} is not in the manifest")
        notes += _register(root, version, parent or _shipped(manifest.adapters, base), added)
    return added, notes


def _shipped(adapters: Mapping[str, object], base: str) -> str | None:
    return base if base in adapters else None


def _register(root: Path, version: PlannedVersion, parent: str | None, added: list[str]) -> Sequence[str]:
    settings = read_settings(root.resolve())
    manifest = read_manifest(settings.manifest_path)
    if parent is not None and manifest.adapters[parent].model != version.model:
        parent = None
    try:
        _, note = add_version(
            Path(version.path), settings, manifest, name=version.name, model=version.model, parent=parent,
            on_top=version.on_top, method=version.method,
        )  # fmt: skip
    except (AdapterError, UsageError) as error:
        return [f"version {version.name}: {error}"]
    except HarnessError as error:
        return [f"version {version.name}: not added: {error}"]
    added.append(version.name)
    return [f"version {version.name}: {note}"] if note else []
