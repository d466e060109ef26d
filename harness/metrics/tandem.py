"""Tandem runs: stretches that repeat one period three times or more, without a gap.

A run is maximal: it cannot be made longer on either side with the same period. Found exactly, for every period p up to
a third of the text: a run of length L >= 3p holds at least 2p places in a row where a[i] == a[i-p], so looking at
every 2p-th place finds it. That is n/2p looks a period, n log n in all; the multiples of a period that is already known
are stepped over (Fine and Wilf: a run that shares p or more places with a run whose period divides p lies inside it).
The few longest runs are kept; shorter ones cost nothing once these are known. Checked against brute force in
tests/unit/test_metrics_tandem.py. Plain Python on integer arrays, see harness/metrics/units.py.

Given up: periods that occur twice (one repeated paragraph is not a loop; rep-8 sees it).
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.units import Ints

__all__ = ["KEEP", "find_runs"]

KEEP = 8
"""Most runs kept a text."""


def find_runs(
    docs: int,
    sequence: Sequence[int],
    bounds: Sequence[int],
    longest: Sequence[int],
    min_length: int,
    runs: Ints,
    found: Ints,
) -> None:
    """The longest runs of each sequence of a batch, with at least three copies.

    Arrays:
        sequence: all sequences, one after the other.
        bounds: ``docs + 1`` offsets into ``sequence``.
        longest: per sequence: the longest period looked for; 0 leaves the sequence out.
        min_length: shortest run of interest.
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
        for p in range(1, last + 1):
            need = 3 * p
            if bound > need:
                need = bound
            if need > n:
                break
            step = need - p
            i = low + need - 1
            while i < high:
                if sequence[i] != sequence[i - p]:
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
                left = i
                while left > low + p and sequence[left - 1] == sequence[left - 1 - p]:
                    left -= 1
                right = i + 1
                while right < high and sequence[right] == sequence[right - p]:
                    right += 1
                if right - left >= step:
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
                i = right + step
        found[d] = held
