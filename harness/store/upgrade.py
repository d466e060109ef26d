"""Makes the tables of a new database, and brings an older one to the current version, in one transaction.

Alembic's revisions are in :mod:`harness.store.migrations`. It takes half a second to import, so a database of the
current version, which nearly every one is, never meets it. SQLite keeps the version in the file's header as well, where
harnesses from before Alembic look for it.

Several processes may open a database at once: the first one works, the others wait for it and find the work done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["VERSION", "upgrade", "version"]

VERSION = 3
"""Number of the newest revision in :mod:`harness.store.migrations`."""
VERSION_TABLE = "harness_version"
"""Alembic's table, by a name of its own: another program may keep its tables in the same database."""
_LOCK = 0x6261_6463
"""Of PostgreSQL's advisory locks the one that is held while tables are made or changed."""


def version(kind: str, connection: Any) -> int:
    """The version of the database behind a driver's connection; 0: it is empty.

    Raises:
        ValueError: the table of versions holds something else.
    """
    cursor = connection.cursor()
    if kind == "sqlite":
        return int(cursor.execute("PRAGMA user_version").fetchone()[0])
    # Not to_regclass: it answers from a cache, which may not know yet what another process has just made.
    query = "SELECT count(*) FROM pg_tables WHERE tablename = %s AND schemaname = ANY (current_schemas(false))"
    if cursor.execute(query, (VERSION_TABLE,)).fetchone()[0] == 0:
        return 0
    rows = cursor.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall()  # noqa: S608 - a name from above
    if len(rows) != 1:
        raise ValueError(f"{VERSION_TABLE} has {len(rows)} rows; expected one")
    return int(rows[0][0])


def upgrade(kind: str, creator: Callable[[], Any]) -> None:
    """Make or complete the tables of a database that is older than :data:`VERSION`.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        creator: gives the driver's connection.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, ValueError: the database is damaged or cannot be written; nothing was changed.
    """
    from sqlalchemy import Column, MetaData, String, Table, create_engine, event
    from sqlalchemy.pool import StaticPool

    from harness.store.schema import METADATA

    url = "sqlite://" if kind == "sqlite" else "postgresql+psycopg://"
    engine = create_engine(url, creator=creator, poolclass=StaticPool)
    if kind == "sqlite":
        # The driver would begin a transaction at the first change only, and never one around DDL.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        if kind == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        # Another process may have been first.
        existing = version(kind, connection.connection)
        if existing == 0:
            METADATA.create_all(connection, checkfirst=False)
            versions = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
            versions.create(connection)
            connection.execute(versions.insert().values(version_num=f"{VERSION:04}"))
        elif existing < VERSION:
            _revise(connection, existing)
        if existing < VERSION and kind == "sqlite":
            connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")


def _revise(connection: Any, existing: int) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    # The oldest databases have no table of versions.
    command.stamp(config, f"{existing:04}", purge=True)
    command.upgrade(config, "head")
