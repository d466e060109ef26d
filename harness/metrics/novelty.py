"""How much of the end of a text was said before: the complement of novelty, in a window.

A model that has lost its thread goes on with new words in an old frame: task after task, call after call. No stretch
is repeated exactly, and yet most of what the end says stands earlier too. Measured is the share of the 4-grams in the
last ``WINDOW`` units that stand earlier in the text, numbers taken as one. It is 1 - distinct-4 (Li et al. 2016) of a
window, where what stands before the window counts as said.

Only texts with many repeated n-grams are counted. Plain Python on integer arrays, see harness/metrics/units.py.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from harness.metrics.ngrams import ORDERS, SHARES
from harness.metrics.units import Ints, Lookup, Units

__all__ = ["HELPERS", "SUSPICIOUS", "WINDOW", "find_stale_ends"]

WINDOW = 192
"""Units of the end that are looked at."""
LEAST = 128
"""Fewest units of a text whose end is looked at."""
GRAM = 4
SUSPICIOUS = 40.0
"""Repeated 4-grams, or 8-grams with numbers as one, from which on an end is counted."""


def is_said(plain: Ints, lookup: Lookup, low: int, i: int, mask: int) -> bool:
    """Whether the 4-gram from place ``i`` stands earlier in the text; entered in the table if not.

    Args:
        plain: unit ids, numbers as one.
        lookup: scratch; its hash table holds places.
        low: first unit of the text.
        i: the place.
        mask: size of the used part of the hash table, less one.
    """
    slots = lookup.slots
    stamp = lookup.state[0]
    code = 0
    for k in range(GRAM):
        code = (code * 1000003 + plain[i + k] + 1) & 0xFFFFFFFFFF
    slot = (code ^ (code >> 17)) & mask
    while True:
        held = slots[slot]
        if held >> 32 != stamp:
            slots[slot] = (stamp << 32) | (i - low)
            return False
        other = low + (held & 0xFFFFFFFF)
        k = 0
        while k < GRAM and plain[other + k] == plain[i + k]:
            k += 1
        if k == GRAM:
            return True
        slot = (slot + 1) & mask


def find_stale_ends(
    docs: int, units: Units, plain: Ints, shares: Sequence[float], lookup: Lookup, stale: MutableSequence[float]
) -> None:
    """The share of the end that was said before, of each text.

    Args:
        docs: number of texts.
        units: the batch (:func:`harness.metrics.units.split_units`).
        plain: unit ids, numbers as one (:class:`harness.metrics.ngrams.Numbers`).
        shares: from :func:`harness.metrics.ngrams.count_repeats`.
        lookup: scratch.
        stale: out, one a text; 0 for short texts and texts that repeat little.
    """
    for d in range(docs):
        stale[d] = 0.0
        low = units.offsets[d]
        high = units.offsets[d + 1]
        n = high - low
        at = SHARES * d
        if n < LEAST + GRAM or max(shares[at + GRAM - 1], shares[at + ORDERS]) * n < SUSPICIOUS:
            continue
        size = 16
        while size < 2 * n:
            size *= 2
        lookup.state[0] += 1
        first = max(low + GRAM, high - WINDOW)
        again = 0
        for i in range(low, high - GRAM + 1):
            said = is_said(plain, lookup, low, i, size - 1)
            if said and i >= first:
                again += 1
        stale[d] = again / max(1, high - GRAM + 1 - first)


HELPERS = (is_said,)
"""What :func:`find_stale_ends` calls, for the compiler."""
