"""An open database of the current version: statements, transactions, and one kind of error.

SQLite's file is the default. WAL and a busy time-out let several processes write to it at once. PostgreSQL is for
teams: many machines write to it. Every problem becomes a :class:`StoreError` of one line. A damaged page of a file may
surface as any of SQLite's errors, as text that is not UTF-8, or as a length that no memory holds.

The driver's connection commits each statement by itself; :meth:`Connection.transaction` puts several together.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from harness.errors import StoreError
from harness.project.database import DATABASE_PASSWORD, database_password, is_shared
from harness.store.compiled import Prepared, statements_for
from harness.store.upgrade import VERSION, upgrade, version

__all__ = ["Connection"]

Row = Sequence[Any]
_numbers = itertools.count()
_DAMAGE = (sqlite3.Error, UnicodeError, OverflowError, MemoryError)
_SECONDS_TO_CONNECT = 30
_SECONDS_TO_WAIT = 30
_HANDLE: dict[str, Any] = {"timeout": _SECONDS_TO_WAIT, "isolation_level": None, "check_same_thread": False}
_REMEDIES: dict[int | None, str] = {
    sqlite3.SQLITE_READONLY: "it, or its folder, is read-only: fix its rights",
    sqlite3.SQLITE_CANTOPEN: "it, or its folder, cannot be opened or written: fix its rights, or move it away",
    sqlite3.SQLITE_FULL: "free space",
    sqlite3.SQLITE_IOERR: "free space, or move a damaged database away",
    sqlite3.SQLITE_BUSY: "another process has it for long: try again",
}
"""By SQLite's primary code."""
_LARGEST_VALUE = 256 * 2**20
"""Bytes of a value in a file that somebody else wrote."""


class Connection:
    """A connection to the database at ``address``."""

    kind: Literal["sqlite", "postgresql"]

    def __init__(self, address: Path | str, *, foreign: bool = False) -> None:
        """Open or create the database, and bring an older one to the current version.

        Args:
            address: path of an SQLite file, or ``postgresql+psycopg://...`` without a password.
            foreign: the file was written elsewhere: it is opened read-only, must be of the current version, and what
                stands in its schema is not trusted.

        Raises:
            StoreError: it is not a database, of a newer version, cannot be reached, or cannot be written.
        """
        self.address = address
        self.kind = "postgresql" if is_shared(str(address)) else "sqlite"
        self._errors: tuple[type[BaseException], ...] = _DAMAGE
        self._connection: Any = None
        if self.kind == "postgresql":
            self._open_server(str(address))
        else:
            self._open_file(Path(address), foreign=foreign)
        self.sql = statements_for(self.kind)

    # -- opening -------------------------------------------------------------------------------------------------

    def _open_file(self, path: Path, *, foreign: bool) -> None:
        try:
            if foreign:
                self._connection = _open_foreign(path)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(path, **_HANDLE)
        except (*_DAMAGE, OSError) as error:
            raise self._cannot_open(error) from error
        try:
            if not foreign:
                _write_ahead(self._connection)
                self._connection.execute("PRAGMA synchronous=NORMAL")
            self._complete(foreign=foreign)
            self._connection.execute("PRAGMA foreign_keys=ON")
        except (*_DAMAGE, ValueError) as error:
            self.close()
            raise self._cannot_open(error) from error

    def _open_server(self, address: str) -> None:
        try:
            import psycopg
            from sqlalchemy import make_url
            from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
        except ImportError as error:
            raise StoreError(
                f"{address}: the driver psycopg is not installed; install it with: "
                "pip install 'badcase-harness[postgresql]'"
            ) from error
        self._errors = (*_DAMAGE, psycopg.Error)
        dialect: Any = PGDialect_psycopg
        words, given = dialect().create_connect_args(make_url(address))
        options = {
            "connect_timeout": _SECONDS_TO_CONNECT,
            "application_name": "harness",
            "client_encoding": "utf8",
            **given,
        }
        if password := database_password(address):
            options["password"] = password
        try:
            self._connection = psycopg.connect(*words, **options)
        except (psycopg.Error, UnicodeError) as error:
            raise StoreError(
                f"{address}: the database cannot be reached: {_one_line(error)}; start it, correct database in "
                f"[tool.harness] or HARNESS_DATABASE, or give its password in {DATABASE_PASSWORD}"
            ) from error
        try:
            self._complete(foreign=False)
            self._connection.autocommit = True
        except (psycopg.Error, ValueError) as error:
            self.close()
            raise self._cannot_open(error) from error

    def _complete(self, *, foreign: bool) -> None:
        """Bring the tables to the current version."""
        existing = version(self.kind, self._connection)
        if self.kind == "postgresql":
            # The question has begun a transaction.
            self._connection.rollback()
        if existing < VERSION and not foreign:
            self._upgrade()
        elif existing != VERSION:
            self.close()
            newer = "use the newer harness, or move the database away to start a new one"
            older = "it was written by an older harness, which records no parts of runs"
            raise StoreError(
                f"{self.address} is of version {existing}, this harness writes {VERSION}; "
                f"{newer if existing > VERSION else older}"
            )

    def _upgrade(self) -> None:
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            upgrade(self.kind, lambda: self._connection)
        except DBAPIError as error:
            raise ValueError(_one_line(error.orig)) from error
        except SQLAlchemyError as error:
            raise ValueError(_one_line(error)) from error

    def close(self) -> None:
        """Close the handle; calling it twice is fine."""
        if self._connection is not None:
            self._connection.close()

    def many(self, values: Iterable[str]) -> object:
        """Values for a statement that takes many in one place."""
        return list(values) if self.kind == "postgresql" else json.dumps(list(values))

    # -- statements ----------------------------------------------------------------------------------------------

    def one(self, statement: Prepared, /, **values: object) -> Row | None:
        """The first row that a query gives, if any."""
        with self._guard():
            return self._connection.execute(statement.text, statement.values(values)).fetchone()  # type: ignore[no-any-return]

    def all(self, statement: Prepared, /, **values: object) -> list[Row]:
        """All rows that a query gives."""
        with self._guard():
            return self._connection.execute(statement.text, statement.values(values)).fetchall()  # type: ignore[no-any-return]

    def stream(self, statement: Prepared, /, **values: object) -> Iterator[Row]:
        """The rows that a query gives, one after another: all of them need not fit into memory."""
        with self._guard():
            # PostgreSQL sends a whole answer to any but a named cursor.
            named = {"name": f"harness_{next(_numbers)}", "withhold": True} if self.kind == "postgresql" else {}
            cursor = self._connection.cursor(**named)
            try:
                cursor.execute(statement.text, statement.values(values))
                # Not "yield from": it would close the cursor first where a caller gives up.
                for row in cursor:  # noqa: UP028
                    yield row
            finally:
                # Rows that nobody asked for any more may outlive the connection.
                with suppress(*self._errors):
                    cursor.close()

    def write(self, statement: Prepared, /, **values: object) -> None:
        """Execute a statement; outside :meth:`transaction` it is committed at once."""
        with self._guard():
            self._connection.execute(statement.text, statement.values(values))

    def write_many(self, statement: Prepared, rows: Iterable[Mapping[str, object]]) -> None:
        """Execute a statement for each of the rows, in one transaction."""
        values = [statement.values(row) for row in rows]
        if not values:
            return
        with self.transaction(), self._guard(), closing(self._connection.cursor()) as cursor:
            cursor.executemany(statement.text, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements that are committed together, or none of them; one inside another joins it."""
        if self._in_transaction():
            yield
            return
        self._execute("BEGIN IMMEDIATE" if self.kind == "sqlite" else "BEGIN")
        try:
            yield
        except BaseException:
            # SQLite has already rolled back after some errors, a full disk among them.
            with suppress(StoreError):
                self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")

    def _in_transaction(self) -> bool:
        if self.kind == "sqlite":
            return bool(self._connection.in_transaction)
        return int(self._connection.info.transaction_status) != 0

    def _execute(self, text: str) -> None:
        with self._guard():
            self._connection.execute(text)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            remedy = _REMEDIES.get(_code(error), "free space, or move a damaged database away")
            if self.kind != "sqlite":
                remedy = "run again when the database is there"
            raise StoreError(f"{self.address}: {_one_line(error)}; {remedy}") from error

    def _cannot_open(self, error: BaseException) -> StoreError:
        remedy = _REMEDIES.get(_code(error), "restore it or move it away")
        if self.kind != "sqlite":
            remedy = "give the user its rights, or a database without other tables"
        return StoreError(f"{self.address} cannot be opened as the run database: {_one_line(error)}; {remedy}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; the busy time-out does not cover it, so two that make a database collide here."""
    end = time.monotonic() + _SECONDS_TO_WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - no secret


def _open_foreign(path: Path) -> sqlite3.Connection:
    """A file that somebody else wrote: nothing in it is run, and nothing is written."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    begun = path.with_name(path.name + "-wal")
    # A finished run leaves no log; without one, the folder need not be writable.
    mode = "mode=ro" if begun.exists() else "immutable=1"
    connection: sqlite3.Connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True, **_HANDLE)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        others = connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('view', 'trigger')").fetchall()
        if others:
            raise OSError(f"it has views or triggers ({others[0][0]!r}), which no harness makes")
    except BaseException:
        connection.close()
        raise
    return connection


def _code(error: BaseException) -> int | None:
    """SQLite's primary code of an error."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _one_line(error: BaseException | None) -> str:
    return " ".join(str(error).split())
