"""What the page has computed before, as files: figures, pages and cases of runs that have ended.

A large run takes seconds to read and judge. What comes of it is kept under ``reports/view``, each file under a digest
of everything that it comes from: the run with the seal of its results, settings, manifest, baseline, language, and the
program itself. A file begins with the digest of the rest, so a damaged one counts as absent. What does not match is
computed again; nothing is ever updated. The folder can be deleted at any time.

Trade-off: a result that was changed in the database after its run was read once is noticed by the run's other commands,
and not by the list.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import harness
from harness.errors import StoreError
from harness.safe.files import write_bytes
from harness.safe.read import open_file
from harness.safe.records import digest

__all__ = ["Kept", "program"]

MAX_BYTES = 500_000_000
"""Of all files together; the oldest go first."""


class Kept:
    """Files under digests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, digest: str, kind: str) -> bytes | None:
        """What was kept; None where there is nothing, or it cannot be read."""
        path = self._path(digest, kind)
        with suppress(OSError):
            if not path.is_symlink() and path.stat().st_size <= MAX_BYTES:
                with open_file(path) as file:
                    stored, _, data = file.read().partition(b"\n")
                return data if stored == _digest(data) else None
        return None

    def put(self, digest: str, kind: str, data: bytes) -> None:
        """Keep ``data``; a folder that cannot be written keeps nothing."""
        with suppress(StoreError, OSError):
            write_bytes(self._path(digest, kind), _digest(data) + b"\n" + data)
            self._prune()

    def _path(self, digest: str, kind: str) -> Path:
        return self._folder / f"{digest}.{kind}"

    def _prune(self) -> None:
        files = [(p, p.stat()) for p in self._folder.iterdir() if p.is_file() and not p.name.startswith(".")]
        left = sum(status.st_size for _, status in files) - MAX_BYTES
        for path, status in sorted(files, key=lambda f: f[1].st_mtime):
            if left <= 0:
                break
            path.unlink(missing_ok=True)
            left -= status.st_size


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


@cache
def program() -> str:
    """Digest of the names, sizes and times of the program's files, so that an upgrade computes everything again."""
    top = Path(harness.__file__).parent
    return digest([_stamp(path, top) for path in sorted(_files(top))])


def _files(top: Path) -> Iterable[Path]:
    for folder, _, names in os.walk(top):
        yield from (Path(folder) / name for name in names if name.endswith((".py", ".js", ".css", ".json")))


def _stamp(path: Path, top: Path) -> list[object]:
    status = path.stat()
    return [path.relative_to(top).as_posix(), status.st_size, status.st_mtime_ns]
