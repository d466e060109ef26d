"""Tables of the run database. Raw generations are separate from what is derived from them.

``generations`` is addressed by content (model, adapter, prompt ids, decoding, engine), so it is cache and record at
once. ``results`` refer to it and hold a snapshot of the case, because case files change and a run must stay readable.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "VERSION"]

VERSION = 2
"""Raised with every change of the tables; :mod:`harness.store.migrations` brings an older database to it."""

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS generations (
        key TEXT PRIMARY KEY,
        identity TEXT NOT NULL,          -- JSON: everything that the key is the sha256 of, except the prompt's ids
        created TEXT NOT NULL,
        loop_limit REAL,                 -- of an answer that was cut by proof: what was proven
        completion TEXT NOT NULL,        -- JSON: engines.base.Completion
        seal TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS prompts (
        key TEXT PRIMARY KEY,            -- sha256 of tokenizer files and conversation
        ids TEXT NOT NULL,               -- JSON list of token ids
        seal TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS digests (
        path TEXT PRIMARY KEY,
        stamp TEXT NOT NULL,             -- size, mtime, ctime and inode, under which the digest is still true
        digest TEXT NOT NULL,
        seal TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS runs (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        started TEXT NOT NULL,
        finished TEXT,
        status TEXT NOT NULL CHECK (status IN ('started', 'finished', 'interrupted', 'failed')),
        planned INTEGER NOT NULL,        -- results that a whole run has
        facts TEXT NOT NULL,             -- JSON: command, adapters, engine, versions, machine
        results TEXT NOT NULL,           -- seal of all results; empty while the run is under way
        seal TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS results (
        run TEXT NOT NULL REFERENCES runs (id),
        position INTEGER NOT NULL,
        case_id TEXT NOT NULL,
        adapter TEXT NOT NULL,
        status TEXT NOT NULL,
        result TEXT NOT NULL,            -- JSON: judging.results.CaseResult
        seal TEXT NOT NULL,
        PRIMARY KEY (run, case_id, adapter)
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS results_by_case ON results (case_id, adapter, run)",
    """
    CREATE TABLE IF NOT EXISTS trainings (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        started TEXT NOT NULL,
        finished TEXT,
        status TEXT NOT NULL CHECK (status IN ('started', 'trained', 'registered', 'interrupted', 'failed')),
        run TEXT NOT NULL,               -- whose failures it learns from
        adapter TEXT NOT NULL,           -- the name it gets
        facts TEXT NOT NULL,             -- JSON: parent, recipe, pairs, losses, checkpoints, seconds
        seal TEXT NOT NULL
    ) STRICT
    """,
)
"""One statement each."""
