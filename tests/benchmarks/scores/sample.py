"""One labelled text of the benchmark, and the two halves: one to tune on, one to report.

The generated halves differ in their seeds and in their templates; the hand-made texts are split by a hash of their
names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["HALVES", "REPORTED", "TUNED", "Sample"]

TUNED, REPORTED = HALVES = ("tuned", "reported")


@dataclass(frozen=True, slots=True)
class Sample:
    """A text with its label: the kind says whether it loops."""

    id: str
    kind: str
    """``KIND LANGUAGE``, as the table shows it."""
    text: str
    reference: str | None
    loops: bool = False
    onset: int | None = None
    """Where the loop starts, in characters, where that is known."""

    @property
    def half(self) -> str:
        """Which half a text belongs to that no half was made for: the hand-made ones."""
        return HALVES[hashlib.sha256(f"second split: {self.id}".encode()).digest()[0] % 2]
