"""Imports that a pytester run must not make first: it takes back what it imported.

Neither torch, psycopg nor numba can be imported twice; numba imports most of itself when it compiles.
Tests that run pytest in this process import this module at their start.
"""

from __future__ import annotations

import os
from unittest import mock

import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401
import transformers.models.auto.tokenization_auto  # noqa: F401

import harness.fix.fix
import harness.plugin.session
import harness.runs.evaluation  # noqa: F401
from harness.metrics.repetition import repetition

if "HARNESS_KERNELS" not in os.environ:
    with mock.patch.dict(os.environ, HARNESS_KERNELS="compiled"):
        repetition("One text makes the compiled kernels load. " * 2)
