"""Tables of the run database, the same on SQLite and on PostgreSQL.

Raw generations are separate from what is derived from them. ``generations`` is addressed by content (model, adapter,
prompt ids, decoding, engine), so it is cache and record at once. ``results`` refer to it and hold a snapshot of the
case, because case files change and a run must stay readable.

JSON is kept as text: a seal is over exact bytes, and PostgreSQL's ``jsonb`` would change them. Text compares by bytes
on both databases, so that an order, and a seal over it, does not depend on a locale. A new database is made from these
tables; :mod:`harness.store.migrations` brings an older one to them, and a test keeps the two equal.

Importing this module imports SQLAlchemy, which takes a good part of a second. :mod:`harness.store.compiled` says who
does.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

__all__ = ["COUNTER", "METADATA", "counters", "digests", "generations", "groups", "parts", "prompts", "results", "runs",
           "trainings"]  # fmt: skip

METADATA = MetaData()
COUNTER = "runs"
"""The row of ``counters`` that holds the number of the newest run."""

_text = Text().with_variant(Text(collation="C"), "postgresql")
_number: Any = Double().with_variant(REAL(), "sqlite")
_sequence = BigInteger().with_variant(Integer(), "sqlite")


def _required(name: str) -> Column[str]:
    return Column(name, _text, nullable=False)


generations = Table(
    "generations", METADATA,
    Column("key", _text, primary_key=True, nullable=True),
    _required("identity"),  # JSON: everything that the key is the sha256 of, except the prompt's ids
    _required("created"),
    Column("loop_limit", _number),  # of an answer that was cut by proof: what was proven
    _required("completion"),  # JSON: engines.base.Completion
    _required("seal"),
    sqlite_strict=True,
)  # fmt: skip
prompts = Table(
    "prompts", METADATA,
    Column("key", _text, primary_key=True, nullable=True),  # sha256 of tokenizer files and conversation
    _required("ids"),  # JSON list of token ids
    _required("seal"),
    sqlite_strict=True,
)  # fmt: skip
digests = Table(
    "digests", METADATA,
    Column("path", _text, primary_key=True, nullable=True),
    _required("stamp"),  # size, mtime, ctime and inode, under which the digest is still true
    _required("digest"),
    _required("seal"),
    sqlite_strict=True,
)  # fmt: skip
runs = Table(
    "runs", METADATA,
    Column("sequence", _sequence, primary_key=True, nullable=True),
    Column("id", _text, nullable=False, unique=True),
    _required("started"),
    Column("finished", _text),
    _required("status"),
    Column("planned", Integer, nullable=False),  # results that a whole run has
    _required("facts"),  # JSON: command, adapters, engine, versions, machine
    _required("results"),  # seal of all results; empty while the run is under way
    _required("seal"),
    # Both stand in the facts as well: these columns are for the search, and reading a run compares them.
    Column("kind", _text, nullable=False, server_default="suite"),
    Column("run_group", _text),  # name under which the parts of a run find each other
    CheckConstraint("status IN ('started', 'finished', 'interrupted', 'failed')"),
    sqlite_strict=True, sqlite_autoincrement=True,
)  # fmt: skip
Index("runs_by_group", runs.c.run_group, unique=True)
results = Table(
    "results", METADATA,
    Column("run", _text, ForeignKey("runs.id"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("case_id", _text, primary_key=True),
    Column("adapter", _text, primary_key=True),
    _required("status"),
    _required("result"),  # JSON: judging.results.CaseResult
    _required("seal"),
    sqlite_strict=True,
)  # fmt: skip
Index("results_by_case", results.c.case_id, results.c.adapter, results.c.run)
# Results are read in the order of the run: without this, the database sorts megabytes of answers.
Index("results_by_position", results.c.run, results.c.position, results.c.adapter)
trainings = Table(
    "trainings", METADATA,
    Column("sequence", _sequence, primary_key=True, nullable=True),
    Column("id", _text, nullable=False, unique=True),
    _required("started"),
    Column("finished", _text),
    _required("status"),
    _required("run"),  # whose failures it learns from
    _required("adapter"),  # the name it gets
    _required("facts"),  # JSON: parent, recipe, pairs, losses, checkpoints, seconds
    _required("seal"),
    CheckConstraint("status IN ('started', 'trained', 'registered', 'interrupted', 'failed')"),
    sqlite_strict=True, sqlite_autoincrement=True,
)  # fmt: skip
parts = Table(
    "parts", METADATA,
    Column("run", _text, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _required("started"),
    Column("finished", _text),
    _required("status"),
    Column("planned", Integer, nullable=False),  # results that the whole part has
    _required("facts"),  # JSON: what is the part's own: command, machine, process, seconds
    _required("seal"),
    sqlite_strict=True,
)  # fmt: skip
groups = Table(
    "groups", METADATA,
    Column("name", _text, primary_key=True),
    _required("costs"),  # id of the run whose costs balance the parts; empty: there is none
    _required("seal"),
    sqlite_strict=True,
)  # fmt: skip
counters = Table(
    "counters", METADATA,
    Column("name", _text, primary_key=True),
    Column("value", _sequence, nullable=False),
    sqlite_strict=True,
)  # fmt: skip
