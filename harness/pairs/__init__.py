"""Failing cases in, preference pairs out: what a training learns from, and what it must never see."""

from __future__ import annotations

from harness.pairs.build import build_pairs, loop_copy, pairs_of_case
from harness.pairs.check import check_pairs
from harness.pairs.files import export_pairs, import_pairs, read_hand_made
from harness.pairs.model import Origin, Pair
from harness.pairs.rejected import trim_loop

__all__ = [
    "Origin",
    "Pair",
    "build_pairs",
    "check_pairs",
    "export_pairs",
    "import_pairs",
    "loop_copy",
    "pairs_of_case",
    "read_hand_made",
    "trim_loop",
]
