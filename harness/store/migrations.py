"""Brings a database of an older version to the current one, in one transaction.

Version 1 had no seals, and ordered runs by the clock. What it holds is taken as it is: its rows are sealed here, so a
change before the migration is not found.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from harness.store.schema import SCHEMA, VERSION
from harness.store.seal import seal

__all__ = ["migrate"]


def migrate(connection: sqlite3.Connection) -> int:
    """Make or complete the tables; returns the version that the database had (0: it was empty).

    A database of a newer version is left as it is.

    Raises:
        sqlite3.Error, ValueError: the database is damaged or cannot be written; nothing was changed.
    """
    existing = _version(connection)
    if existing >= VERSION:
        return existing
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        existing = _version(connection)
        if existing == 1:
            _from_1(connection)
        if existing < VERSION:
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return existing


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _from_1(connection: sqlite3.Connection) -> None:
    tables = ("generations", "prompts", "digests", "runs", "results", "trainings")
    connection.execute("DROP INDEX results_by_case")
    for table in tables:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in SCHEMA:
        connection.execute(statement)
    for table in ("generations", "prompts", "digests", "results"):
        for row in connection.execute(f"SELECT * FROM old_{table}"):  # noqa: S608 - a name from above
            marks = ", ".join("?" * (len(row) + 1))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", (*row, seal(*row)))  # noqa: S608 - as above
    for row in connection.execute("SELECT * FROM old_runs ORDER BY started, rowid"):
        query = "SELECT seal FROM results WHERE run = ? ORDER BY position, adapter"
        seals = [s for (s,) in connection.execute(query, (row[0],)).fetchall()]
        full = (*row, seal(*seals) if row[2] is not None else "")
        connection.execute("INSERT INTO runs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", (*full, seal(*full)))
    for row in connection.execute("SELECT * FROM old_trainings ORDER BY started, rowid"):
        connection.execute("INSERT INTO trainings VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, seal(*row)))
    for table in tables:
        connection.execute(f"DROP TABLE old_{table}")
