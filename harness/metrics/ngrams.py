"""How many n-grams of a unit sequence are repeats, for n = 1..8 at once.

rep-n = 1 - distinct n-grams / n-grams (seq-rep-n of Welleck et al. 2020, "Neural Text Generation with Unlikelihood
Training", there on tokens; here on mixed units). All orders in one cascade: an (n+1)-gram can only be a repeat where
its n-gram is one, so after the first orders few positions of an ordinary text are left, and a text that loops costs
eight passes. Exact: the hash table compares keys, a collision only costs a step.
Plain Python on integer arrays, see harness/metrics/units.py.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from harness.metrics.units import NUMBER, Ints

__all__ = ["ORDERS", "count_repeats"]

ORDERS = 8


def cascade(
    ids: Sequence[int],
    low: int,
    high: int,
    orders: int,
    ranks: Ints,
    alive: Ints,
    counts: Ints,
    lefts: Ints,
    rights: Ints,
    slots: Ints,
    state: Ints,
    shares: MutableSequence[float],
    at: int,
) -> None:
    """Write rep-1 .. rep-``orders`` of ``ids[low:high]`` to ``shares[at:at + orders]``."""
    n = high - low
    for k in range(orders):
        shares[at + k] = 0.0
    if n < 2:
        return
    top = 0
    for i in range(low, high):
        if ids[i] > top:
            top = ids[i]
    for k in range(top + 1):
        counts[k] = 0
    for i in range(low, high):
        counts[ids[i]] += 1
    classes = 0
    for k in range(top + 1):
        if counts[k] > 1:
            classes += 1
    left = 0
    for i in range(low, high):
        if counts[ids[i]] > 1:
            ranks[i - low] = ids[i]
            alive[left] = i - low
            left += 1
    shares[at] = (left - classes) / n
    size = 16
    for order in range(2, orders + 1):
        if left == 0 or n - order + 1 < 1:
            return
        while size < 2 * left:
            size *= 2
        mask = size - 1
        state[0] += 1
        stamp = state[0]
        fresh = 0
        kept = 0
        for at_alive in range(left):
            i = alive[at_alive]
            if i + order > n:
                continue
            rank = ranks[i]
            following = ids[low + i + order - 1]
            slot = (rank * 2654435761 + following * 40503) & 0x7FFFFFFFFFFFFFF
            slot = (slot ^ (slot >> 21)) & mask
            found = -1
            while found < 0:
                held = slots[slot]
                if held >> 32 != stamp:
                    found = fresh
                    slots[slot] = (stamp << 32) | fresh
                    lefts[fresh] = rank
                    rights[fresh] = following
                    counts[fresh] = 0
                    fresh += 1
                else:
                    other = held & 0xFFFFFFFF
                    if lefts[other] == rank and rights[other] == following:
                        found = other
                    slot = (slot + 1) & mask
            counts[found] += 1
            ranks[i] = found
            alive[kept] = i
            kept += 1
        classes = 0
        for k in range(fresh):
            if counts[k] > 1:
                classes += 1
        left = 0
        for k in range(kept):
            i = alive[k]
            if counts[ranks[i]] > 1:
                alive[left] = i
                left += 1
        shares[at + order - 1] = (left - classes) / (n - order + 1)
        # Shrink with the survivors, so that the table stays in the nearest cache.
        while size > 16 and size >= 4 * left:
            size //= 2


def count_repeats(
    docs: int,
    ids: Ints,
    kinds: Sequence[int],
    offsets: Sequence[int],
    plain: Ints,
    numbers: Ints,
    ranks: Ints,
    alive: Ints,
    counts: Ints,
    lefts: Ints,
    rights: Ints,
    slots: Ints,
    state: Ints,
    shares: MutableSequence[float],
) -> None:
    """rep-1..rep-8 and the digit-normalised orders of a batch.

    Arrays:
        ids, kinds, offsets: from :func:`harness.metrics.units.split_units`.
        plain: out, per unit: its id with every run of digits taken for id 0.
        numbers: out, per text: how many units are runs of digits.
        ranks, alive, counts, lefts, rights: scratch, one a unit and one more.
        slots, state: as in :func:`harness.metrics.units.split_units`.
        shares: out, 16 a text: rep-1..rep-8, then the same of ``plain``.
    """
    for d in range(docs):
        low = offsets[d]
        high = offsets[d + 1]
        cascade(ids, low, high, ORDERS, ranks, alive, counts, lefts, rights, slots, state, shares, 2 * ORDERS * d)
        found = 0
        for i in range(low, high):
            if kinds[i] == NUMBER:
                plain[i] = 0
                found += 1
            else:
                plain[i] = ids[i]
        numbers[d] = found
        at = 2 * ORDERS * d + ORDERS
        if found > 0:
            cascade(plain, low, high, ORDERS, ranks, alive, counts, lefts, rights, slots, state, shares, at)
        else:
            for k in range(ORDERS):
                shares[at + k] = shares[at - ORDERS + k]
