"""Imports that a pytester run must not make first: it takes back what it imported.

Neither torch nor psycopg can be imported twice.
Tests that run pytest in this process import this module at their start.
"""

from __future__ import annotations

import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401
import transformers.models.auto.tokenization_auto  # noqa: F401

import harness.fix.fix
import harness.plugin.session
import harness.runs.evaluation  # noqa: F401
