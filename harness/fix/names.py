"""The name of a new version: chosen and claimed before a training starts, held until it is registered.

A training takes hours, so a name that is taken is found out before it. The claim is a lock on a file, which the system
releases when its owner dies, so a killed owner's claim is free at once. Without a name, the next one is taken that no
version, no other training and no folder has.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UsageError
from harness.project.manifest import Manifest, check_name, next_version
from harness.project.settings import Settings

__all__ = ["NameClaimed", "claimed", "new_name"]


class NameClaimed(UsageError):
    """Another training of this project is making a version of that name; without ``--as``, the next one is free."""


def new_name(manifest: Manifest, settings: Settings, parent: str, asked: str | None, *, resume: bool = False) -> str:
    """The name for a version that is trained on ``parent``.

    Args:
        manifest: its versions' names are taken.
        settings: the project's.
        parent: the version that the name counts on from.
        asked: the user's choice; None for the next free one.
        resume: whether an interrupted training is continued, which may have left the version's folder.

    Raises:
        UsageError: ``asked`` is taken.
        ManifestError: ``asked`` is no name for a version.
    """
    if asked is None:
        return next_version(
            manifest, parent, lambda name: _folder(settings, name).exists() or _is_claimed(settings, name)
        )
    check_name("adapter", asked)
    if asked in manifest.adapters:
        raise UsageError(
            f"--as {asked!r}: that version exists already; a version is never overwritten, take another name"
        )
    if not resume and _folder(settings, asked).exists():
        raise UsageError(
            f"--as {asked!r}: {_folder(settings, asked)} exists and no version names it; register it with harness "
            "adapters add, move it away, or take another name"
        )
    return asked


@contextmanager
def claimed(settings: Settings, name: str) -> Iterator[None]:
    """Hold the claim on a name.

    Raises:
        NameClaimed: another process of this project holds it.
    """
    path = settings.reports / "trainings" / f".{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(path)
    if descriptor is None:
        raise NameClaimed(f"--as {name}: another training of that name is under way; wait, or take another name")
    try:
        yield
    finally:
        # Removed while it is held: whoever opened it meanwhile sees that it is gone, and opens it anew.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """An open descriptor that holds the lock on the file at ``path``; None where another process holds it."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
        os.close(descriptor)


def _is_claimed(settings: Settings, name: str) -> bool:
    try:
        with claimed(settings, name):
            return False
    except NameClaimed:
        return True


def _folder(settings: Settings, name: str) -> Path:
    return settings.adapters / name
