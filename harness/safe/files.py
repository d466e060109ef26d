"""Files and folders that appear whole or not at all.

A file is written to a temporary file of random name in the same folder, synced to disk and renamed over the target. A
reader, or a run after ``kill -9``, sees the old file or the new one, never half of one. Whole folders follow the same
steps with :func:`new_folder`.

Every file of a project is written through this module, with four exceptions. SQLite writes its own database. Logs of
child processes are opened where the process starts. The trainer's environment does not have this package, so
``trainers/worker`` writes its own files. ``setup/environments.py`` runs before anything is installed.

A writer holds a lock (flock) on its temporary file or folder. What a killed writer left has none, so the next write
into the same folder removes it.

Trade-off: a write needs twice the space for a moment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import StoreError

__all__ = [
    "append_line",
    "copy_file",
    "digest_file",
    "digest_folder",
    "locked",
    "new_folder",
    "replace_link",
    "replace_with",
    "write_bytes",
    "write_text",
]

_TEMPORARY = ".tmp-"
_SECONDS_TO_LOCK = 2.0


def replace_with(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then put it in the place of ``path`` in one step.

    Args:
        path: the target; its folder is made when absent. An existing file's mode is kept.
        write: gets the temporary path (same suffix as the target) and writes the whole content.

    Returns:
        ``path``.

    Raises:
        StoreError: the disk is full, the folder is not writable ...; the old file is untouched.
    """
    temporary = path.with_name(f"{_TEMPORARY}{path.stem[:60]}-{secrets.token_hex(6)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        temporary.touch()
        with _held(temporary):
            try:
                write(temporary)
                with temporary.open("rb+") as handle:
                    os.fsync(handle.fileno())
                if path.exists():
                    temporary.chmod(path.stat().st_mode & 0o7777)
                temporary.replace(path)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; free space or fix its rights") from error
    return path


def write_bytes(path: Path, data: bytes) -> Path:
    """Write ``data`` to ``path``, whole or not at all (see :func:`replace_with`)."""
    return replace_with(path, lambda temporary: temporary.write_bytes(data))


def write_text(path: Path, text: str) -> Path:
    """Write ``text`` as UTF-8, its line ends untouched, whole or not at all."""
    return write_bytes(path, text.encode("utf-8"))


def copy_file(source: Path, path: Path) -> Path:
    """Copy the content of ``source`` to ``path``, whole or not at all (see :func:`replace_with`)."""
    return replace_with(path, lambda temporary: shutil.copyfile(source, temporary))


def append_line(path: Path, text: str) -> Path:
    """Add one line to ``path``, synced to disk; what a killed writer left of a line gets an end first.

    Args:
        path: its folder is made when absent.
        text: one line without its end.

    Returns:
        ``path``.

    Raises:
        StoreError: the disk is full, the folder is not writable, or another process holds the file for long.
    """
    with locked(path):
        try:
            with path.open("ab+") as handle:
                if handle.tell():
                    handle.seek(-1, os.SEEK_END)
                    text = text if handle.read(1) == b"\n" else f"\n{text}"
                handle.write(f"{text}\n".encode())
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}; free space or fix its rights") from error
    return path


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """Fill a temporary folder, which becomes ``destination`` at the end; an error leaves nothing behind.

    Args:
        destination: must not exist; its parent is made when absent.

    Yields:
        The temporary folder, beside ``destination``.

    Raises:
        OSError: no space, no rights, or ``destination`` exists by now.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    _sweep(destination.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{destination.name}-", dir=destination.parent))
    with _held(temporary):
        try:
            yield temporary
            temporary.chmod(0o755)
            temporary.rename(destination)
            _sync_folder(destination.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_link(path: Path, target: Path) -> None:
    """Let the symbolic link ``path`` lead to ``target`` (relative to the link's folder), in one step.

    Raises:
        OSError: the file system has no links, or ``path`` is a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_TEMPORARY}{path.name}-{secrets.token_hex(6)}")
    try:
        temporary.symlink_to(target)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def locked(path: Path, *, seconds: float = 30.0) -> Iterator[None]:
    """Hold an exclusive lock (``<path>.lock``) while a file is read, changed and written back.

    Raises:
        StoreError: another process held it for over ``seconds``, or the lock cannot be made: no lock, no write.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise StoreError(f"{path} is being changed by another process for over {seconds:.0f} s; try again") from error
    except OSError as error:
        raise StoreError(f"cannot lock {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def digest_file(path: Path) -> str:
    """sha256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_folder(folder: Path, names: tuple[str, ...]) -> str:
    """sha256 over the named files' own digests and names; files that do not exist do not count."""
    total = hashlib.sha256()
    for name in sorted(names):
        path = folder / name
        if path.is_file():
            total.update(f"{name}\0{digest_file(path)}\n".encode())
    return total.hexdigest()


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock by which :func:`_sweep` knows that a temporary file or folder is in use."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Where the file system has no locks, nothing can be swept either.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left in ``folder``: temporary files and folders that nobody holds."""
    for left in folder.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A writer that has made the file and not yet locked it is younger than this.
                if 0 <= time.time() - os.fstat(descriptor).st_ctime < _SECONDS_TO_LOCK:
                    continue
                if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
