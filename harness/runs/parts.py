"""Runs in parts: which parts are missing, for people and for the join of files."""

from __future__ import annotations

from collections.abc import Sequence

from harness.store import PartRecord, Run

__all__ = ["missing_parts"]


def missing_parts(run: Run, parts: Sequence[PartRecord]) -> tuple[int, ...]:
    """Numbers of the parts of a run that are not complete; a part without cases is never missing."""
    complete = {p.number for p in parts if p.complete}
    return tuple(n for n, size in enumerate(run.part_sizes, start=1) if size and n not in complete)
