"""The seal of a row: a sha256 by which a changed row is told from the one that was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

__all__ = ["seal", "sealed"]


def seal(*values: object) -> str:
    """sha256 over the values of a row (text, numbers or None) in order, as 64 hex digits."""
    # A damaged row may hold bytes where text was written; their form only has to be another one.
    return hashlib.sha256(json.dumps(values, default=repr).encode()).hexdigest()


def sealed(row: Sequence[object]) -> bool:
    """Whether the last value of ``row`` is the seal of the others."""
    return len(row) > 1 and seal(*row[:-1]) == row[-1]
