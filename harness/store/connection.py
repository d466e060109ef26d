"""An open SQLite database of the current version: statements, transactions, and one kind of error.

WAL and a busy time-out let several processes write at once. Every problem becomes a :class:`StoreError` of one line: a
damaged page may surface as any of SQLite's errors, as text that is not UTF-8, or as a length that no memory holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.store.migrations import migrate
from harness.store.schema import VERSION

__all__ = ["Connection"]

_DAMAGE = (sqlite3.Error, UnicodeError, OverflowError, MemoryError)


class Connection:
    """A connection to the database at ``path``."""

    def __init__(self, path: Path) -> None:
        """Open or create the database, and bring an older one to the current version.

        Raises:
            StoreError: it is not a database, of a newer version, or cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        except (*_DAMAGE, OSError) as error:
            raise self._cannot_open(error) from error
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            existing = migrate(self._connection)
        except (*_DAMAGE, ValueError) as error:
            self.close()
            raise self._cannot_open(error) from error
        if existing > VERSION:
            self.close()
            raise StoreError(
                f"{path} is of version {existing}, this harness writes {VERSION}; use the newer harness, or move the "
                "database away to start a new one"
            )

    def close(self) -> None:
        """Close the handle; calling it twice is fine."""
        self._connection.close()

    def one(self, sql: str, *values: object) -> Sequence[Any] | None:
        """The first row that a query gives, if any."""
        return next(iter(self.all(sql, *values)), None)

    def all(self, sql: str, *values: object) -> list[Sequence[Any]]:
        """All rows that a query gives."""
        with self._guard():
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, *values: object) -> None:
        """Execute a statement; outside :meth:`transaction` it is committed at once."""
        with self._guard():
            self._connection.execute(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements that are committed together, or none of them."""
        self.write("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # SQLite has already rolled back after some errors, a full disk among them.
            with suppress(StoreError):
                self.write("ROLLBACK")
            raise
        self.write("COMMIT")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise StoreError(f"{self.path}: {error}; free space, or move a damaged database away") from error

    def _cannot_open(self, error: BaseException) -> StoreError:
        return StoreError(f"{self.path} cannot be opened as the run database: {error}; restore it or move it away")
