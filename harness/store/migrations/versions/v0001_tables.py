"""The tables of version 1: no seals, and runs in the order of the clock. Only SQLite databases have this version."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    """
    CREATE TABLE generations (
        key TEXT PRIMARY KEY, identity TEXT NOT NULL, created TEXT NOT NULL, loop_limit REAL, completion TEXT NOT NULL
    ) STRICT
    """,
    "CREATE TABLE prompts (key TEXT PRIMARY KEY, ids TEXT NOT NULL) STRICT",
    "CREATE TABLE digests (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL) STRICT",
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, started TEXT NOT NULL, finished TEXT,
        status TEXT NOT NULL CHECK (status IN ('started', 'finished', 'interrupted', 'failed')),
        planned INTEGER NOT NULL, facts TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE results (
        run TEXT NOT NULL REFERENCES runs (id), position INTEGER NOT NULL, case_id TEXT NOT NULL,
        adapter TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL, PRIMARY KEY (run, case_id, adapter)
    ) STRICT
    """,
    "CREATE INDEX results_by_case ON results (case_id, adapter, run)",
    """
    CREATE TABLE trainings (
        id TEXT PRIMARY KEY, started TEXT NOT NULL, finished TEXT,
        status TEXT NOT NULL CHECK (status IN ('started', 'trained', 'registered', 'interrupted', 'failed')),
        run TEXT NOT NULL, adapter TEXT NOT NULL, facts TEXT NOT NULL
    ) STRICT
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Not supported: an older harness would write rows without seals."""
    raise NotImplementedError
