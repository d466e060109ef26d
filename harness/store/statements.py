"""Every statement of the store, written once with SQLAlchemy and compiled once for each kind of database.

The driver then executes the compiled text itself. SQLAlchemy's own way from a statement to its rows takes 50
microseconds, many times what SQLite needs to find a row; a store that reads 10,000 stored answers would wait for it.

Trade-off: values pass to the driver as they are, so columns are text and numbers only, and rows are plain tuples.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import ARRAY, Table, Text, and_, bindparam, func, literal, select, update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

from harness.safe.files import write_text
from harness.store.compiled import COMPILED, Prepared
from harness.store.schema import (
    COUNTER,
    counters,
    digests,
    generations,
    groups,
    parts,
    prompts,
    results,
    runs,
    trainings,
)

__all__ = ["Statements", "compiled_text", "compiler"]

_RUN = [runs.c[n] for n in ("id", "started", "finished", "status", "planned", "facts", "results", "seal", "kind",
                            "run_group")]  # fmt: skip
_TRAINING = [trainings.c[n] for n in ("id", "started", "finished", "status", "run", "adapter", "facts", "seal")]


class Statements:
    """The statements for one kind of database."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        # Each dialect has its own insert; the other one need not be imported.
        self._insert: Any = importlib.import_module(f"sqlalchemy.dialects.{dialect.name}").insert

    # -- what is a cache -----------------------------------------------------------------------------------------

    @cached_property
    def generation(self) -> Prepared:
        return self._prepare(select(generations).where(generations.c.key == bindparam("key")))

    @cached_property
    def some_generations(self) -> Prepared:
        """Those under any of ``keys``, see :meth:`_among`."""
        return self._prepare(select(generations).where(self._among(generations.c.key, "keys")))

    @cached_property
    def prompt(self) -> Prepared:
        return self._prepare(select(prompts).where(prompts.c.key == bindparam("key")))

    @cached_property
    def digest(self) -> Prepared:
        return self._prepare(select(digests).where(digests.c.path == bindparam("path")))

    @cached_property
    def save_generation(self) -> Prepared:
        return self._upsert(generations)

    @cached_property
    def save_prompt(self) -> Prepared:
        return self._upsert(prompts)

    @cached_property
    def save_digest(self) -> Prepared:
        return self._upsert(digests)

    # -- runs ----------------------------------------------------------------------------------------------------

    @cached_property
    def add_run(self) -> Prepared:
        """Adds a run and gives its number; gives nothing where another run has the id or the group."""
        names = [c.name for c in runs.c if c.name != "sequence"]
        statement = self._insert(runs).values({n: bindparam(n) for n in names})
        return self._prepare(statement.on_conflict_do_nothing().returning(runs.c.sequence))

    @cached_property
    def count_run(self) -> Prepared:
        """Raises the counter of runs to ``value``."""
        statement = self._insert(counters).values(name=literal(COUNTER), value=bindparam("value"))
        return self._prepare(
            statement.on_conflict_do_update(
                index_elements=[counters.c.name],
                set_={"value": statement.excluded.value},
                where=counters.c.value < statement.excluded.value,
            )
        )

    @cached_property
    def newest_numbers(self) -> Prepared:
        """The number of the newest run, and the counter: one statement, so that no other run comes between."""
        newest = select(func.max(runs.c.sequence)).scalar_subquery()
        counted = select(counters.c.value).where(counters.c.name == COUNTER).scalar_subquery()
        return self._prepare(select(newest, counted))

    @cached_property
    def end_run(self) -> Prepared:
        changed = ("finished", "status", "facts", "results", "seal")
        return self._prepare(
            update(runs).where(runs.c.id == bindparam("run_id")).values({n: bindparam(n) for n in changed})
        )

    @cached_property
    def run(self) -> Prepared:
        return self._prepare(select(*_RUN).where(runs.c.id == bindparam("id")))

    @cached_property
    def locked_run(self) -> Prepared:
        """The run, which no other transaction changes before this one ends."""
        return self._prepare(select(*_RUN).where(runs.c.id == bindparam("id")).with_for_update())

    @cached_property
    def run_of_group(self) -> Prepared:
        return self._prepare(select(*_RUN).where(runs.c.run_group == bindparam("name")))

    @cached_property
    def runs_beginning(self) -> Prepared:
        begins = func.substr(runs.c.id, 1, bindparam("length")) == bindparam("start")
        return self._prepare(select(*_RUN).where(begins).order_by(runs.c.sequence).limit(3))

    @cached_property
    def runs_newest_first(self) -> Prepared:
        return self._prepare(select(*_RUN).order_by(runs.c.sequence.desc()))

    # -- results -------------------------------------------------------------------------------------------------

    @cached_property
    def save_result(self) -> Prepared:
        return self._upsert(results)

    @cached_property
    def results(self) -> Prepared:
        return self._prepare(self._in_order(select(results)))

    @cached_property
    def result_seals(self) -> Prepared:
        return self._prepare(self._in_order(select(results.c.seal)))

    @cached_property
    def counts(self) -> Prepared:
        """Results of ``runs`` by run, adapter and status, see :meth:`_among`."""
        by = (results.c.run, results.c.adapter, results.c.status)
        return self._prepare(select(*by, func.count()).where(self._among(results.c.run, "runs")).group_by(*by))

    @cached_property
    def latest_results(self) -> Prepared:
        """Of each case the result on ``adapter`` in the newest finished run of ``kind``."""
        of_kind = and_(runs.c.status == "finished", runs.c.kind == bindparam("kind"))
        newest = (
            select(results.c.case_id, func.max(runs.c.sequence).label("sequence"))
            .join(runs, runs.c.id == results.c.run)
            .where(results.c.adapter == bindparam("adapter"), of_kind)
            .group_by(results.c.case_id)
            .subquery()
        )
        return self._prepare(
            select(results)
            .join(runs, runs.c.id == results.c.run)
            .join(newest, and_(newest.c.case_id == results.c.case_id, newest.c.sequence == runs.c.sequence))
            .where(results.c.adapter == bindparam("adapter"))
            .order_by(runs.c.sequence, results.c.position)
        )

    # -- parts of runs -------------------------------------------------------------------------------------------

    @cached_property
    def save_part(self) -> Prepared:
        return self._upsert(parts)

    @cached_property
    def parts(self) -> Prepared:
        return self._prepare(select(parts).where(parts.c.run == bindparam("run")).order_by(parts.c.number))

    @cached_property
    def add_group(self) -> Prepared:
        statement = self._insert(groups).values({c.name: bindparam(c.name) for c in groups.c})
        return self._prepare(statement.on_conflict_do_nothing(index_elements=[groups.c.name]))

    @cached_property
    def group(self) -> Prepared:
        return self._prepare(select(groups).where(groups.c.name == bindparam("name")))

    # -- trainings -----------------------------------------------------------------------------------------------

    @cached_property
    def save_training(self) -> Prepared:
        names = [c.name for c in _TRAINING]
        return self._replacing(trainings, names, [trainings.c.id])

    @cached_property
    def trainings(self) -> Prepared:
        return self._prepare(select(*_TRAINING).order_by(trainings.c.sequence.desc()))

    # -- compiling -----------------------------------------------------------------------------------------------

    def _among(self, column: Any, name: str) -> Any:
        """That a column has one of many values: a list for PostgreSQL, a JSON array for SQLite, which has no lists."""
        if self._dialect.name == "postgresql":
            return column == func.any(bindparam(name, type_=ARRAY(Text)))
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))

    def _in_order(self, statement: Any) -> Any:
        return statement.where(results.c.run == bindparam("run")).order_by(results.c.position, results.c.adapter)

    def _upsert(self, table: Table) -> Prepared:
        """Insert a row, or put it in the place of the one with its key."""
        return self._replacing(table, [c.name for c in table.c], list(table.primary_key))

    def _replacing(self, table: Table, names: Sequence[str], key: Sequence[Any]) -> Prepared:
        statement = self._insert(table).values({n: bindparam(n) for n in names})
        keys = {c.name for c in key}
        changed = {n: statement.excluded[n] for n in names if n not in keys}
        return self._prepare(statement.on_conflict_do_update(index_elements=list(key), set_=changed))

    def _prepare(self, statement: ClauseElement) -> Prepared:
        compiled: Any = statement.compile(dialect=self._dialect)
        order = compiled.positiontup if compiled.positional else None
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        return Prepared(compiled.string, None if order is None else tuple(order), fixed)


def compiler(kind: str) -> Statements:
    """The statements for ``sqlite`` or ``postgresql``, compiled as they are asked for."""
    name = {"sqlite": "sqlite.pysqlite", "postgresql": "postgresql.psycopg"}[kind]
    module: Any = importlib.import_module(f"sqlalchemy.dialects.{name}")
    return Statements(module.dialect())


def compiled_text() -> str:
    """The content of the file with SQLite's statements."""
    statements = compiler("sqlite")
    names = sorted(name for name, value in vars(Statements).items() if isinstance(value, cached_property))
    lines = [f" {json.dumps(name)}: {json.dumps(astuple(getattr(statements, name)))}" for name in names]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    write_text(Path(__file__).with_name(COMPILED), compiled_text())
