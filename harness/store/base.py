"""What every part of the store needs: the open database, the time, and the error for a changed row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.errors import StoreError
from harness.store.seal import seal

if TYPE_CHECKING:
    from harness.store.connection import Connection

__all__ = ["Base", "now", "with_seal"]


class Base:
    """Holds the open database."""

    _database: Connection
    address: str
    """Of the database, as people know it; without a password."""

    def _changed(self, what: str) -> StoreError:
        return StoreError(
            f"{self.address}: {what} was changed or deleted since it was written; restore the database from a backup, "
            "or move it away and run the suite again"
        )


def now() -> str:
    """The time as rows hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def with_seal(names: Sequence[str], *values: object) -> Mapping[str, object]:
    """A row by column, sealed over its values in this order."""
    return {**dict(zip(names, values, strict=True)), "seal": seal(*values)}
