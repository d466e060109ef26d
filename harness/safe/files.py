"""Files and folders that appear whole or not at all.

A file is written to a temporary file of random name in the same folder, synced to disk and renamed over the target. A
reader, or a run after ``kill -9``, sees the old file or the new one, never half of one. Whole folders follow the same
steps with :func:`new_folder`.

Every file of a project is written through this module, with four exceptions. SQLite writes its own database. Logs of
child processes are opened where the process starts. The trainer's environment does not have this package, so
``trainers/worker`` writes its own files. ``setup/environments.py`` runs before anything is installed.

A writer holds a lock (flock) on its temporary file or folder. What a killed writer left has none, so the next write
into the same folder removes it. A folder that is never written again, that of a dead run, is swept by name:
:func:`sweep_below`.

Trade-off: a write needs twice the space for a moment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import StoreError
from harness.safe.read import open_file

__all__ = [
    "append_line",
    "copy_file",
    "digest_file",
    "digest_folder",
    "locked",
    "new_file",
    "new_folder",
    "replace_link",
    "replace_with",
    "scratch_folder",
    "sweep",
    "sweep_below",
    "write_bytes",
    "write_text",
]

_TEMPORARY = ".tmp-"
_SECONDS_TO_LINK = 2.0
"""Age from which a temporary link, which cannot be locked, counts as left behind."""
_SECONDS_TO_ASK = 0.01
"""Between two attempts at a lock: a process that changes a file many times in a row must let the others in."""


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
    with new_file(path) as temporary:
        write(temporary)
    return path


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Fill a temporary file, which takes the place of ``path`` at the end; an error leaves nothing behind.

    Args:
        path: the target; its folder is made when absent. An existing file's mode is kept.

    Yields:
        The temporary file: empty, beside ``path``, with its suffix. It is to be written, not replaced.

    Raises:
        StoreError: the disk is full, the folder is not writable ...; the old file is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        temporary, descriptor = _own(path.parent, path.stem, path.suffix)
        try:
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            if path.exists():
                temporary.chmod(path.stat().st_mode & 0o7777)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            os.close(descriptor)
        _sync_folder(path.parent)
    except OSError as error:
        remedy = "move that away" if isinstance(error, IsADirectoryError) else "free space or fix its rights"
        raise StoreError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error


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
    sweep(destination.parent)
    temporary, descriptor = _own(destination.parent, destination.name, folder=True)
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(destination)
        _sync_folder(destination.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder for this block, readable by the user alone. What a killed process left of one is swept as well.

    Args:
        parent: made when absent.

    Raises:
        OSError: no space or no rights.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder, descriptor = _own(parent, "scratch", folder=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def replace_link(path: Path, target: Path) -> None:
    """Let the symbolic link ``path`` lead to ``target`` (relative to the link's folder), in one step.

    Raises:
        OSError: the file system has no links, or ``path`` is a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    temporary = path.with_name(f"{_TEMPORARY}{path.name}-{secrets.token_hex(6)}")
    try:
        temporary.symlink_to(target)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def locked(path: Path, *, seconds: float = 30.0) -> Iterator[None]:
    """Hold an exclusive lock (``.<name>.lock``) while a file is read, changed and written back.

    A process waits as long as others change the file: its turn comes, however many they are and however slow the
    machine is.

    Args:
        path: the file; its folder is made when absent.
        seconds: to wait while nothing changes.

    Raises:
        StoreError: another process held the lock for over ``seconds`` and changed nothing, or the lock cannot be made:
            no lock, no write.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            before = _stamp(path)
            try:
                lock.acquire(timeout=seconds, poll_interval=_SECONDS_TO_ASK)
                break
            except Timeout:
                if _stamp(path) == before:
                    raise
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
    with open_file(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_folder(folder: Path, names: tuple[str, ...]) -> str:
    """sha256 over the named files' own digests and names; files that do not exist do not count."""
    total = hashlib.sha256()
    for name in sorted(names):
        path = folder / name
        if path.is_file():
            total.update(f"{name}\0{digest_file(path)}\n".encode())
    return total.hexdigest()


def sweep(folder: Path) -> None:
    """Remove what killed writers left in ``folder``: temporary files, folders and links that nobody holds."""
    for left in folder.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if left.is_symlink():
                if not 0 <= time.time() - left.lstat().st_ctime < _SECONDS_TO_LINK:
                    left.unlink(missing_ok=True)
                continue
            descriptor = os.open(left, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def sweep_below(parent: Path) -> None:
    """Sweep every folder in ``parent``: where each run has its own, that of a killed one is never written to again."""
    for folder in parent.glob("*/"):
        sweep(folder)


def _own(parent: Path, name: str, suffix: str = "", *, folder: bool = False) -> tuple[Path, int]:
    """Make an empty temporary file or folder; returns it and the descriptor that holds its lock."""
    while True:
        # A name has 255 bytes, and a character up to four.
        path = parent / f"{_TEMPORARY}{name[:40]}-{secrets.token_hex(6)}{suffix}"
        if folder:
            path.mkdir(0o700)
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        # Where the file system has no locks, nothing can be swept either.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # A sweep before the lock took it for left behind.
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
