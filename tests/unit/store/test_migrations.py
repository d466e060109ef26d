"""A database of an older harness is read, and brought to the current version in one step."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.judging.results import Status
from harness.safe.records import dump
from harness.store import Store
from tests.unit.store.test_database import COMPLETION, result

VERSION_1 = """
CREATE TABLE generations (key TEXT PRIMARY KEY, identity TEXT NOT NULL, created TEXT NOT NULL, loop_limit REAL,
    completion TEXT NOT NULL) STRICT;
CREATE TABLE prompts (key TEXT PRIMARY KEY, ids TEXT NOT NULL) STRICT;
CREATE TABLE digests (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
CREATE TABLE runs (id TEXT PRIMARY KEY, started TEXT NOT NULL, finished TEXT,
    status TEXT NOT NULL CHECK (status IN ('started', 'finished', 'interrupted', 'failed')),
    planned INTEGER NOT NULL, facts TEXT NOT NULL) STRICT;
CREATE TABLE results (run TEXT NOT NULL REFERENCES runs (id), position INTEGER NOT NULL, case_id TEXT NOT NULL,
    adapter TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL, PRIMARY KEY (run, case_id, adapter)) STRICT;
CREATE INDEX results_by_case ON results (case_id, adapter, run);
CREATE TABLE trainings (id TEXT PRIMARY KEY, started TEXT NOT NULL, finished TEXT,
    status TEXT NOT NULL CHECK (status IN ('started', 'trained', 'registered', 'interrupted', 'failed')),
    run TEXT NOT NULL, adapter TEXT NOT NULL, facts TEXT NOT NULL) STRICT;
PRAGMA user_version = 1;
"""


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A database as version 0.1.0 of the harness left it: a finished run and one that was killed."""
    path = tmp_path / "harness.sqlite"
    facts = json.dumps({"adapters": ["v4.0"], "complete": True})
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(VERSION_1)
        connection.execute("INSERT INTO runs VALUES ('b', '2026-02-01', NULL, 'started', 1, ?)", (facts,))
        connection.execute("INSERT INTO runs VALUES ('a', '2026-01-01', '2026-01-02', 'finished', 1, ?)", (facts,))
        for run, status in (("a", Status.PASS), ("b", Status.FAIL)):
            value = result(status=status)
            row = (run, 0, value.case.id, "v4.0", status.value, dump(value))
            connection.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO generations VALUES ('k', '{}', '2026', NULL, ?)", (dump(COMPLETION),))
        connection.execute("INSERT INTO prompts VALUES ('p', '[1, 2]')")
        connection.execute("INSERT INTO trainings VALUES ('t', '1', NULL, 'started', 'a', 'v4.1', '{}')")
    return path


def test_everything_is_still_there(version_1: Path) -> None:
    """Runs in their order, results, answers, prompts and trainings."""
    for _ in range(2):
        with Store(version_1) as store:
            assert [run.id for run in store.runs()] == ["b", "a"]
            assert store.results("a") == (result(status=Status.PASS),)
            assert store.results("b") == (result(status=Status.FAIL),)
            assert store.generation("k") == COMPLETION
            assert store.prompt_ids("p") == (1, 2)
            assert [t.adapter for t in store.trainings()] == ["v4.1"]


def test_two_processes_may_open_it_at_once(version_1: Path) -> None:
    """The second one finds the work done."""
    with Store(version_1) as first, Store(version_1) as second:
        assert first.results("a") == second.results("a")


def test_a_damaged_old_database_is_refused_and_stays(version_1: Path) -> None:
    """The migration is one transaction: an error in it leaves the old tables."""
    with closing(sqlite3.connect(version_1, isolation_level=None)) as connection:
        connection.execute("DROP TABLE trainings")
    with pytest.raises(StoreError, match="restore it or move it away"):
        Store(version_1)
    with closing(sqlite3.connect(version_1, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (2,)
