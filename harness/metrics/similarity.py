"""How similar two texts are, by rapidfuzz, in units that suit the script.

Texts are normalised (NFKC, case folded) and split into mixed units (harness/metrics/units.py). A Chinese sentence has
as many items as it has characters, an English one as it has words. On characters, two unrelated English texts would
look half alike.

    similarity             the default: indel ratio on units, 2 * LCS / (a + b); order counts
    similarity_characters  the same on characters of the normalised text (rapidfuzz ``ratio``)
    similarity_token_set   ``token_set_ratio`` on units: order and repeats do not count
    similarity_partial     ``partial_ratio`` on units: the shorter text against its best window in the longer

All are 0..1. These ratios take quadratic time, so the first ``LIMIT`` characters of each text are compared, and
``PARTIAL_LIMIT`` units for the last one, which is by far the slowest. Not supported: embeddings, which are another
model whose errors would have to be judged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

from harness.metrics import kernels

__all__ = ["LIMIT", "PARTIAL_LIMIT", "bare", "normalise", "order_similarities", "similarity", "split"]

LIMIT = 40_000
PARTIAL_LIMIT = 200
_UNKNOWN, _CONTEXT = -1, -2
_MARKS = re.compile(r"[\W_]+")
_ASCII_MARKS = {code: None for code in range(128) if not chr(code).isalnum()}


def normalise(text: str) -> str:
    """NFKC, case folded, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def bare(text: str) -> str:
    """Letters and digits only, case folded: what stays equal where the same is written with other marks and spaces."""
    folded = text.casefold()
    # Both give the letters and digits of ``str.isalnum``; ASCII alone is many times as fast.
    return folded.translate(_ASCII_MARKS) if folded.isascii() else _MARKS.sub("", folded)


def split(text: str) -> list[str]:
    """The mixed units of a text, as strings."""
    return [text[start:end] for start, end in kernels.unit_bounds(text)]


def order_similarities(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The default scorer alone, ``similarity``, of many answers and their references."""
    fold = _fold if kernels.uses_compiled() else _normalise_all
    scores: list[float] = []
    for first, last in kernels.batches([len(one) + len(other) for one, other in pairs]):
        texts = fold([text[:LIMIT] for pair in pairs[first:last] for text in pair])
        coded = kernels.code_pairs(list(zip(texts[::2], texts[1::2], strict=True)))
        scores.extend([_order(ours, theirs) for ours, theirs in coded])
    return scores


def _normalise_all(texts: Sequence[str]) -> list[str]:
    return [normalise(text) for text in texts]


def _order(ours: str, theirs: str) -> float:
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(ours, theirs)


def _fold(texts: Sequence[str]) -> list[str]:
    """:func:`normalise` but for the white space, which units do not hold; by a table, some twenty times as fast."""
    import numpy as np

    table = _foldings()
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.int32)
    folded = table[codes]
    least = int(folded.min(initial=0))
    if least < 0:
        for code in np.unique(codes[folded == _UNKNOWN]).tolist():
            table[code] = _folding(chr(code))
        folded = table[codes]
        least = int(folded.min(initial=0))
    characters = []
    start = 0
    for text in texts:
        part = folded[start : start + len(text)]
        start += len(text)
        if least < 0 and _CONTEXT in part:
            characters.append(normalise(text))
        else:
            characters.append(part.tobytes().decode("utf-32-le", "surrogatepass"))
    return characters


@cache
def _foldings() -> Any:
    """What every code point becomes; filled as they come up."""
    import numpy as np

    return np.full(0x110000, _UNKNOWN, np.int32)


def _folding(character: str) -> int:
    """What it becomes wherever it stands; ``_CONTEXT`` where that depends on others, or is not one character."""
    folded = unicodedata.normalize("NFKC", character).casefold()
    if len(folded) != 1 or any(_composes(c) for c in (character, unicodedata.normalize("NFKC", character), folded)):
        return _CONTEXT
    return ord(folded)


def _composes(character: str) -> bool:
    """Whether it may join with, or change places with, what stands before it: marks and conjoining Hangul letters."""
    return unicodedata.category(character).startswith("M") or 0x1100 <= ord(character) <= 0x11FF


def similarity(answer: str, reference: str) -> dict[str, float]:
    """All scorers of one pair, 0..1; two empty texts are alike."""
    from rapidfuzz import fuzz
    from rapidfuzz.distance import Indel

    ours, theirs = normalise(answer[:LIMIT]), normalise(reference[:LIMIT])
    own, other = kernels.coded_pair(ours, theirs)
    empty = not own.codes and not other.codes
    return {
        "similarity": _order(own.codes, other.codes),
        "similarity_characters": Indel.normalized_similarity(ours, theirs),
        "similarity_token_set": 1.0
        if empty
        else fuzz.token_set_ratio(" ".join(own.units), " ".join(other.units)) / 100,
        "similarity_partial": 1.0
        if empty
        else fuzz.partial_ratio(own.codes[:PARTIAL_LIMIT], other.codes[:PARTIAL_LIMIT]) / 100,
    }
