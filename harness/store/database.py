"""The run database, from which every report is exported: an SQLite file, or a PostgreSQL database that a team shares.

Every result is committed as soon as it is known, or with a few others, so a killed run loses nothing that it had: the
answers themselves are stored one by one. The row's status says whether the run came to its end, and only ``finished``
counts as one. Rows are sealed (:mod:`harness.store.seal`). A changed row that is only a cache counts as absent; a
changed run, result or training is an error.

SQLAlchemy is imported when a database is made or migrated, or is on a server. Not supported: an SQLite file on a
network share, where its locks are not safe; the reports can live anywhere.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

from harness.errors import StoreError
from harness.judging.results import CaseResult
from harness.project.database import is_shared
from harness.safe.records import dump, load, to_data
from harness.store.answers import Answers
from harness.store.base import now, with_seal
from harness.store.parts import Parts, end_facts, own_facts, require_same, shared_facts
from harness.store.records import IMPORTED, SHOWN, SUITE, Part, Run, RunStatus, Training
from harness.store.seal import seal, sealed

__all__ = ["Store"]

_AT_ONCE = 500
"""Results of one statement."""
_RUN = ("id", "started", "finished", "status", "planned", "facts", "results")
_RESULT = ("run", "position", "case_id", "adapter", "status", "result")
_TRAINING = ("id", "started", "finished", "status", "run", "adapter", "facts")


class Store(Answers, Parts):
    """Open handle on the run database; close it, or use it as a context manager."""

    def __init__(self, database: Path | str) -> None:
        """Open or create the database: the path of an SQLite file, or ``postgresql+psycopg://...``.

        Raises:
            StoreError: it is not a database, of a newer version, cannot be reached, or cannot be written.
        """
        self._open(database, foreign=False)

    def _open(self, database: Path | str, *, foreign: bool) -> None:
        from harness.store.connection import Connection

        self.address = str(database)
        self._database = Connection(database, foreign=foreign)

    @classmethod
    def existing(cls, database: Path | str) -> Self:
        """Open the database, which must be there: for commands that only read.

        Raises:
            StoreError: nothing was recorded yet, and as the constructor.
        """
        if not cls.exists(database):
            raise StoreError(f"no run is recorded in {Path(database).parent}; run first: pytest badcases")
        return cls(database)

    @classmethod
    def foreign(cls, path: Path) -> Self:
        """Open a file that another machine wrote: read-only, and nothing in it is trusted.

        Raises:
            StoreError: it is not a run database of this version.
        """
        store = cls.__new__(cls)
        store._open(path, foreign=True)
        return store

    @staticmethod
    def exists(database: Path | str) -> bool:
        """Whether there is a database to read; one on a server is expected to be there."""
        return is_shared(str(database)) or Path(database).is_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the handle; calling it twice is fine."""
        self._database.close()

    # -- runs ----------------------------------------------------------------------------------------------------

    def begin_run(self, planned: int, facts: Mapping[str, Any], *, part: Part | None = None) -> Run:
        """Record that a run has begun; its id is a time stamp plus chance, drawn again where a run has it.

        Args:
            planned: how many results it has. The parts of a run know that themselves.
            facts: about the run, for its record.
            part: of which part; the run is then the one of its group, which the first part begins.

        Raises:
            UsageError: the group was begun with other settings.
        """
        machine = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
        full = to_data({**facts, "python": platform.python_version(), **machine})
        if part is None:
            run = self._add_run(planned, full, "")
            assert run is not None
            return run
        with self._database.transaction():
            run = self._run_of_part(part, to_data(shared_facts(full, part)))
            self._save_part(run.id, part, now(), None, "started", own_facts(full))
        return run

    def _run_of_part(self, part: Part, facts: Mapping[str, Any]) -> Run:
        """The run that the part belongs to; under way from now on."""
        planned = sum(part.sizes)
        begun = self.run_of_group(part.group) if part.group else None
        if begun is None:
            added = self._add_run(planned, facts, part.group)
            if added is not None:
                return added
            begun = self.run_of_group(part.group)
            assert begun is not None
        known = {name: value for name, value in begun.facts.items() if name not in ("complete", "part_runs")}
        require_same(part.group, known, facts)
        if begun.status != "started":
            return self._end(begun, None, "started", facts)
        return begun

    def _add_run(self, planned: int, facts: Mapping[str, Any], group: str) -> Run | None:
        """A new run; None where its group has one by now."""
        kind = str(facts.get("kind", "suite"))
        while True:
            run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            row = with_seal(_RUN, run_id, now(), None, "started", planned, json.dumps(facts), "")
            with self._database.transaction():
                added = self._database.one(self._database.sql.add_run, **row, kind=kind, run_group=group or None)
                if added is not None:
                    self._database.write(self._database.sql.count_run, value=added[0])
                    return self._only(run_id)
                if group and self.run_of_group(group) is not None:
                    return None

    def finish_run(
        self, run_id: str, status: RunStatus, facts: Mapping[str, Any] | None = None, *, part: Part | None = None
    ) -> Run:
        """Say how a run ended; written last, so its absence means that the run was killed.

        Args:
            run_id: as :meth:`begin_run` gave it.
            status: how it ended.
            facts: more about it; ``complete`` says that it has all its results, or not.
            part: of which part, where the run has parts. The run itself ends with the last of them that is complete.
        """
        with self._database.transaction():
            run = self._only(run_id, lock=True)
            if part is None:
                return self._end(run, now(), status, to_data({**run.facts, **(facts or {})}))
            parts = self.parts(run_id)
            own = next(p for p in parts if p.number == part.number)
            self._save_part(run_id, part, own.started, now(), status, {**own.facts, **(facts or {})})
            parts = self.parts(run_id)
            if not part.group:
                return self._end(run, now(), status, {**run.facts, **end_facts(parts)})
            complete = {p.number for p in parts if p.complete}
            if {n for n, size in enumerate(part.sizes, start=1) if size} <= complete:
                whole = [p for p in parts if p.number in complete]
                return self._end(run, now(), "finished", {**run.facts, **end_facts(whole)})
            return run

    def _end(self, run: Run, finished: str | None, status: RunStatus, facts: Mapping[str, Any]) -> Run:
        """Write the state of a run; one without an end is under way."""
        results = "" if finished is None else self._results_seal(run.id)
        row = with_seal(_RUN, run.id, run.started, finished, status, run.planned, json.dumps(facts), results)
        changed = {name: row[name] for name in ("finished", "status", "facts", "results", "seal")}
        self._database.write(self._database.sql.end_run, run_id=run.id, **changed)
        return self._only(run.id)

    def run(self, run_id: str) -> Run:
        """The run of that id, or the only one whose id begins so; ``last`` is the newest.

        Raises:
            StoreError: none, or several.
        """
        if run_id == "last":
            runs = self.runs(limit=1)
            if not runs:
                only = "; imported answers are not one" if self.runs(limit=1, kinds=(IMPORTED,)) else ""
                raise StoreError(f"no run is recorded in {self.address}{only}; run: pytest badcases")
            return runs[0]
        rows = [self._database.one(self._database.sql.run, id=run_id)]
        if rows == [None] and run_id:
            rows = [*self._database.all(self._database.sql.runs_beginning, start=run_id, length=len(run_id))]
        if len(rows) != 1 or rows[0] is None:
            word = "several runs begin" if len(rows) > 1 else "no run has an id that begins"
            raise StoreError(f"{word} with {run_id!r} in {self.address}; harness history lists them")
        return self._run(rows[0])

    def run_of_group(self, group: str) -> Run | None:
        """The run that the parts of ``group`` make together; None where none has begun."""
        row = self._database.one(self._database.sql.run_of_group, name=group)
        return None if row is None else self._run(row)

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
        rows = self._database.all(self._database.sql.runs_newest_first)
        self._check_newest()
        records = (self._run(r) for r in rows)
        return tuple(
            r
            for r in records
            if r.kind in kinds
            and (adapter is None or adapter in r.adapters)
            and (not finished or r.status == "finished")
        )[:limit]

    def record_run(self, planned: int, facts: Mapping[str, Any], results: Iterable[tuple[int, CaseResult]]) -> Run:
        """Record a run that was made elsewhere with all its results and their positions: whole, or not at all.

        Raises:
            StoreError: as ``results`` do; nothing was recorded then.
        """
        waiting = iter(results)
        with self._database.transaction():
            run = self._add_run(planned, to_data(facts), "")
            assert run is not None
            while some := list(islice(waiting, _AT_ONCE)):
                self.save_results(run.id, some)
            return self._end(run, now(), "finished", run.facts)

    def _only(self, run_id: str, *, lock: bool = False) -> Run:
        """The run of exactly that id."""
        sql = self._database.sql
        row = self._database.one(sql.locked_run if lock else sql.run, id=run_id)
        if row is None:
            raise self._changed(f"run {run_id}")
        return self._run(row)

    def _run(self, row: Sequence[Any]) -> Run:
        *values, kind, group = row
        if not sealed(values):
            raise self._changed(f"run {row[0]}")
        run = Run(
            id=row[0], started=row[1], finished=row[2], status=row[3], planned=row[4], facts=json.loads(row[5]),
            results_seal=row[6],
        )  # fmt: skip
        # The search goes by these columns, and the seal is over the facts.
        if not isinstance(run.facts, dict) or run.kind != kind or run.group != (group or ""):
            raise self._changed(f"run {row[0]}")
        return run

    def _check_newest(self) -> None:
        numbers = self._database.one(self._database.sql.newest_numbers)
        if numbers is not None and numbers[1] is not None and numbers[0] != numbers[1]:
            raise self._changed("the newest run")

    # -- results -------------------------------------------------------------------------------------------------

    def save_result(self, run_id: str, position: int, result: CaseResult) -> None:
        """Record one case's result in a run."""
        self._database.write(self._database.sql.save_result, **_result_row(run_id, position, result))

    def save_results(self, run_id: str, results: Iterable[tuple[int, CaseResult]]) -> None:
        """Record many results with their positions in one transaction: all of them, or none."""
        rows = [_result_row(run_id, position, result) for position, result in results]
        self._database.write_many(self._database.sql.save_result, rows)

    def results(self, run_id: str, *, adapter: str | None = None) -> tuple[CaseResult, ...]:
        """Results of a run (see :meth:`run` for its names) in the order of its cases.

        Raises:
            StoreError: one of them was changed or deleted.
        """
        return tuple(self.iter_results(run_id, adapter=adapter))

    def iter_results(self, run_id: str, *, adapter: str | None = None) -> Iterator[CaseResult]:
        """The results of :meth:`results` one after another, so that they need not all be in memory.

        Raises:
            StoreError: one of them was changed; at the end, when one was deleted. Until then nothing is sure.
        """
        return (result for _, result in self.placed_results(run_id, adapter=adapter))

    def placed_results(self, run_id: str, *, adapter: str | None = None) -> Iterator[tuple[int, CaseResult]]:
        """The results of :meth:`iter_results` with their positions in the run."""
        run = self.run(run_id)
        seals: list[str] = []
        for row in self._database.stream(self._database.sql.results, run=run.id):
            seals.append(row[-1])
            if adapter in (None, row[3]):
                yield row[1], self._result(row)
        if run.finished is not None and seal(*seals) != run.results_seal:
            raise self._changed(f"the results of run {run.id}")

    def counts(self, run_ids: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
        """How many results of each verdict runs have: by run, adapter and verdict; nothing is checked or loaded."""
        counted: dict[str, dict[str, dict[str, int]]] = {}
        rows = self._database.all(self._database.sql.counts, runs=self._database.many(run_ids))
        for run, adapter, status, number in rows:
            counted.setdefault(run, {}).setdefault(adapter, {})[status] = number
        return counted

    def latest_results(
        self, adapter: str, case_ids: Iterable[str] | None = None, *, kind: str = SUITE
    ) -> tuple[CaseResult, ...]:
        """Per case the newest result on ``adapter`` out of finished runs of a kind."""
        wanted = None if case_ids is None else set(case_ids)
        rows = self._database.stream(self._database.sql.latest_results, adapter=adapter, kind=kind)
        return tuple(self._result(row) for row in rows if wanted is None or row[2] in wanted)

    def _result(self, row: Sequence[Any]) -> CaseResult:
        if not sealed(row):
            raise self._changed(f"the result of {row[2]!r} in run {row[0]}")
        return load(CaseResult, row[5])

    def _results_seal(self, run_id: str) -> str:
        return seal(*(row[0] for row in self._database.all(self._database.sql.result_seals, run=run_id)))

    # -- trainings -----------------------------------------------------------------------------------------------

    def save_training(self, training: Training) -> None:
        """Record a training's state; the newest state of an id counts."""
        row = with_seal(
            _TRAINING, training.id, training.started, training.finished, training.status, training.run,
            training.adapter, json.dumps(to_data(training.facts)),
        )  # fmt: skip
        self._database.write(self._database.sql.save_training, **row)

    def trainings(self, adapter: str | None = None) -> tuple[Training, ...]:
        """Trainings, newest first.

        Raises:
            StoreError: one of them was changed.
        """
        rows = self._database.all(self._database.sql.trainings)
        return tuple(self._training(row) for row in rows if adapter in (None, row[5]))

    def _training(self, row: Sequence[Any]) -> Training:
        if not sealed(row):
            raise self._changed(f"training {row[0]}")
        return Training(
            id=row[0], started=row[1], finished=row[2], status=row[3], run=row[4], adapter=row[5],
            facts=json.loads(row[6]),
        )  # fmt: skip


def _result_row(run_id: str, position: int, result: CaseResult) -> Mapping[str, object]:
    return with_seal(
        _RESULT, run_id, position, result.case.id, result.adapter, result.verdict.status.value, dump(result)
    )
