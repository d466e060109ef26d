"""A database of an older harness is read, and brought to the current version in one step."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.judging.results import Status
from harness.safe.records import dump
from harness.store import Store
from harness.store.compiled import COMPILED
from harness.store.seal import seal
from harness.store.statements import compiled_text
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


VERSION_2 = """
CREATE TABLE generations (key TEXT PRIMARY KEY, identity TEXT NOT NULL, created TEXT NOT NULL, loop_limit REAL,
    completion TEXT NOT NULL, seal TEXT NOT NULL) STRICT;
CREATE TABLE prompts (key TEXT PRIMARY KEY, ids TEXT NOT NULL, seal TEXT NOT NULL) STRICT;
CREATE TABLE digests (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL, seal TEXT NOT NULL) STRICT;
CREATE TABLE runs (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, started TEXT NOT NULL,
    finished TEXT, status TEXT NOT NULL CHECK (status IN ('started', 'finished', 'interrupted', 'failed')),
    planned INTEGER NOT NULL, facts TEXT NOT NULL, results TEXT NOT NULL, seal TEXT NOT NULL) STRICT;
CREATE TABLE results (run TEXT NOT NULL REFERENCES runs (id), position INTEGER NOT NULL, case_id TEXT NOT NULL,
    adapter TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL, seal TEXT NOT NULL,
    PRIMARY KEY (run, case_id, adapter)) STRICT;
CREATE INDEX results_by_case ON results (case_id, adapter, run);
CREATE TABLE trainings (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, started TEXT NOT NULL,
    finished TEXT, status TEXT NOT NULL
    CHECK (status IN ('started', 'trained', 'registered', 'interrupted', 'failed')),
    run TEXT NOT NULL, adapter TEXT NOT NULL, facts TEXT NOT NULL, seal TEXT NOT NULL) STRICT;
PRAGMA user_version = 2;
"""


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """A database as the second version left it: a suite's run, a probe after it, and a number that was deleted."""
    path = tmp_path / "harness.sqlite"
    value = result(status=Status.FAIL)
    row = ("a", 0, value.case.id, "v4.0", "FAIL", dump(value))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(VERSION_2)
        for name, facts in (("a", {"adapters": ["v4.0"]}), ("b", {"adapters": ["v4.0"], "kind": "probe"})):
            run = (name, "1", "2", "finished", 1, json.dumps(facts), seal(seal(*row)) if name == "a" else seal())
            connection.execute("INSERT INTO runs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", (*run, seal(*run)))
        connection.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, seal(*row)))
        answer = ("k", "{}", "2026", None, dump(COMPLETION))
        connection.execute("INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?)", (*answer, seal(*answer)))
    return path


def test_version_2_keeps_its_rows_and_its_seals(version_2: Path) -> None:
    """Rows are not sealed anew: what was changed before the migration is found after it."""
    with closing(sqlite3.connect(version_2, isolation_level=None)) as connection:
        before = connection.execute("SELECT seal FROM runs UNION ALL SELECT seal FROM results").fetchall()
    for _ in range(2):
        with Store(version_2) as store:
            assert [run.id for run in store.runs()] == ["a"]
            assert [run.id for run in store.runs(kinds=("probe",))] == ["b"]
            assert store.results("a") == store.latest_results("v4.0") == (result(status=Status.FAIL),)
            assert store.generation("k") == COMPLETION
    with closing(sqlite3.connect(version_2, isolation_level=None)) as connection:
        assert connection.execute("SELECT seal FROM runs UNION ALL SELECT seal FROM results").fetchall() == before


def test_a_run_deleted_before_the_migration_is_found_after_it(version_2: Path) -> None:
    """The number of the newest run comes from where version 2 kept it."""
    with closing(sqlite3.connect(version_2, isolation_level=None)) as connection:
        connection.execute("DELETE FROM runs WHERE id = 'b'")
    with Store(version_2) as store, pytest.raises(StoreError, match="the newest run was changed or deleted"):
        store.runs()


@pytest.mark.parametrize("old", ["version_1", "version_2"])
def test_a_migrated_database_has_the_tables_of_a_new_one(
    old: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Two ways to the same tables must not part."""

    def tables(path: Path) -> dict[str, object]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            names = [n for (n,) in connection.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")]
            return {
                name: (
                    connection.execute(f"PRAGMA table_xinfo({name})").fetchall(),
                    connection.execute(f"PRAGMA index_xinfo({name})").fetchall(),
                    connection.execute(f"PRAGMA foreign_key_list({name})").fetchall(),
                    connection.execute("SELECT strict FROM pragma_table_list WHERE name = ?", (name,)).fetchall(),
                )
                for name in names
            }

    path = request.getfixturevalue(old)
    Store(path).close()
    Store(tmp_path / "new.sqlite").close()
    migrated, made = tables(path), tables(tmp_path / "new.sqlite")
    assert migrated.keys() == made.keys()
    for name, about in made.items():
        assert migrated[name] == about, name


def test_the_kept_statements_are_those_that_would_be_compiled() -> None:
    """After a change of a statement or a table: python -m harness.store.statements."""
    path = files("harness.store").joinpath(COMPILED)
    assert path.read_text("utf-8") == compiled_text()


def test_a_database_of_the_current_version_is_opened_without_sqlalchemy(tmp_path: Path) -> None:
    """Its import takes longer than most commands; it is needed to make a database, and Alembic to migrate one."""
    code = (
        "import sys, pathlib; from harness.store import Store; store = Store(pathlib.Path(sys.argv[1])); "
        "store.runs(); store.counts(['a']); print([m for m in ('sqlalchemy', 'alembic') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "harness.sqlite")]
    said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
    assert said == ["['sqlalchemy']\n", "[]\n"]
