"""Whether a new adapter may take its parent's place.

``harness fix`` blesses nothing on the strength of the cases that it trained on alone: a cure that breaks a guard, cuts
more answers off or changes nothing is a candidate, kept and named as such, and a person may still bless it by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.compare import Comparison
from harness.figures import figures
from harness.results import CaseResult, Status

__all__ = ["Promotion", "decide"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """The decision, and every reason against."""

    blessed: bool
    reasons: tuple[str, ...]
    """Why not; empty when blessed."""


def decide(comparison: Comparison, before: Sequence[CaseResult], after: Sequence[CaseResult]) -> Promotion:
    """Weigh an adapter against its parent on the same cases.

    Args:
        comparison: parent to adapter.
        before: the parent's results.
        after: the adapter's results; must be complete.
    """
    against: list[str] = []
    errors = sum(r.verdict.status is Status.ERROR for r in after)
    if errors:
        against.append(f"{errors} cases could not be judged")
    if {r.case.id for r in before} - {r.case.id for r in after}:
        against.append("not every case was run again")
    broken = comparison.by_role("guard").broken
    if broken:
        against.append(f"{len(broken)} guard cases broke: {', '.join(broken[:5])}")
    old, new = figures(before).cutoffs.value, figures(after).cutoffs.value
    if new > old:
        against.append(f"more answers are cut off: {new:.0%} of them, {old:.0%} before")
    if not comparison.fixed:
        against.append("no case was fixed")
    return Promotion(not against, tuple(against))
