"""Tandem runs: stretches that repeat one period three times or more, without a gap.

A run is maximal: it cannot be made longer on either side with the same period. Found exactly, for every period p up to
a third of the text: a run of length L >= 3p holds at least 2p places in a row where a[i] == a[i-p], so looking at
every 2p-th place finds it. That is n/2p looks a period, n log n in all; the multiples of a period that is already known
are stepped over (Fine and Wilf: a run that shares p or more places with a run whose period divides p lies inside it).
The few longest runs are kept; shorter ones cost nothing once these are known. Checked against brute force in
tests/unit/metrics/test_repetition.py. Plain Python on integer arrays, see harness/metrics/units.py.

Long periods are looked at by prints, hashes of the last ``PRINT`` places, so that chance hits are few. A look that hits
is widened in strides first, which turns down nearly all that are no runs, then place by place. Text
made to be slow (long stretches of one character with a flaw here and there: each hit goes far and ends too soon) would
still take n places a period; so from ``PATIENCE`` places a unit on how far a hit goes is told by bisection over hashes
of prefixes, and only what these take for a run is compared place by place. That bounds the whole by n (log n)^2 for any
text whose hashes do not collide, and changes no result.

Given up: periods that occur twice (one repeated paragraph is not a loop; rep-8 sees it). But a text that breaks off
within the third copy of a paragraph did not end by itself: :func:`find_tails`, by the Z-algorithm (Gusfield 1997), linear.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.units import Ints

__all__ = ["BEGUN", "KEEP", "PARAGRAPH", "PATIENCE", "equal", "find_runs", "find_tails", "reach"]

KEEP = 8
"""Most runs kept a text."""
PATIENCE = 16
"""Places compared a unit of the text before prefixes are hashed."""
PARAGRAPH = 24
"""Shortest period of a tail with two whole copies."""
BEGUN = 3
"""Fewest places of the copy that such a tail breaks off in."""
STRIDES = 6
PRINT = 8
"""Places that a print tells of: all older ones are shifted out of its ``7 * PRINT`` bits."""
PRINTED = 64
"""Periods from which on prints are looked at."""
PRIME = 0x7FFFFFFF
BASE = 1_000_003


def equal(sums: Sequence[int], powers: Sequence[int], one: int, other: int, size: int) -> bool:
    """Whether the hashes of ``size`` places from ``one`` and from ``other`` on are equal.

    Args:
        sums: ``sums[k]`` is the hash of the first k places. powers: of ``BASE``. Products stay below 2**62.
    """
    first = (sums[one + size] - sums[one] * powers[size]) % PRIME
    return first == (sums[other + size] - sums[other] * powers[size]) % PRIME


def reach(sums: Sequence[int], powers: Sequence[int], one: int, other: int, most: int, backwards: bool) -> int:
    """How many places, at most ``most``, are equal from ``one`` and ``other`` on (or before them), by their hashes."""
    low = 0
    while low < most:
        size = (low + most + 1) // 2
        back = size if backwards else 0
        if equal(sums, powers, one - back, other - back, size):
            low = size
        else:
            most = size - 1
    return low


def find_runs(
    docs: int,
    sequence: Sequence[int],
    bounds: Sequence[int],
    longest: Sequence[int],
    min_length: int,
    sums: Ints,
    powers: Ints,
    prints: Ints,
    runs: Ints,
    found: Ints,
) -> None:
    """The longest runs of each sequence of a batch, with at least three copies.

    Arrays:
        sequence: all sequences, one after the other.
        bounds: ``docs + 1`` offsets into ``sequence``.
        longest: per sequence: the longest period looked for; 0 leaves the sequence out.
        min_length: shortest run of interest.
        sums, powers, prints: scratch, 64 bits wide, one a place and one more.
        runs: out, ``3 * KEEP`` a sequence: start, end (offsets into ``sequence``) and period; the longest first, of
            equally long ones that with the shorter period, then the earlier.
        found: out, runs per sequence.
    """
    for d in range(docs):
        low = bounds[d]
        high = bounds[d + 1]
        n = high - low
        base = 3 * KEEP * d
        held = 0
        bound = min_length
        last = n // 3
        if longest[d] < last:
            last = longest[d]
        patience = PATIENCE * n
        if last >= 4 * PRINTED:
            told = 0
            for k in range(n):
                told = ((told << 7) & 0xFFFFFFFFFFFFFF) ^ ((sequence[low + k] * 0x9E3779B1) & 0xFFFFFFFFFFFFFF)
                prints[k] = told
        for p in range(1, last + 1):
            need = 3 * p
            if bound > need:
                need = bound
            if need > n:
                break
            step = need - p
            stride = step // STRIDES
            i = low + need - 1
            while i < high:
                if p >= PRINTED and last >= 4 * PRINTED:
                    # Equal anywhere in a run but at its first places, which tell of what stands before it.
                    while i < high and prints[i - low] != prints[i - low - p]:
                        i += step - PRINT + 1
                    if i >= high:
                        break
                if sequence[i] != sequence[i - p]:
                    i += step
                    continue
                if stride > 1:
                    # Of the strides within a run that holds this place all but one are whole.
                    whole = 1
                    j = i - stride
                    while whole < STRIDES and j >= low + p and sequence[j] == sequence[j - p]:
                        whole += 1
                        j -= stride
                    j = i + stride
                    while whole < STRIDES and j < high and sequence[j] == sequence[j - p]:
                        whole += 1
                        j += stride
                    if whole < STRIDES:
                        i += step
                        continue
                inside = 0
                for k in range(held):
                    at = base + 3 * k
                    if runs[at] + p <= i and i < runs[at + 1] and p % runs[at + 2] == 0:
                        inside = runs[at + 1]
                        break
                if inside > 0:
                    i = inside + step - 1
                    continue
                if patience <= 0:
                    if patience > -n:
                        patience = -n
                        sums[0] = 0
                        powers[0] = 1
                        for k in range(n):
                            sums[k + 1] = (sums[k] * BASE + sequence[low + k] + 1) % PRIME
                            powers[k + 1] = powers[k] * BASE % PRIME
                    at = i - low
                    # A run reaches half its length before this place or after it.
                    half = step // 2
                    far = at + half <= n and equal(sums, powers, at, at - p, half)
                    if not far and at - p >= half - 1:
                        far = equal(sums, powers, at - half + 1, at - p - half + 1, half)
                    if not far:
                        i += step
                        continue
                    after = reach(sums, powers, at, at - p, n - at, False)
                    before = reach(sums, powers, at, at - p, at - p, True)
                    # Hashes may take unequal for equal, never the other way.
                    if before + after < step:
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
                    # Insert in order of length; a later one of equal length goes behind.
                    length = right - left + p
                    k = held
                    if held == KEEP:
                        k = KEEP - 1
                    else:
                        held += 1
                    while k > 0:
                        at = base + 3 * (k - 1)
                        if runs[at + 1] - runs[at] >= length:
                            break
                        runs[at + 3] = runs[at]
                        runs[at + 4] = runs[at + 1]
                        runs[at + 5] = runs[at + 2]
                        k -= 1
                    at = base + 3 * k
                    runs[at] = left - p
                    runs[at + 1] = right
                    runs[at + 2] = p
                    if held == KEEP:
                        at = base + 3 * (KEEP - 1)
                        bound = runs[at + 1] - runs[at] + 1
                        if bound > need:
                            need = bound
                            step = need - p
                            stride = step // STRIDES
                i = right + step
        found[d] = held


def find_tails(
    docs: int, sequence: Sequence[int], bounds: Sequence[int], wanted: Sequence[int], same: Ints, tails: Ints
) -> None:
    """The longest stretch up to the end that is two whole copies of a paragraph and the beginning of a third.

    Arrays:
        sequence, bounds: as for :func:`find_runs`.
        wanted: per sequence: 0 leaves it out.
        same: scratch, one a place.
        tails: out, 2 a sequence: start (offset into ``sequence``) and period; 0 and 0 for none. The last place may
            differ: it may have been cut itself.
    """
    for d in range(docs):
        tails[2 * d] = 0
        tails[2 * d + 1] = 0
        low = bounds[d]
        last = bounds[d + 1] - 2
        n = last - low + 1
        if wanted[d] == 0 or n < 2 * PARAGRAPH + BEGUN:
            continue
        # same[k]: how many places before the last are equal to those k further back.
        best = 0
        begin = 0
        end = 0
        for k in range(1, (n - BEGUN) // 2 + 1):
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
                tails[2 * d] = last + 1 - best
                tails[2 * d + 1] = k
