"""Finds tandem runs: stretches that repeat one period three times or more, without a gap.

Example: "x a b a b a b y" holds the run "a b a b a b" with period 2 and three copies. A run is maximal: it cannot be
made longer on either side with the same period.

Runs are found exactly, for every period p up to a third of the text. A run of length L >= 3p holds at least 2p places in
a row where a[i] == a[i-p], so a look at every 2p-th place finds it. That is n/2p looks for a period, and n log n in all.
The multiples of a known period are stepped over (Fine and Wilf: a run that shares p or more places with a run whose
period divides p lies inside it). The few longest runs are kept; shorter ones cost nothing once these are known.

Long periods are compared by prints, which are hashes of the last ``PRINT`` places, so that chance hits are few. A hit is
widened in strides first, which turns down nearly all that are no runs, then place by place. A text made to be slow (long
stretches of one character with a flaw here and there) would still take n places for a period. From ``PATIENCE`` places a
unit on, bisection over hashes of prefixes therefore says how far a hit goes, and only what passes is compared place by
place. That bounds the whole by n (log n)^2 for any text whose hashes do not collide, and changes no result.

Not supported: periods that occur twice. One repeated paragraph is not a loop, and rep-8 measures it. But a text that
breaks off within the third copy of a paragraph did not end by itself: see :func:`find_tails`, which uses the Z-algorithm
(Gusfield 1997) and is linear. The tests compare both with brute force. Plain Python on integer arrays, see
harness/metrics/units.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.metrics.units import Ints

__all__ = [
    "BEGUN",
    "HELPERS",
    "KEEP",
    "PARAGRAPH",
    "PATIENCE",
    "TAILS",
    "Scratch",
    "equal",
    "find_runs",
    "find_tails",
    "reach",
]


class Scratch(NamedTuple):
    """Scratch of :func:`find_runs`: 64 bits wide, one entry a place and one more."""

    sums: Ints
    """Hashes of the first k places of the text."""
    powers: Ints
    """Powers of ``BASE``."""
    prints: Ints
    """Per place: hash of the last ``PRINT`` places."""


KEEP = 8
"""Maximum of runs kept for a text."""
PATIENCE = 16
"""Places compared for a unit of the text before prefixes are hashed."""
PARAGRAPH = 24
"""Shortest period of a tail with two whole copies."""
TAILS = 3
"""Numbers that describe the end of a text: see :func:`find_tails`."""
BEGUN = 3
"""Minimum places of the copy that such a tail breaks off in."""
STRIDES = 6
"""Strides by which a hit is widened."""
PRINT = 8
"""Places that a print depends on: all older ones are shifted out of its ``7 * PRINT`` bits."""
PRINTED = 64
"""Periods from which on prints are compared."""
PRIME = 0x7FFFFFFF
BASE = 1_000_003


def equal(sums: Sequence[int], powers: Sequence[int], one: int, other: int, size: int) -> bool:
    """Whether the hashes of ``size`` places from ``one`` and from ``other`` on are equal.

    Args:
        sums: ``sums[k]`` is the hash of the first k places.
        powers: powers of ``BASE``. Products stay below 2**62.
        one, other: the places.
        size: how many places are compared.
    """
    first = (sums[one + size] - sums[one] * powers[size]) % PRIME
    return first == (sums[other + size] - sums[other] * powers[size]) % PRIME


def reach(sums: Sequence[int], powers: Sequence[int], one: int, other: int, limit: int, backwards: bool) -> int:
    """How many places, at most ``limit``, are equal from ``one`` and ``other`` on (or before them), by their hashes."""
    low = 0
    while low < limit:
        size = (low + limit + 1) // 2
        back = size if backwards else 0
        if equal(sums, powers, one - back, other - back, size):
            low = size
        else:
            limit = size - 1
    return low


def spans_strides(sequence: Sequence[int], low: int, high: int, i: int, p: int, stride: int) -> bool:
    """Whether enough strides around place ``i`` agree with period ``p``: turns down nearly all that are no runs.

    Of the ``STRIDES`` strides within a run that holds this place all but one are whole.
    """
    whole = 1
    j = i - stride
    while whole < STRIDES and j >= low + p and sequence[j] == sequence[j - p]:
        whole += 1
        j -= stride
    j = i + stride
    while whole < STRIDES and j < high and sequence[j] == sequence[j - p]:
        whole += 1
        j += stride
    return whole >= STRIDES


def known_end(runs: Sequence[int], base: int, held: int, i: int, p: int) -> int:
    """End of a known run that holds place ``i`` and whose period divides ``p``; 0 where there is none."""
    for k in range(held):
        at = base + 3 * k
        if runs[at] + p <= i and i < runs[at + 1] and p % runs[at + 2] == 0:
            return runs[at + 1]
    return 0


def hash_prefixes(sequence: Sequence[int], low: int, n: int, sums: Ints, powers: Ints) -> None:
    """Fill ``sums`` and ``powers`` for :func:`equal`."""
    sums[0] = 0
    powers[0] = 1
    for k in range(n):
        sums[k + 1] = (sums[k] * BASE + sequence[low + k] + 1) % PRIME
        powers[k + 1] = powers[k] * BASE % PRIME


def may_reach(sums: Sequence[int], powers: Sequence[int], at: int, p: int, n: int, step: int) -> bool:
    """Whether, by the hashes, ``step`` places around place ``at`` agree with period ``p``.

    A run reaches half its length before the place or after it. Hashes may take unequal for equal, never the other way.
    """
    half = step // 2
    far = at + half <= n and equal(sums, powers, at, at - p, half)
    if not far and at - p >= half - 1:
        far = equal(sums, powers, at - half + 1, at - p - half + 1, half)
    if not far:
        return False
    after = reach(sums, powers, at, at - p, n - at, False)
    before = reach(sums, powers, at, at - p, at - p, True)
    return before + after >= step


def keep_run(runs: Ints, base: int, held: int, start: int, end: int, period: int) -> int:
    """Insert a run in order of length, behind equally long ones; returns how many runs are kept."""
    k = held
    if held == KEEP:
        k = KEEP - 1
    else:
        held += 1
    while k > 0:
        at = base + 3 * (k - 1)
        if runs[at + 1] - runs[at] >= end - start:
            break
        runs[at + 3] = runs[at]
        runs[at + 4] = runs[at + 1]
        runs[at + 5] = runs[at + 2]
        k -= 1
    at = base + 3 * k
    runs[at] = start
    runs[at + 1] = end
    runs[at + 2] = period
    return held


def print_places(sequence: Sequence[int], low: int, n: int, prints: Ints) -> None:
    """Fill ``prints``: for each place a hash of the last ``PRINT`` places."""
    value = 0
    for k in range(n):
        value = ((value << 7) & 0xFFFFFFFFFFFFFF) ^ ((sequence[low + k] * 0x9E3779B1) & 0xFFFFFFFFFFFFFF)
        prints[k] = value


def find_runs(
    docs: int,
    sequence: Sequence[int],
    bounds: Sequence[int],
    longest: Sequence[int],
    min_length: int,
    scratch: Scratch,
    runs: Ints,
    counts: Ints,
) -> None:
    """The longest runs of each sequence of a batch, with at least three copies.

    Args:
        docs: number of sequences.
        sequence: all sequences, one after the other.
        bounds: ``docs + 1`` offsets into ``sequence``.
        longest: per sequence: the longest period to look for; 0 leaves the sequence out.
        min_length: shortest run of interest.
        scratch: see :class:`Scratch`.
        runs: out, ``3 * KEEP`` a sequence: start, end (offsets into ``sequence``) and period; the longest first, of
            equally long ones that with the shorter period, then the earlier.
        counts: out, runs of each sequence.
    """
    sums, powers, prints = scratch.sums, scratch.powers, scratch.prints
    for d in range(docs):
        low = bounds[d]
        high = bounds[d + 1]
        n = high - low
        base = 3 * KEEP * d
        held = 0
        bound = min_length
        last = min(longest[d], n // 3)
        patience = PATIENCE * n
        printed = last >= 4 * PRINTED
        if printed:
            print_places(sequence, low, n, prints)
        for p in range(1, last + 1):
            need = max(3 * p, bound)
            if need > n:
                break
            step = need - p
            stride = step // STRIDES
            i = low + need - 1
            while i < high:
                if p >= PRINTED and printed:
                    # Equal anywhere in a run but at its first places, whose prints depend on what stands before it.
                    while i < high and prints[i - low] != prints[i - low - p]:
                        i += step - PRINT + 1
                    if i >= high:
                        break
                if sequence[i] != sequence[i - p]:
                    i += step
                    continue
                if stride > 1 and not spans_strides(sequence, low, high, i, p, stride):
                    i += step
                    continue
                inside = known_end(runs, base, held, i, p)
                if inside > 0:
                    i = inside + step - 1
                    continue
                if patience <= 0:
                    if patience > -n:
                        patience = -n
                        hash_prefixes(sequence, low, n, sums, powers)
                    if not may_reach(sums, powers, i - low, p, n, step):
                        i += step
                        continue
                left = i
                while left > low + p and sequence[left - 1] == sequence[left - 1 - p]:
                    left -= 1
                right = i + 1
                while right < high and sequence[right] == sequence[right - p]:
                    right += 1
                if right - left < step:
                    patience -= right - left
                else:
                    held = keep_run(runs, base, held, left - p, right, p)
                    if held == KEEP:
                        at = base + 3 * (KEEP - 1)
                        bound = runs[at + 1] - runs[at] + 1
                        if bound > need:
                            need = bound
                            step = need - p
                            stride = step // STRIDES
                i = right + step
        counts[d] = held


def find_tails(
    docs: int, sequence: Sequence[int], bounds: Sequence[int], wanted: Sequence[int], same: Ints, tails: Ints
) -> None:
    """The longest stretch up to the end that is two whole copies of a paragraph and the beginning of a third.

    Args:
        docs, sequence, bounds: as in :func:`find_runs`.
        wanted: per sequence: 0 leaves it out.
        same: scratch, one entry a place.
        tails: out, ``TAILS`` a sequence: start (offset into ``sequence``) and period, 0 and 0 for none; then the length
            of the longest stretch up to the end that is two copies of a paragraph, with at most a quarter of one
            between them. The last place may differ, since it may have been cut itself.
    """
    for d in range(docs):
        tails[TAILS * d] = 0
        tails[TAILS * d + 1] = 0
        tails[TAILS * d + 2] = 0
        low = bounds[d]
        last = bounds[d + 1] - 2
        n = last - low + 1
        if wanted[d] == 0 or n < 2 * PARAGRAPH + BEGUN:
            continue
        # same[k]: how many places before the last are equal to those k further back.
        best = 0
        begin = 0
        end = 0
        for k in range(1, n):
            size = 0
            if k < end:
                size = min(end - k, same[k - begin])
            while k + size < n and sequence[last - size] == sequence[last - k - size]:
                size += 1
            same[k] = size
            if k + size > end:
                begin = k
                end = k + size
            if k >= PARAGRAPH and size >= k + BEGUN and size + k > best:
                best = size + k
                tails[TAILS * d] = last + 1 - best
                tails[TAILS * d + 1] = k
            # What stands between the two copies may be a mark or a word.
            if k >= PARAGRAPH and 5 * (size + 1) >= 4 * k and size + k > tails[TAILS * d + 2]:
                tails[TAILS * d + 2] = size + k


HELPERS = (equal, reach, spans_strides, known_end, hash_prefixes, may_reach, keep_run, print_places)
"""What :func:`find_runs` calls, for the compiler."""
