"""Which of several places takes the next request: the least busy one with room, and rather one without recent faults.

Servers (harness/engines/server) and replicas on a Ray cluster (harness/engines/on_ray) are such places. As many
requests are under way as the places hold; the others wait here, where they cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Lane", "least_busy", "with_room"]

_SHAKY = 3
"""Faults in a row of one lane, after which others are taken."""


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """One place that answers requests."""

    rows: int = 0
    """What is under way there, in the unit that its limit is counted in."""
    faults: int = 0
    """In a row."""


AnyLane = TypeVar("AnyLane", bound=Lane)


def with_room(lanes: Sequence[AnyLane], rows: int, limit: int) -> list[AnyLane]:
    """The lanes that can take ``rows`` more without having more than ``limit``."""
    return [lane for lane in lanes if lane.rows + rows <= limit]


def least_busy(lanes: Sequence[AnyLane]) -> AnyLane:
    """The lane with the least under way; a shaky one only where there is no other."""
    steady = [lane for lane in lanes if lane.faults < _SHAKY]
    return min(steady or lanes, key=lambda lane: lane.rows)
