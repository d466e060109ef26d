"""The statements of the store as the drivers take them, without SQLAlchemy where there is no need of it.

Importing SQLAlchemy takes longer than most commands of the harness. For SQLite the compiled texts are therefore kept in
``sqlite_statements.json``, which ``python -m harness.store.statements`` writes and a test compares with what it would
write. For PostgreSQL, where a connection is made over a network anyway, they are compiled when a store is opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from harness.store.statements import Statements

__all__ = ["COMPILED", "Prepared", "statements_for"]

COMPILED = "sqlite_statements.json"
"""File beside this module: by name the text, the names of its values in order, and the values that it fixes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The text of a statement for one kind of database."""

    text: str
    order: tuple[str, ...] | None
    """Names of the values in the order of the marks; None where the driver takes them by name."""
    fixed: Mapping[str, Any]
    """Values that are part of the statement."""

    def values(self, named: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        if self.fixed:
            named = {**self.fixed, **named}
        return named if self.order is None else tuple([named[name] for name in self.order])


class _Kept:
    """The statements of the file, by the names of :class:`harness.store.statements.Statements`."""

    def __init__(self) -> None:
        data = json.loads(files("harness.store").joinpath(COMPILED).read_text("utf-8"))
        for name, (text, order, fixed) in data.items():
            setattr(self, name, Prepared(text, tuple(order), fixed))


@cache
def statements_for(kind: str) -> Statements:
    """The statements for ``sqlite`` or ``postgresql``."""
    if kind == "sqlite":
        return cast("Statements", _Kept())
    from harness.store.statements import compiler

    return compiler(kind)
