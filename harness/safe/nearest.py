"""The known name that a misspelt one probably stands for: of a field, a setting, an option or a command.

One place, so that every message suggests by the same rule. Trade-off: letters alone decide; a synonym is not found.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest_name"]

_MAX_LENGTH = 60
"""Longer names are cut, since the comparison takes time by the square of the length."""


def nearest_name(name: object, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The closest of the ``known`` names; empty where none is close.

    Args:
        name: as it was written; untrusted.
        known: the right names.
        cutoff: least similarity, 0..1.
    """
    close = difflib.get_close_matches(str(name)[:_MAX_LENGTH].strip(), list(known), 1, cutoff)
    return close[0] if close else ""
