"""How like two texts are, by rapidfuzz, in units that suit the script.

Texts are normalised (NFKC, case folded) and split into mixed units (harness/metrics/units.py), so that a Chinese
sentence is as many items as it has characters and an English one as it has words; on characters two unrelated English
texts look half alike.

    similarity             the default: indel ratio on units, 2 * LCS / (a + b); order counts
    similarity_characters  the same on characters of the normalised text (rapidfuzz ``ratio``)
    similarity_token_set   ``token_set_ratio`` on units: order and repeats do not count
    similarity_partial     ``partial_ratio`` on characters: the shorter text against its best window in the longer

All 0..1. Given up: embeddings (another model whose errors would have to be judged), and the ends of very long texts:
these ratios are quadratic, so only the first ``LIMIT`` characters of each text are compared, ``PARTIAL_LIMIT`` for the
last one.
"""

from __future__ import annotations

import unicodedata

__all__ = ["LIMIT", "NAMES", "PARTIAL_LIMIT", "normalise", "similarity", "split"]

LIMIT = 40_000
PARTIAL_LIMIT = 2000
NAMES = ("similarity", "similarity_characters", "similarity_token_set", "similarity_partial")


def normalise(text: str) -> str:
    """NFKC, case folded, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def split(text: str) -> list[str]:
    """The mixed units of a text, as strings."""
    from harness.metrics.kernels import unit_bounds

    return [text[start:end] for start, end in unit_bounds(text)]


def similarity(answer: str, reference: str) -> dict[str, float]:
    """All scorers of one pair, 0..1; two empty texts are alike."""
    from rapidfuzz import fuzz
    from rapidfuzz.distance import Indel

    ours, theirs = normalise(answer[:LIMIT]), normalise(reference[:LIMIT])
    our_units, their_units = split(ours), split(theirs)
    if not our_units or not their_units:
        same = float(ours == theirs)
        return dict.fromkeys(NAMES, same)
    return {
        "similarity": Indel.normalized_similarity(our_units, their_units),
        "similarity_characters": Indel.normalized_similarity(ours, theirs),
        "similarity_token_set": fuzz.token_set_ratio(" ".join(our_units), " ".join(their_units)) / 100.0,
        "similarity_partial": fuzz.partial_ratio(ours[:PARTIAL_LIMIT], theirs[:PARTIAL_LIMIT]) / 100.0,
    }
