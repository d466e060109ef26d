"""One labelled text of the benchmark, and the split into the half to tune on and the half to report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Sample"]


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
    def reported(self) -> bool:
        """Whether it is in the half that is reported; the other half is there to tune thresholds on."""
        return hashlib.sha256(self.id.encode()).digest()[0] % 2 == 0
