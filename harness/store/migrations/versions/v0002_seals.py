"""Version 2: every row has a seal, and runs have numbers.

What version 1 holds is taken as it is: its rows are sealed here, so a change before the migration is not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alembic import op
from sqlalchemy.engine import Connection

from harness.store.seal import seal

revision = "0002"
down_revision = "0001"

_OLD = ("generations", "prompts", "digests", "runs", "results", "trainings")
_TABLES = (
    """
    CREATE TABLE generations (
        key TEXT PRIMARY KEY, identity TEXT NOT NULL, created TEXT NOT NULL, loop_limit REAL,
        completion TEXT NOT NULL, seal TEXT NOT NULL
    ) STRICT
    """,
    "CREATE TABLE prompts (key TEXT PRIMARY KEY, ids TEXT NOT NULL, seal TEXT NOT NULL) STRICT",
    """
    CREATE TABLE digests (
        path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL, seal TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE runs (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, started TEXT NOT NULL, finished TEXT,
        status TEXT NOT NULL CHECK (status IN ('started', 'finished', 'interrupted', 'failed')),
        planned INTEGER NOT NULL, facts TEXT NOT NULL, results TEXT NOT NULL, seal TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE results (
        run TEXT NOT NULL REFERENCES runs (id), position INTEGER NOT NULL, case_id TEXT NOT NULL,
        adapter TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL, seal TEXT NOT NULL,
        PRIMARY KEY (run, case_id, adapter)
    ) STRICT
    """,
    "CREATE INDEX results_by_case ON results (case_id, adapter, run)",
    """
    CREATE TABLE trainings (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, started TEXT NOT NULL, finished TEXT,
        status TEXT NOT NULL CHECK (status IN ('started', 'trained', 'registered', 'interrupted', 'failed')),
        run TEXT NOT NULL, adapter TEXT NOT NULL, facts TEXT NOT NULL, seal TEXT NOT NULL
    ) STRICT
    """,
)


def upgrade() -> None:
    """Make tables with seals, and seal what is there."""
    connection = op.get_bind()
    op.execute("DROP INDEX results_by_case")
    for table in _OLD:
        op.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in _TABLES:
        op.execute(statement)
    for table in ("generations", "prompts", "digests", "results"):
        for row in _rows(connection, f"SELECT * FROM old_{table}"):  # noqa: S608 - a name from above
            _insert(connection, table, (*row, seal(*row)))
    for row in _rows(connection, "SELECT * FROM old_runs ORDER BY started, rowid"):
        full = (*row, _results_seal(connection, row[0]) if row[2] is not None else "")
        _insert(connection, "runs", (None, *full, seal(*full)))
    for row in _rows(connection, "SELECT * FROM old_trainings ORDER BY started, rowid"):
        _insert(connection, "trainings", (None, *row, seal(*row)))
    # Tables that others refer to go last.
    for table in sorted(_OLD, key=lambda name: name == "runs"):
        op.execute(f"DROP TABLE old_{table}")


def downgrade() -> None:
    """Not supported: an older harness would write rows without seals."""
    raise NotImplementedError


def _rows(connection: Connection, query: str) -> Iterator[Sequence[Any]]:
    for row in connection.exec_driver_sql(query):
        yield tuple(row)


def _results_seal(connection: Connection, run: str) -> str:
    query = "SELECT seal FROM results WHERE run = ? ORDER BY position, adapter"
    return seal(*(row[0] for row in connection.exec_driver_sql(query, (run,))))


def _insert(connection: Connection, table: str, row: Sequence[Any]) -> None:
    marks = ", ".join("?" * len(row))
    connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", tuple(row))  # noqa: S608 - a name from above
