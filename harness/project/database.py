"""The setting ``database``: where runs are recorded, and how its password stays secret.

Without the setting, runs are in an SQLite file under ``reports``. A team names a PostgreSQL database that all of its
machines write to: ``postgresql+psycopg://user@host:5432/name``.

A password never stands in a file that is committed, and never in the settings' value, which is recorded and shown. It
comes from ``HARNESS_DATABASE_PASSWORD``, from the address in ``HARNESS_DATABASE``, or from where PostgreSQL's own
programs find it (``PGPASSWORD``, ``~/.pgpass``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from harness.safe.secrets import keep_secret

__all__ = ["DATABASE_PASSWORD", "address_problem", "database_password", "is_shared", "without_password"]

DATABASE_PASSWORD = "HARNESS_DATABASE_PASSWORD"  # noqa: S105 - the name of the variable
_VARIABLE = "HARNESS_DATABASE"
_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")


def is_shared(database: str) -> bool:
    """Whether the database is one that several machines write to, and no file."""
    return database.partition("://")[0] in _SCHEMES and "://" in database


def address_problem(name: str, address: str) -> str | None:
    """Why ``address`` cannot be the database, in one line without the password; None where it can.

    Args:
        name: of the setting, as the user knows it.
        address: ``postgresql+psycopg://...``, or empty for the file.
    """
    expected = "expected postgresql+psycopg://USER@HOST:PORT/NAME, or leave it out for a file"
    if not address:
        return None
    try:
        parts = urlsplit(address)
        port_is_number = parts.port is None or parts.port > 0
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        return f"{name}: not an address ({expected})"
    if not is_shared(address) or not port_is_number:
        return f"{name}: {parts.scheme or 'a path'!r} is not supported ({expected})"
    if not (parts.hostname or "host" in query) or not parts.path.strip("/"):
        return f"{name}: names no {'database' if parts.hostname or 'host' in query else 'host'} ({expected})"
    return None


def without_password(address: str) -> tuple[str, str]:
    """The address without its password, and the password (empty: there is none); it is kept out of every output."""
    if not is_shared(address):
        return address, ""
    parts = urlsplit(address)
    query = parse_qsl(parts.query)
    password = unquote(parts.password or "") or next((v for k, v in query if k == "password"), "")
    if not password:
        return address, ""
    keep_secret(password)
    keep_secret(parts.password or "")
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    host = parts.netloc.rpartition("@")[2]
    kept = urlencode([(k, v) for k, v in query if k != "password"])
    return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, kept, "")), password


def database_password(database: str, environment: Mapping[str, str] | None = None) -> str:
    """The password for ``database`` out of the environment; empty where there is none."""
    variables = os.environ if environment is None else environment
    if own := variables.get(DATABASE_PASSWORD, ""):
        keep_secret(own)
        return own
    address, password = without_password(variables.get(_VARIABLE, ""))
    return password if address == database else ""
