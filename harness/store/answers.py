"""What the store keeps to save work: raw answers, rendered prompts, digests of files.

All of it is addressed by content. A row that was changed, or cannot be read, counts as absent: it is made again.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from harness.engines.base import Completion
from harness.errors import StoreError
from harness.safe.files import digest_file
from harness.safe.records import dump, load
from harness.store.base import Base, now, with_seal
from harness.store.seal import sealed

__all__ = ["Answers"]

_GENERATION = ("key", "identity", "created", "loop_limit", "completion")
_AT_ONCE = 500
"""Keys of one query."""


class Answers(Base):
    """Generations, prompts and digests."""

    def generation(self, key: str, loop_limit: float | None = None) -> Completion | None:
        """The stored answer under ``key``; None when there is none that serves, or it cannot be read.

        An answer that was cut because a loop proved FAIL only serves a caller who would have cut it too.
        """
        row = self._database.one(self._database.sql.generation, key=key)
        return None if row is None else _completion(row, loop_limit)

    def generations(self, wanted: Iterable[tuple[str, float | None]]) -> dict[tuple[str, float | None], Completion]:
        """The stored answers for many keys with their loop limits, as :meth:`generation` gives each.

        One query serves hundreds of keys, which matters where the database is on another machine.

        Returns:
            By key and loop limit, as they were asked for; those that are absent are left out.
        """
        limits: dict[str, list[float | None]] = {}
        for key, limit in wanted:
            limits.setdefault(key, []).append(limit)
        found: dict[tuple[str, float | None], Completion] = {}
        keys = iter(limits)
        while some := list(islice(keys, _AT_ONCE)):
            for row in self._database.all(self._database.sql.some_generations, keys=self._database.many(some)):
                for limit in limits[row[0]]:
                    if (completion := _completion(row, limit)) is not None:
                        found[row[0], limit] = completion
        return found

    def save_generation(
        self, key: str, identity: Mapping[str, object], completion: Completion, loop_limit: float | None = None
    ) -> None:
        """Keep a raw answer; a newer one under the same key replaces it."""
        limit = None if loop_limit is None else float(loop_limit)
        row = with_seal(_GENERATION, key, dump(identity), now(), limit, dump(completion))
        self._database.write(self._database.sql.save_generation, **row)

    def prompt_ids(self, key: str) -> tuple[int, ...] | None:
        """Token ids of a conversation rendered before."""
        row = self._database.one(self._database.sql.prompt, key=key)
        return tuple(json.loads(row[1])) if row is not None and sealed(row) else None

    def save_prompt_ids(self, key: str, ids: Sequence[int]) -> None:
        row = with_seal(("key", "ids"), key, json.dumps(list(ids)))
        self._database.write(self._database.sql.save_prompt, **row)

    def digest(self, path: Path) -> str:
        """sha256 of a file, remembered while its size, times and inode stay as they are.

        A program can set the time of modification, but not the time of the last change of the inode.
        """
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        # Machines that share a database have files of their own.
        host = f"{platform.node()}:" if self._database.kind == "postgresql" else ""
        name = f"{host}{path.resolve()}"
        row = self._database.one(self._database.sql.digest, path=name)
        if row is not None and sealed(row) and row[1] == stamp:
            return str(row[2])
        digest = digest_file(path)
        self._database.write(
            self._database.sql.save_digest, **with_seal(("path", "stamp", "digest"), name, stamp, digest)
        )
        return digest


def _completion(row: Sequence[Any], loop_limit: float | None) -> Completion | None:
    if not sealed(row):
        return None
    *_, proven, text, _ = row
    try:
        completion = load(Completion, text)
    except StoreError:
        return None
    if completion.finish_reason == "loop" and (loop_limit is None or proven is None or proven < loop_limit):
        return None
    return completion
