"""How like two texts are, by rapidfuzz, in units that suit the script.

Texts are normalised (NFKC, case folded) and split into mixed units (harness/metrics/units.py), so that a Chinese
sentence is as many items as it has characters and an English one as it has words; on characters two unrelated English
texts look half alike.

    similarity             the default: indel ratio on units, 2 * LCS / (a + b); order counts
    similarity_characters  the same on characters of the normalised text (rapidfuzz ``ratio``)
    similarity_token_set   ``token_set_ratio`` on units: order and repeats do not count
    similarity_partial     ``partial_ratio`` on units: the shorter text against its best window in the longer

All 0..1. Given up: embeddings (another model whose errors would have to be judged), and the ends of very long texts:
these ratios are quadratic, so the first ``LIMIT`` characters of each text are compared, ``PARTIAL_LIMIT`` units for
the last one, which is the slowest by far.
"""

from __future__ import annotations

import unicodedata

__all__ = ["LIMIT", "PARTIAL_LIMIT", "normalise", "order_similarity", "similarity", "split"]

LIMIT = 40_000
PARTIAL_LIMIT = 200


def normalise(text: str) -> str:
    """NFKC, case folded, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def split(text: str) -> list[str]:
    """The mixed units of a text, as strings."""
    from harness.metrics.kernels import unit_bounds

    return [text[start:end] for start, end in unit_bounds(text)]


def order_similarity(answer: str, reference: str) -> float:
    """The default scorer alone: ``similarity``."""
    return _order(split(normalise(answer[:LIMIT])), split(normalise(reference[:LIMIT])))


def _order(ours: list[str], theirs: list[str]) -> float:
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(ours, theirs)


def similarity(answer: str, reference: str) -> dict[str, float]:
    """All scorers of one pair, 0..1; two empty texts are alike."""
    from rapidfuzz import fuzz
    from rapidfuzz.distance import Indel

    ours, theirs = normalise(answer[:LIMIT]), normalise(reference[:LIMIT])
    our_units, their_units = split(ours), split(theirs)
    # A character a unit: rapidfuzz takes windows of strings only.
    codes: dict[str, int] = {}
    short, long = (
        "".join([chr(codes.setdefault(unit, len(codes))) for unit in units[:PARTIAL_LIMIT]])
        for units in (our_units, their_units)
    )
    empty = not our_units and not their_units
    return {
        "similarity": _order(our_units, their_units),
        "similarity_characters": Indel.normalized_similarity(ours, theirs),
        "similarity_token_set": 1.0
        if empty
        else fuzz.token_set_ratio(" ".join(our_units), " ".join(their_units)) / 100,
        "similarity_partial": 1.0 if empty else fuzz.partial_ratio(short, long) / 100,
    }
