"""What a metric returns, and the seam for metrics of your own.

A metric is a pure function of answer, standard answer and case, and never gates by itself. Scores are stored, and
verdicts are derived from them (:mod:`harness.judging.verdict`), so thresholds can change without generating or scoring
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from harness.cases.model import Case

__all__ = ["Loop", "LoopKind", "Metric", "Scores"]

LoopKind = Literal["exact", "characters", "numbered", "templated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A place where the answer repeats itself. Offsets are characters of the answer (Python str indices)."""

    start: int
    """Offset of the first copy: the onset."""
    end: int
    """Offset just past the last copy (a partial last copy included)."""
    period: int
    """Length of one copy in characters, the mean where copies differ in length."""
    copies: float
    """How many copies, the partial last one counted as a fraction: the length of the stretch, divided by ``period``."""
    kind: LoopKind = "exact"


@dataclass(frozen=True, slots=True)
class Scores:
    """Everything that was measured on one answer: plain finite numbers by name, and where the loops are."""

    values: Mapping[str, float]
    """Names of the field's terms: rep1..rep8, rep8d, loop_coverage, tail_copies, similarity, units ..."""
    loops: tuple[Loop, ...] = field(default=())
    """The longest first."""


class Metric(Protocol):
    """A user's own metric: returns named numbers, higher or lower being better is decided by the threshold."""

    def __call__(self, answer: str, case: Case, /) -> Mapping[str, float]: ...
