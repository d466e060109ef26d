"""The run database: one SQLite file, from which every report is exported.

Every result is committed as soon as it is known, so a killed run loses nothing that it had. The row's status says
whether the run came to its end, and only ``finished`` counts as one. WAL and a busy time-out let two runs write at
once. Not supported: a database on a network share, where SQLite's locks are not safe; the reports can live anywhere.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from harness.engines.base import Completion
from harness.errors import StoreError
from harness.judging.results import CaseResult
from harness.safe.files import digest_file
from harness.safe.records import dump, load, to_data
from harness.store.schema import SCHEMA, VERSION

__all__ = ["Run", "RunStatus", "Store", "Training"]

RunStatus = Literal["started", "finished", "interrupted", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One evaluation: facts about it; its results are read apart."""

    id: str
    started: str
    finished: str | None
    status: RunStatus
    planned: int
    """How many results a whole run has; fewer recorded ones mean that it was cut short."""
    facts: Mapping[str, Any]

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(self.facts.get("adapters", ()))

    @property
    def kind(self) -> str:
        """``suite``, or what else asked for answers (``probe``, ``bisect``); only suites are judged and fixed."""
        return str(self.facts.get("kind", "suite"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training: what it was asked, how far it came."""

    id: str
    started: str
    finished: str | None
    status: str
    run: str
    adapter: str
    facts: Mapping[str, Any]


class Store:
    """Open handle on the run database; close it, or use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open or create the database at ``path``.

        Raises:
            StoreError: it is not a database, of another version, or cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            existing = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if existing not in (0, VERSION):
                self._connection.close()
                raise StoreError(
                    f"{path} is of version {existing}, this harness writes {VERSION}; move it away to start a new one"
                )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(SCHEMA)
            self._connection.execute(f"PRAGMA user_version={VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{path} cannot be opened as the run database: {error}; restore it or move it away"
            ) from error

    @classmethod
    def existing(cls, path: Path) -> Self:
        """Open the database at ``path``, which must be there: for commands that only read.

        Raises:
            StoreError: nothing was recorded yet, and as the constructor.
        """
        if not path.is_file():
            raise StoreError(f"no run is recorded in {path.parent}; run first: pytest badcases")
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the handle; calling it twice is fine."""
        self._connection.close()

    # -- generations ---------------------------------------------------------------------------------------------

    def generation(self, key: str, loop_limit: float | None = None) -> Completion | None:
        """The stored answer under ``key``; None when there is none that serves, or it cannot be read.

        An answer that was cut because a loop proved FAIL only serves a caller who would have cut it too.
        """
        row = self._one("SELECT completion, loop_limit FROM generations WHERE key = ?", (key,))
        if row is None:
            return None
        try:
            completion = load(Completion, row[0])
        except StoreError:
            return None
        proven = row[1]
        if completion.finish_reason == "loop" and (loop_limit is None or proven is None or proven < loop_limit):
            return None
        return completion

    def save_generation(
        self, key: str, identity: Mapping[str, object], completion: Completion, loop_limit: float | None = None
    ) -> None:
        """Keep a raw answer; a newer one under the same key replaces it."""
        self._write(
            "INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?)",
            (key, dump(identity), _now(), loop_limit, dump(completion)),
        )

    def prompt_ids(self, key: str) -> tuple[int, ...] | None:
        """Token ids of a conversation rendered before."""
        row = self._one("SELECT ids FROM prompts WHERE key = ?", (key,))
        return None if row is None else tuple(json.loads(row[0]))

    def save_prompt_ids(self, key: str, ids: Sequence[int]) -> None:
        self._write("INSERT OR REPLACE INTO prompts VALUES (?, ?)", (key, json.dumps(list(ids))))

    def digest(self, path: Path) -> str:
        """sha256 of a file, remembered while its size, times and inode stay as they are.

        A program can set the time of modification, but not the time of the last change of the inode.
        """
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        name = str(path.resolve())
        row = self._one("SELECT stamp, digest FROM digests WHERE path = ?", (name,))
        if row is not None and row[0] == stamp:
            return str(row[1])
        digest = digest_file(path)
        self._write("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (name, stamp, digest))
        return digest

    # -- runs ----------------------------------------------------------------------------------------------------

    def begin_run(self, planned: int, facts: Mapping[str, Any]) -> Run:
        """Record that a run has begun; its id is a time stamp plus chance, so two at once never share one."""
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        machine = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
        full = {**facts, "python": platform.python_version(), **machine}
        self._write(
            "INSERT INTO runs VALUES (?, ?, NULL, 'started', ?, ?)",
            (run_id, _now(), planned, json.dumps(to_data(full))),
        )
        return self.run(run_id)

    def finish_run(self, run_id: str, status: RunStatus, facts: Mapping[str, Any] | None = None) -> Run:
        """Say how a run ended; written last, so its absence means that the run was killed."""
        merged = {**self.run(run_id).facts, **(facts or {})}
        self._write(
            "UPDATE runs SET finished = ?, status = ?, facts = ? WHERE id = ?",
            (_now(), status, json.dumps(to_data(merged)), run_id),
        )
        return self.run(run_id)

    def run(self, run_id: str) -> Run:
        """The run of that id, or the only one whose id begins so; ``last`` is the newest.

        Raises:
            StoreError: none, or several.
        """
        if run_id == "last":
            runs = self.runs(limit=1)
            if not runs:
                raise StoreError(f"no run is recorded in {self.path}; run: pytest badcases")
            return runs[0]
        rows = self._all(_RUN + "WHERE id = ? OR id LIKE ? || '%' ORDER BY started LIMIT 3", (run_id, run_id))
        exact = [r for r in rows if r[0] == run_id]
        if len(exact or rows) != 1:
            word = "several runs begin" if rows else "no run has an id that begins"
            raise StoreError(f"{word} with {run_id!r} in {self.path}; harness history lists them")
        return _run((exact or rows)[0])

    def runs(
        self, *, adapter: str | None = None, finished: bool = False, limit: int = 1000, kind: str = "suite"
    ) -> tuple[Run, ...]:
        """Runs of a kind, newest first."""
        rows = self._all(_RUN + "ORDER BY started DESC, rowid DESC LIMIT 100000", ())
        records = (_run(r) for r in rows)
        return tuple(
            r
            for r in records
            if r.kind == kind
            and (adapter is None or adapter in r.adapters)
            and (not finished or r.status == "finished")
        )[:limit]

    def save_result(self, run_id: str, position: int, result: CaseResult) -> None:
        """Record one case's result in a run."""
        self._write(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)",
            (run_id, position, result.case.id, result.adapter, result.verdict.status.value, dump(result)),
        )

    def results(self, run_id: str, *, adapter: str | None = None) -> tuple[CaseResult, ...]:
        """Results of a run (see :meth:`run` for its names) in the order of its cases."""
        sql = "SELECT adapter, result FROM results WHERE run = ? ORDER BY position, adapter"
        rows = self._all(sql, (self.run(run_id).id,))
        return tuple(load(CaseResult, text) for name, text in rows if adapter in (None, name))

    def latest_results(self, adapter: str, case_ids: Iterable[str] | None = None) -> tuple[CaseResult, ...]:
        """Per case the newest result on ``adapter`` out of finished runs."""
        wanted = None if case_ids is None else set(case_ids)
        rows = self._all(
            "SELECT r.case_id, r.result FROM results r JOIN runs u ON u.id = r.run "
            "WHERE r.adapter = ? AND u.status = 'finished' AND u.facts ->> '$.kind' IS NULL "
            "ORDER BY u.started, u.rowid",
            (adapter,),
        )
        newest = {case_id: text for case_id, text in rows if wanted is None or case_id in wanted}
        return tuple(load(CaseResult, text) for text in newest.values())

    # -- trainings -----------------------------------------------------------------------------------------------

    def save_training(self, training: Training) -> None:
        """Record a training's state; the newest state of an id counts."""
        self._write(
            "INSERT OR REPLACE INTO trainings VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                training.id, training.started, training.finished, training.status, training.run, training.adapter,
                json.dumps(to_data(training.facts)),
            ),
        )  # fmt: skip

    def trainings(self, adapter: str | None = None) -> tuple[Training, ...]:
        """Trainings, newest first."""
        rows = self._all(
            "SELECT id, started, finished, status, run, adapter, facts FROM trainings ORDER BY started DESC", ()
        )
        return tuple(
            Training(id=r[0], started=r[1], finished=r[2], status=r[3], run=r[4], adapter=r[5], facts=json.loads(r[6]))
            for r in rows
            if adapter in (None, r[5])
        )

    # -- sqlite --------------------------------------------------------------------------------------------------

    def _one(self, sql: str, values: Sequence[object]) -> Sequence[Any] | None:
        return next(iter(self._all(sql, values)), None)

    def _all(self, sql: str, values: Sequence[object]) -> list[Sequence[Any]]:
        with self._guard():
            return self._connection.execute(sql, values).fetchall()

    def _write(self, sql: str, values: Sequence[object]) -> None:
        with self._guard():
            self._connection.execute(sql, values)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}; free space, or move a damaged database away") from error


_RUN = "SELECT id, started, finished, status, planned, facts FROM runs "


def _run(row: Sequence[Any]) -> Run:
    return Run(id=row[0], started=row[1], finished=row[2], status=row[3], planned=row[4], facts=json.loads(row[5]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
