"""Finds low variety: stretches in which a handful of words alternate without a period.

Under penalties, or where two tokens compete, a model says "count court court curd court count" for ever. No n-gram need
repeat much, and no run is a tandem run. The variety of ``BLOCK`` words in a row is the number of different ones among
them: ordinary texts have 20 or more, such stretches eight or fewer. It is the type-token ratio of a window (Covington
and McFall 2010, "MATTR"), of which the minimum is taken instead of the mean, since a mean hides a late loop.

Windows begin at every half block, so a stretch of one and a half blocks is certain to hold one. Plain Python on integer
arrays, see harness/metrics/units.py.
"""

from __future__ import annotations

from harness.metrics.units import PUNCTUATION, WORD, Ints, Units

__all__ = ["BLOCK", "FIELDS", "HELPERS", "find_low_variety"]

BLOCK = 64
"""Words of a window."""
FIELDS = 3
"""Numbers that describe a text: see :func:`find_low_variety`."""


def is_content(kind: int, code: int) -> bool:
    """Whether a unit is a word or a picture, which says something as a word does."""
    picture = (code >= 0x2600 and code < 0x2800) or (code >= 0x1F000 and code < 0x1FC00)
    return kind == WORD or (kind == PUNCTUATION and picture)


def find_low_variety(docs: int, units: Units, latest: Ints, places: Ints, out: Ints) -> None:
    """The window with the fewest different words of each text.

    Args:
        docs: number of texts.
        units: the batch (:func:`harness.metrics.units.split_units`).
        latest: scratch, one entry an id: one more than the last place of a word.
        places: scratch, one entry a unit: the units that are words.
        out: ``FIELDS`` a text: different words of the poorest window (``BLOCK`` + 1 where there is no window), its
            first unit, and its end.
    """
    ids, kinds, starts, codes = units.ids, units.kinds, units.starts, units.codes
    half = BLOCK // 2
    for d in range(docs):
        at = FIELDS * d
        out[at] = BLOCK + 1
        out[at + 1] = 0
        out[at + 2] = 0
        low = units.offsets[d]
        high = units.offsets[d + 1]
        if high - low < BLOCK:
            continue
        for key in range(units.distinct[d]):
            latest[key] = 0
        count = 0
        # Words new since the start of this half, and of them those that the half before lacks too.
        fresh = 0
        fresh_in_two = 0
        before = 0
        for u in range(low, high):
            if not is_content(kinds[u], codes[starts[u]]):
                continue
            places[count] = u
            last = latest[ids[u]] - 1
            first = count - count % half
            # Compared with what stands before this word, so by the count before it.
            if last < first:
                fresh += 1
                if last < first - half:
                    fresh_in_two += 1
            count += 1
            latest[ids[u]] = count
            if count % half == 0:
                if count >= BLOCK and before + fresh_in_two < out[at]:
                    out[at] = before + fresh_in_two
                    out[at + 1] = places[count - BLOCK]
                    out[at + 2] = u + 1
                before = fresh
                fresh = 0
                fresh_in_two = 0


HELPERS = (is_content,)
"""What :func:`find_low_variety` calls, for the compiler."""
