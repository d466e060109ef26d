"""Tables of the run database. Raw generations are separate from what is derived from them.

``generations`` is addressed by content (model, adapter, prompt ids, decoding, engine), so it is cache and record at
once. ``results`` refer to it and hold a snapshot of the case, because case files change and a run must stay readable.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "VERSION"]

VERSION = 1
"""Raised with every change of the tables; an older database is refused, with instructions."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS generations (
    key TEXT PRIMARY KEY,
    identity TEXT NOT NULL,          -- JSON: everything that the key is the sha256 of, except the prompt's ids
    created TEXT NOT NULL,
    loop_limit REAL,                 -- of an answer that was cut by proof: what was proven
    completion TEXT NOT NULL         -- JSON: engines.base.Completion
) STRICT;
CREATE TABLE IF NOT EXISTS prompts (
    key TEXT PRIMARY KEY,            -- sha256 of tokenizer files and conversation
    ids TEXT NOT NULL                -- JSON list of token ids
) STRICT;
CREATE TABLE IF NOT EXISTS digests (
    path TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,             -- size, mtime, ctime and inode, under which the digest is still true
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY,
    started TEXT NOT NULL,
    finished TEXT,
    status TEXT NOT NULL CHECK (status IN ('started', 'finished', 'interrupted', 'failed')),
    planned INTEGER NOT NULL,        -- results that a whole run has
    facts TEXT NOT NULL              -- JSON: command, adapters, engine, versions, machine
) STRICT;
CREATE TABLE IF NOT EXISTS results (
    run TEXT NOT NULL REFERENCES runs (id),
    position INTEGER NOT NULL,
    case_id TEXT NOT NULL,
    adapter TEXT NOT NULL,
    status TEXT NOT NULL,
    result TEXT NOT NULL,            -- JSON: results.CaseResult
    PRIMARY KEY (run, case_id, adapter)
) STRICT;
CREATE INDEX IF NOT EXISTS results_by_case ON results (case_id, adapter, run);
CREATE TABLE IF NOT EXISTS trainings (
    id TEXT PRIMARY KEY,
    started TEXT NOT NULL,
    finished TEXT,
    status TEXT NOT NULL CHECK (status IN ('started', 'trained', 'registered', 'interrupted', 'failed')),
    run TEXT NOT NULL,               -- whose failures it learns from
    adapter TEXT NOT NULL,           -- the name it gets
    facts TEXT NOT NULL              -- JSON: parent, recipe, pairs, losses, checkpoints, seconds
) STRICT;
"""
