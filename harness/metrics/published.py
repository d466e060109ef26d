"""Scores for comparison with published ones; no verdict uses them.

    seq_rep4            1 - distinct 4-grams / 4-grams of *model tokens* (Welleck et al. 2020); 0 without tokens
    near_copies         share of the paragraphs that share half of their shingles with an earlier one; 0..1
    compression_ratio   bytes of UTF-8 / bytes of zlib's output, level 6; above 2.4 Whisper retries (Radford 2022)

Near copies are containment of shingles, which are pairs of neighbouring units (Broder 1997). They do not separate
loops from forms and refrains, so no verdict uses them. Token n-grams change with the tokenizer, and the compression
ratio with language and length.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise

from harness.metrics.similarity import split

__all__ = ["compression_ratio", "near_copies", "sequence_repetition"]


def sequence_repetition(tokens: Sequence[int], order: int = 4) -> float:
    """seq-rep-n of token ids, 0..1; 0 where there are fewer than ``order`` tokens."""
    grams = len(tokens) - order + 1
    if grams < 1:
        return 0.0
    return 1.0 - len(set(zip(*(tokens[k:] for k in range(order)), strict=False))) / grams


def near_copies(text: str) -> float:
    """Share of the paragraphs that hold half of an earlier one's shingles, or the other way; 0 for fewer than three."""
    # A unit has a character at least, so a short line has too few shingles; most texts end here.
    lines = [line for line in text.casefold().split("\n") if len(line) > MIN_SHINGLES]
    if len(lines) < MIN_PARAGRAPHS:
        return 0.0
    shingles = [s for s in map(_shingles, lines) if len(s) >= MIN_SHINGLES]
    if len(shingles) < MIN_PARAGRAPHS:
        return 0.0
    near = 0
    for k, own in enumerate(shingles):
        near += any(2 * len(own & other) >= min(len(own), len(other)) for other in shingles[max(0, k - LOOK_BACK) : k])
    return near / len(shingles)


def _shingles(line: str) -> set[tuple[str, str]]:
    return set(pairwise(split(line)))


MIN_SHINGLES, MIN_PARAGRAPHS, LOOK_BACK = 24, 3, 32
"""Different shingles of a paragraph, paragraphs of a text, and paragraphs before that are compared."""


def compression_ratio(text: str) -> float:
    """Uncompressed over compressed size, about 1..1000; 0 for an empty text."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data) / len(zlib.compress(data, 6)) if data else 0.0
