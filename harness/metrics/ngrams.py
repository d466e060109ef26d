"""How many n-grams of a unit sequence are repeats, for n = 1..8 at once.

rep-n = 1 - distinct n-grams / n-grams (seq-rep-n of Welleck et al. 2020, "Neural Text Generation with Unlikelihood
Training", there on tokens; here on mixed units). By partition refinement: places with equal n-grams form a group, each
group is split by the unit that follows, and what stands alone is dropped, since a longer n-gram can only be a
repeat where its beginning is one. The first three orders come from a radix sort instead, since there most places are
still in it. So an ordinary text is done after three or four orders. In a text that repeats much the places whose next
eight units stand at one distance before are set aside first: each is a repeat at every order, and whatever else equals
it equals what it repeats. A loop is so reduced to its first copy. Nothing is hashed: exact and linear.

The digit-normalised rep-8 needs no second cascade over the whole text: only windows that hold a number change, and
they can only equal one another. Plain Python on integer arrays, see harness/metrics/units.py.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from harness.metrics.units import NUMBER, Ints

__all__ = ["ORDERS", "SHARES", "count_repeats", "mark_copies", "refine", "sort_trigrams"]

ORDERS = 8
SHARES = 9
"""Shares a text: rep-1..rep-8 and the digit-normalised rep-8."""
MUCH = 0.3
"""Share of repeated trigrams from which on copies are set aside."""


def refine(
    ids: Sequence[int],
    high: int,
    order: int,
    groups: int,
    places: Sequence[int],
    ends: Sequence[int],
    into: Ints,
    into_ends: Ints,
    marks: Ints,
    where: Ints,
    state: Ints,
) -> int:
    """Split groups of places with equal n-grams into groups with equal (n+1)-grams; returns how many these are.

    Arrays:
        order: n; 0 makes the first groups. high: end of the sequence.
        places, ends: the groups, one after the other, and where each ends in ``places``.
        into, into_ends: out, the same.
        marks, where: scratch, one an id. state: as in :func:`harness.metrics.units.split_units`.
    """
    kept = 0
    begin = 0
    out = 0
    last = high - order
    for g in range(groups):
        stop = ends[g]
        if stop - begin == 2:
            # Most groups of an ordinary text.
            i = places[begin]
            j = places[begin + 1]
            begin = stop
            if i < last and j < last and ids[i + order] == ids[j + order]:
                into[out] = i
                into[out + 1] = j
                out += 2
                into_ends[kept] = out
                kept += 1
            continue
        state[0] += 1
        base = state[0] << 32
        for k in range(begin, stop):
            i = places[k]
            if i < last:
                key = ids[i + order]
                held = marks[key]
                marks[key] = held + 1 if held > base else base + 1
        for k in range(begin, stop):
            i = places[k]
            if i < last:
                key = ids[i + order]
                size = marks[key] - base
                if size > 1:
                    at = where[key]
                    if at < base:
                        at = base + out
                        out += size
                        into_ends[kept] = out
                        kept += 1
                    into[at - base] = i
                    where[key] = at + 1
        begin = stop
    return kept


def sort_trigrams(
    ids: Sequence[int],
    low: int,
    high: int,
    distinct: int,
    places: Ints,
    ends: Ints,
    into: Ints,
    marks: Ints,
    where: Ints,
    shares: MutableSequence[float],
    at: int,
) -> int:
    """rep-1..rep-3 and the groups of equal trigrams, by a radix sort of all places; returns how many groups.

    Three passes without a branch that a processor could guess wrong, which is what the first orders of :func:`refine`
    would mostly consist of. Arrays as there; the groups are left in ``places``.
    """
    n = high - low
    for k in range(distinct):
        marks[k] = 0
    for i in range(low, high):
        marks[ids[i]] += 1
    for digit in range(2, -1, -1):
        # The key of a place is the unit ``digit`` further on, 0 past the end: the first units are no place's key.
        for i in range(low, min(low + digit, high)):
            marks[ids[i]] -= 1
        where[0] = 0
        total = min(digit, n)
        for k in range(1, distinct):
            where[k] = total
            total += marks[k]
        for i in range(low, min(low + digit, high)):
            marks[ids[i]] += 1
        last = high - digit
        if digit == 2:
            for i in range(low, high):
                key = ids[i + 2] if i < last else 0
                spot = where[key]
                where[key] = spot + 1
                into[spot] = i
        elif digit == 1:
            for k in range(n):
                i = into[k]
                key = ids[i + 1] if i < last else 0
                spot = where[key]
                where[key] = spot + 1
                places[spot] = i
        else:
            for k in range(n):
                i = places[k]
                spot = where[ids[i]]
                where[ids[i]] = spot + 1
                into[spot] = i
    ones = 0
    twos = 0
    threes = 0
    out = 0
    kept = 0
    open_group = False
    before = into[0]
    last = high - 1
    b0 = ids[before]
    b1 = ids[before + 1] if before < last else 0
    b2 = ids[before + 2] if before + 1 < last else 0
    for k in range(1, n):
        i = into[k]
        a0 = ids[i]
        a1 = ids[i + 1] if i < last else 0
        a2 = ids[i + 2] if i + 1 < last else 0
        # ``&``, not ``and``: the outcomes follow no pattern. Of two places past the end none has the same units before.
        same = a0 == b0
        ones += same
        same = same & (a1 == b1)
        twos += same
        same = same & (a2 == b2)
        threes += same
        if same:
            if not open_group:
                places[out] = before
                out += 1
                open_group = True
            places[out] = i
            out += 1
        elif open_group:
            ends[kept] = out
            kept += 1
            open_group = False
        before = i
        b0 = a0
        b1 = a1
        b2 = a2
    if open_group:
        ends[kept] = out
        kept += 1
    shares[at] = ones / n
    shares[at + 1] = twos / (n - 1)
    if n > 2:
        shares[at + 2] = threes / (n - 2)
    return kept


def mark_copies(ids: Sequence[int], low: int, high: int, distinct: int, latest: Ints, copies: Ints) -> int:
    """Mark places whose 8-gram stands at some distance before; returns how many. Those not found are not marked.

    One distance is followed for as long as it holds; then the one to the latest equal unit is tried. So all but the
    first copy or two of a loop are found in one pass.

    Arrays:
        latest: scratch, one an id. copies: out, one a place from ``low`` on: 1 for a copy.
    """
    for key in range(distinct):
        latest[key] = -1
    distance = 0
    length = 0
    found = 0
    for i in range(low, high):
        key = ids[i]
        if distance > 0 and ids[i - distance] == key:
            length += 1
        else:
            before = latest[key]
            distance = i - before if before >= 0 else 0
            length = 1 if before >= 0 else 0
        latest[key] = i
        copies[i - low] = 0
        if length >= ORDERS:
            copies[i - low - ORDERS + 1] = 1
            found += 1
    return found


def count_repeats(
    docs: int,
    ids: Sequence[int],
    kinds: Sequence[int],
    offsets: Sequence[int],
    distinct: Sequence[int],
    plain: Ints,
    numbers: Ints,
    following: Ints,
    places: Ints,
    ends: Ints,
    into: Ints,
    into_ends: Ints,
    marks: Ints,
    where: Ints,
    state: Ints,
    shares: MutableSequence[float],
) -> None:
    """rep-1..rep-8 and the digit-normalised rep-8 of a batch.

    Arrays:
        ids, kinds, offsets, distinct: from :func:`harness.metrics.units.split_units`.
        plain: out, per unit: its id with every run of digits taken for id 0.
        numbers: out, per text: how many units are runs of digits.
        following: scratch, one a unit: where the next run of digits stands.
        places, ends, into, into_ends, marks, where: scratch, one a unit and one more.
        state: as in :func:`harness.metrics.units.split_units`.
        shares: out, ``SHARES`` a text.
    """
    for d in range(docs):
        low = offsets[d]
        high = offsets[d + 1]
        n = high - low
        at = SHARES * d
        for k in range(SHARES):
            shares[at + k] = 0.0
        found = 0
        number = high + ORDERS
        for i in range(high - 1, low - 1, -1):
            if kinds[i] == NUMBER:
                plain[i] = 0
                number = i
                found += 1
            else:
                plain[i] = ids[i]
            following[i] = number
        numbers[d] = found
        if n < 2:
            continue
        groups = sort_trigrams(ids, low, high, distinct[d], places, ends, into, marks, where, shares, at)
        copied = 0
        plain_copied = 0
        if groups > 0 and shares[at + 2] > MUCH:
            copied = mark_copies(ids, low, high, distinct[d], where, into)
        if copied > 0:
            begin = 0
            kept = 0
            out = 0
            for g in range(groups):
                stop = ends[g]
                first = out
                for k in range(begin, stop):
                    i = places[k]
                    places[out] = i
                    out += 1 - into[i - low]
                begin = stop
                if out - first > 1:
                    ends[kept] = out
                    kept += 1
                else:
                    out = first
            groups = kept
            if found > 0:
                for i in range(low, high):
                    if into[i - low] > 0 and following[i] - i >= ORDERS:
                        plain_copied += 1
            for k in range(3, ORDERS):
                shares[at + k] = copied / (n - k)
        order = 3
        while order < ORDERS and groups > 0:
            if order % 2 == 1:
                groups = refine(ids, high, order, groups, places, ends, into, into_ends, marks, where, state)
                total = into_ends[groups - 1] if groups > 0 else 0
            else:
                groups = refine(ids, high, order, groups, into, into_ends, places, ends, marks, where, state)
                total = ends[groups - 1] if groups > 0 else 0
            order += 1
            if groups > 0:
                shares[at + order - 1] = (copied + total - groups) / (n - order + 1)
        # Repeats among the windows of eight that hold no number; five refinements, so the groups lie in ``into``.
        repeats = plain_copied
        begin = 0
        for g in range(groups):
            first = into[begin]
            if following[first] - first >= ORDERS:
                repeats += into_ends[g] - begin - 1
            begin = into_ends[g]
        if found == 0 or n < ORDERS:
            shares[at + ORDERS] = shares[at + ORDERS - 1]
            continue
        copied = 0
        if shares[at + 2] > MUCH:
            copied = mark_copies(plain, low, high, distinct[d], where, into)
        left = 0
        last = high - ORDERS + 1
        i = max(low, following[low] - ORDERS + 1)
        while i < last:
            stop = min(following[i] + 1, last)
            while i < stop:
                if copied > 0 and into[i - low] > 0:
                    repeats += 1
                else:
                    places[left] = i
                    left += 1
                i += 1
            if i < last:
                i = max(i, following[i] - ORDERS + 1)
        ends[0] = left
        groups = 1 if left > 1 else 0
        order = 0
        while order < ORDERS and groups > 0:
            if order % 2 == 0:
                groups = refine(plain, high, order, groups, places, ends, into, into_ends, marks, where, state)
            else:
                groups = refine(plain, high, order, groups, into, into_ends, places, ends, marks, where, state)
            order += 1
        if groups > 0:
            repeats += ends[groups - 1] - groups
        shares[at + ORDERS] = repeats / (n - ORDERS + 1)
