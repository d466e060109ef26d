"""The run database: one SQLite file, from which every report is exported.

Every result is committed as soon as it is known, so a killed run loses nothing that it had. The row's status says
whether the run came to its end, and only ``finished`` counts as one. Rows are sealed (:mod:`harness.store.seal`). A
changed row that is only a cache counts as absent; a changed run, result or training is an error.

Not supported: a database on a network share, where SQLite's locks are not safe; the reports can live anywhere.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from harness.engines.base import Completion
from harness.errors import StoreError
from harness.judging.results import CaseResult
from harness.safe.files import digest_file
from harness.safe.records import dump, load, to_data
from harness.store.connection import Connection
from harness.store.seal import seal, sealed

__all__ = ["IMPORTED", "SHOWN", "SUITE", "Run", "RunStatus", "Store", "Training"]

RunStatus = Literal["started", "finished", "interrupted", "failed"]
SUITE = "suite"
"""Kind of a run whose answers an engine gave."""
IMPORTED = "imported"
"""Kind of a run of old answers out of files: shown and compared, and never evidence of what an engine answers."""
SHOWN = (SUITE, IMPORTED)
"""Kinds that people look at."""


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
    results_seal: str = ""
    """Seal of all its results; empty while it is under way."""

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(self.facts.get("adapters", ()))

    @property
    def kind(self) -> str:
        """``suite``, ``imported``, or what else asked for answers (``probe``, ``bisect``).

        Only suites are judged by the gate, blessed and fixed.
        """
        return str(self.facts.get("kind", SUITE))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the files that an imported run's answers come from; empty for every other run."""
        files = self.facts.get("files", ()) if self.kind == IMPORTED else ()
        return tuple(str(file.get("name", "")) for file in files)


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
            StoreError: it is not a database, of a newer version, or cannot be written.
        """
        self.path = path
        self._database = Connection(path)

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
        self._database.close()

    # -- generations ---------------------------------------------------------------------------------------------

    def generation(self, key: str, loop_limit: float | None = None) -> Completion | None:
        """The stored answer under ``key``; None when there is none that serves, or it cannot be read.

        An answer that was cut because a loop proved FAIL only serves a caller who would have cut it too.
        """
        row = self._cached("SELECT * FROM generations WHERE key = ?", key)
        if row is None:
            return None
        *_, proven, text, _ = row
        try:
            completion = load(Completion, text)
        except StoreError:
            return None
        if completion.finish_reason == "loop" and (loop_limit is None or proven is None or proven < loop_limit):
            return None
        return completion

    def save_generation(
        self, key: str, identity: Mapping[str, object], completion: Completion, loop_limit: float | None = None
    ) -> None:
        """Keep a raw answer; a newer one under the same key replaces it."""
        limit = None if loop_limit is None else float(loop_limit)
        self._replace("generations", key, dump(identity), _now(), limit, dump(completion))

    def prompt_ids(self, key: str) -> tuple[int, ...] | None:
        """Token ids of a conversation rendered before."""
        row = self._cached("SELECT * FROM prompts WHERE key = ?", key)
        return None if row is None else tuple(json.loads(row[1]))

    def save_prompt_ids(self, key: str, ids: Sequence[int]) -> None:
        self._replace("prompts", key, json.dumps(list(ids)))

    def digest(self, path: Path) -> str:
        """sha256 of a file, remembered while its size, times and inode stay as they are.

        A program can set the time of modification, but not the time of the last change of the inode.
        """
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        name = str(path.resolve())
        row = self._cached("SELECT * FROM digests WHERE path = ?", name)
        if row is not None and row[1] == stamp:
            return str(row[2])
        digest = digest_file(path)
        self._replace("digests", name, stamp, digest)
        return digest

    def _cached(self, sql: str, key: str) -> Sequence[Any] | None:
        """The row that a query gives, if it is as it was written."""
        row = self._database.one(sql, key)
        return row if row is not None and sealed(row) else None

    def _replace(self, table: str, *values: object) -> None:
        marks = ", ".join("?" * (len(values) + 1))
        self._database.write(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", *values, seal(*values))  # noqa: S608

    # -- runs ----------------------------------------------------------------------------------------------------

    def begin_run(self, planned: int, facts: Mapping[str, Any]) -> Run:
        """Record that a run has begun; its id is a time stamp plus chance, so two at once never share one."""
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        machine = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
        full = {**facts, "python": platform.python_version(), **machine}
        row = (run_id, _now(), None, "started", planned, json.dumps(to_data(full)), "")
        self._database.write("INSERT INTO runs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", *row, seal(*row))
        return self.run(run_id)

    def finish_run(self, run_id: str, status: RunStatus, facts: Mapping[str, Any] | None = None) -> Run:
        """Say how a run ended; written last, so its absence means that the run was killed."""
        with self._database.transaction():
            run = self.run(run_id)
            merged = json.dumps(to_data({**run.facts, **(facts or {})}))
            row = (run_id, run.started, _now(), status, run.planned, merged, self._results_seal(run_id))
            self._database.write(
                "UPDATE runs SET finished = ?, status = ?, facts = ?, results = ?, seal = ? WHERE id = ?",
                row[2], row[3], row[5], row[6], seal(*row), run_id,
            )  # fmt: skip
        return self.run(run_id)

    def run(self, run_id: str) -> Run:
        """The run of that id, or the only one whose id begins so; ``last`` is the newest.

        Raises:
            StoreError: none, or several.
        """
        if run_id == "last":
            runs = self.runs(limit=1)
            if not runs:
                only = "; imported answers are not one" if self.runs(limit=1, kinds=(IMPORTED,)) else ""
                raise StoreError(f"no run is recorded in {self.path}{only}; run: pytest badcases")
            return runs[0]
        begins = "substr(id, 1, ?) = ? AND ? <> ''"
        rows = self._database.all(
            f"{_RUN} WHERE {begins} ORDER BY id = ? DESC, sequence LIMIT 3", len(run_id), run_id, run_id, run_id
        )
        exact = [r for r in rows if r[0] == run_id]
        if len(exact or rows) != 1:
            word = "several runs begin" if rows else "no run has an id that begins"
            raise StoreError(f"{word} with {run_id!r} in {self.path}; harness history lists them")
        return self._run((exact or rows)[0])

    def newest_shown(self) -> Run:
        """The newest run that people look at, imported ones among them.

        Raises:
            StoreError: nothing was recorded yet.
        """
        return next(iter(self.runs(limit=1, kinds=SHOWN)), None) or self.run("last")

    def runs(
        self,
        *,
        adapter: str | None = None,
        finished: bool = False,
        limit: int = 1000,
        kinds: Collection[str] = (SUITE,),
    ) -> tuple[Run, ...]:
        """Runs of some kinds, newest first; by their number, since a clock may go back.

        Raises:
            StoreError: a run was changed, or the newest one was deleted.
        """
        rows = self._database.all(f"{_RUN} ORDER BY sequence DESC")
        self._check_newest()
        records = (self._run(r) for r in rows)
        return tuple(
            r
            for r in records
            if r.kind in kinds
            and (adapter is None or adapter in r.adapters)
            and (not finished or r.status == "finished")
        )[:limit]

    def save_result(self, run_id: str, position: int, result: CaseResult) -> None:
        """Record one case's result in a run."""
        status = result.verdict.status.value
        self._replace("results", run_id, position, result.case.id, result.adapter, status, dump(result))

    def results(self, run_id: str, *, adapter: str | None = None) -> tuple[CaseResult, ...]:
        """Results of a run (see :meth:`run` for its names) in the order of its cases.

        Raises:
            StoreError: one of them was changed or deleted.
        """
        run = self.run(run_id)
        rows = self._database.all("SELECT * FROM results WHERE run = ? ORDER BY position, adapter", run.id)
        if run.finished is not None and seal(*(row[-1] for row in rows)) != run.results_seal:
            raise self._changed(f"the results of run {run.id}")
        return tuple(self._result(row) for row in rows if adapter in (None, row[3]))

    def counts(self, run_ids: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
        """How many results of each verdict runs have: by run, adapter and verdict; nothing is checked or loaded."""
        marks = ", ".join("?" * len(run_ids))
        rows = self._database.all(
            f"SELECT run, adapter, status, count(*) FROM results WHERE run IN ({marks}) "  # noqa: S608 - only marks
            "GROUP BY run, adapter, status",
            *run_ids,
        )
        counted: dict[str, dict[str, dict[str, int]]] = {}
        for run, adapter, status, number in rows:
            counted.setdefault(run, {}).setdefault(adapter, {})[status] = number
        return counted

    def latest_results(
        self, adapter: str, case_ids: Iterable[str] | None = None, *, kind: str = SUITE
    ) -> tuple[CaseResult, ...]:
        """Per case the newest result on ``adapter`` out of finished runs of a kind."""
        wanted = None if case_ids is None else set(case_ids)
        rows = self._database.all(
            "SELECT r.* FROM results r JOIN runs u ON u.id = r.run "
            "WHERE r.adapter = ? AND u.status = 'finished' AND coalesce(u.facts ->> '$.kind', ?) = ? "
            "ORDER BY u.sequence",
            adapter, SUITE, kind,
        )  # fmt: skip
        newest = {row[2]: row for row in rows if wanted is None or row[2] in wanted}
        return tuple(self._result(row) for row in newest.values())

    def _result(self, row: Sequence[Any]) -> CaseResult:
        if not sealed(row):
            raise self._changed(f"the result of {row[2]!r} in run {row[0]}")
        return load(CaseResult, row[5])

    def _results_seal(self, run_id: str) -> str:
        rows = self._database.all("SELECT seal FROM results WHERE run = ? ORDER BY position, adapter", run_id)
        return seal(*(row[0] for row in rows))

    def _run(self, row: Sequence[Any]) -> Run:
        if not sealed(row):
            raise self._changed(f"run {row[0]}")
        return Run(
            id=row[0], started=row[1], finished=row[2], status=row[3], planned=row[4], facts=json.loads(row[5]),
            results_seal=row[6],
        )  # fmt: skip

    def _check_newest(self) -> None:
        newest = self._database.one("SELECT max(sequence) FROM runs")
        given = self._database.one("SELECT seq FROM sqlite_sequence WHERE name = 'runs'")
        if given is not None and newest is not None and newest[0] != given[0]:
            raise self._changed("the newest run")

    def _changed(self, what: str) -> StoreError:
        return StoreError(
            f"{self.path}: {what} was changed or deleted since it was written; restore the database from a backup, or "
            "move it away and run the suite again"
        )

    # -- trainings -----------------------------------------------------------------------------------------------

    def save_training(self, training: Training) -> None:
        """Record a training's state; the newest state of an id counts."""
        row = (
            training.id, training.started, training.finished, training.status, training.run, training.adapter,
            json.dumps(to_data(training.facts)),
        )  # fmt: skip
        self._database.write(
            "INSERT INTO trainings VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "started = excluded.started, finished = excluded.finished, status = excluded.status, run = excluded.run, "
            "adapter = excluded.adapter, facts = excluded.facts, seal = excluded.seal",
            *row, seal(*row),
        )  # fmt: skip

    def trainings(self, adapter: str | None = None) -> tuple[Training, ...]:
        """Trainings, newest first.

        Raises:
            StoreError: one of them was changed.
        """
        rows = self._database.all(f"{_TRAINING} ORDER BY sequence DESC")
        return tuple(self._training(row) for row in rows if adapter in (None, row[5]))

    def _training(self, row: Sequence[Any]) -> Training:
        if not sealed(row):
            raise self._changed(f"training {row[0]}")
        return Training(
            id=row[0], started=row[1], finished=row[2], status=row[3], run=row[4], adapter=row[5],
            facts=json.loads(row[6]),
        )  # fmt: skip


_RUN = "SELECT id, started, finished, status, planned, facts, results, seal FROM runs"
_TRAINING = "SELECT id, started, finished, status, run, adapter, facts, seal FROM trainings"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
