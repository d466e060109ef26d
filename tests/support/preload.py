"""Imports that a pytester run must not make first: it takes back what it imported.

Neither torch, psycopg nor numba can be imported twice; numba imports most of itself when it compiles.
Tests that run pytest in this process import this module at their start.
"""

from __future__ import annotations

import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401
import transformers.models.auto.tokenization_auto  # noqa: F401

import harness.fix.fix
import harness.plugin.session
import harness.runs.evaluation  # noqa: F401
from harness.metrics import kernels
from harness.metrics.repetition import repetition

kernels.prepare(kernels.COMPILE_AFTER)
repetition("One text makes the compiled kernels load. " * 2)
