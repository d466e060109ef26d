"""One labelled text of the benchmark, and the two halves: one to tune on, one to report.

The halves differ in their seeds, in the templates of their loops and in their hand-made texts. The reported halves
before this one were looked at after they were reported, and rules corrected: their templates are in the half to tune on
since. So the templates and the seed of this one are new to every rule; its hand-made texts were looked at once.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REPORTED", "TUNED", "Sample"]

TUNED, REPORTED = "tuned", "reported"


@dataclass(frozen=True, slots=True, kw_only=True)
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
