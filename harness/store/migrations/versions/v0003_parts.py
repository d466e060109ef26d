"""Version 3: runs have kinds and parts, PostgreSQL holds them as well, and results are read in order without sorting.

The number of the newest run stands in a table, since only SQLite keeps one of its own. No seal changes: the new columns
of a run repeat what its facts say.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN kind TEXT DEFAULT 'suite' NOT NULL",
    "ALTER TABLE runs ADD COLUMN run_group TEXT",
    """
    UPDATE runs SET kind = CAST(json_extract(facts, '$.kind') AS TEXT)
    WHERE json_valid(facts) AND json_extract(facts, '$.kind') IS NOT NULL
    """,
    "CREATE UNIQUE INDEX runs_by_group ON runs (run_group)",
    "CREATE INDEX results_by_position ON results (run, position, adapter)",
    """
    CREATE TABLE parts (
        run TEXT NOT NULL REFERENCES runs (id), number INTEGER NOT NULL, started TEXT NOT NULL, finished TEXT,
        status TEXT NOT NULL, planned INTEGER NOT NULL, facts TEXT NOT NULL, seal TEXT NOT NULL,
        PRIMARY KEY (run, number)
    ) STRICT
    """,
    "CREATE TABLE groups (name TEXT NOT NULL PRIMARY KEY, costs TEXT NOT NULL, seal TEXT NOT NULL) STRICT",
    "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT",
    "INSERT INTO counters SELECT name, seq FROM sqlite_sequence WHERE name = 'runs'",
)


def upgrade() -> None:
    """Add what is new; rows stay as they are."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Not supported: an older harness would take a part of a run for a run."""
    raise NotImplementedError
