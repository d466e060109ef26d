"""Counts how many n-grams of a unit sequence are repeats, for n = 1..8 at once.

rep-n = 1 - distinct n-grams / n-grams. This is seq-rep-n of Welleck et al. 2020 ("Neural Text Generation with Unlikelihood
Training"), there on tokens and here on mixed units. Example: "a b a b a" has the bigrams ab ba ab ba, two of them
distinct, so rep-2 is 0.5.

The method is partition refinement. Places with equal n-grams form a group. Each group is split by the unit that follows,
and a place that is alone is dropped, since a longer n-gram can only be a repeat where its beginning is one. The first
three orders come from a radix sort instead, because most places are still in it there. An ordinary text is done after
three or four orders. In a text that repeats much, places whose next eight units stand at one distance before are set
aside first: each is a repeat at every order, and whatever else equals it equals what it repeats. A loop is so reduced to
its first copy. Nothing is hashed, so the counts are exact and the time is linear.

The digit-normalised rep-8 needs no second pass over the whole text: only windows that hold a number change, and they can
only equal one another. Plain Python on integer arrays, see harness/metrics/units.py.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

from harness.metrics.units import NUMBER, Ints, Units

__all__ = ["HELPERS", "ORDERS", "SHARES", "Groups", "Numbers", "Tally", "count_repeats"]

ORDERS = 8
"""The longest n-grams."""
SHARES = 9
"""Shares of a text: rep-1..rep-8 and the digit-normalised rep-8."""
MANY_REPEATS = 0.3
"""Share of repeated trigrams from which on copies are set aside."""


class Groups(NamedTuple):
    """Scratch: groups of places with equal n-grams, one after the other; one entry a unit and one more."""

    places: Ints
    """Offsets into the unit arrays."""
    ends: Ints
    """Where each group ends in ``places``."""


class Tally(NamedTuple):
    """Scratch: counters by unit id, 64 bits wide, one entry a unit and one more."""

    marks: Ints
    """How often an id occurs in the group at hand, with the group's stamp."""
    where: Ints
    """Where the next place of an id goes, with the group's stamp."""
    state: Ints
    """As in :class:`harness.metrics.units.Lookup`."""


class Numbers(NamedTuple):
    """Where the runs of digits of a batch are."""

    plain: Ints
    """Out, per unit: its id, with every run of digits replaced by id 0."""
    following: Ints
    """Scratch, per unit: where the next run of digits stands."""
    copies: Ints
    """Scratch, per place of a text: 1 for a copy that is set aside."""
    counts: Ints
    """Out, per text: units that are runs of digits."""


def refine(ids: Sequence[int], high: int, order: int, count: int, source: Groups, target: Groups, tally: Tally) -> int:
    """Split groups of places with equal n-grams into groups with equal (n+1)-grams; returns how many these are.

    Args:
        ids: unit ids.
        high: end of the text.
        order: n; 0 makes the first groups.
        count: number of groups in ``source``.
        source, target: the groups, and the split groups.
        tally: scratch.
    """
    places, ends = source.places, source.ends
    into, into_ends = target.places, target.ends
    marks, where, state = tally.marks, tally.where, tally.state
    kept = 0
    begin = 0
    out = 0
    last = high - order
    for g in range(count):
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
    groups: Groups,
    sorted_places: Ints,
    tally: Tally,
    shares: MutableSequence[float],
    at: int,
) -> int:
    """rep-1..rep-3 and the groups of equal trigrams, by a radix sort of all places; returns the number of groups.

    Three passes without a branch that a processor could predict wrongly, which is what the first orders of
    :func:`refine` would mostly consist of. The groups are left in ``groups``.
    """
    places, marks, where = groups.places, tally.marks, tally.where
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
                sorted_places[spot] = i
        elif digit == 1:
            for k in range(n):
                i = sorted_places[k]
                key = ids[i + 1] if i < last else 0
                spot = where[key]
                where[key] = spot + 1
                places[spot] = i
        else:
            for k in range(n):
                i = places[k]
                spot = where[ids[i]]
                where[ids[i]] = spot + 1
                sorted_places[spot] = i
    return read_trigrams(ids, low, high, groups, sorted_places, shares, at)


def read_trigrams(
    ids: Sequence[int],
    low: int,
    high: int,
    groups: Groups,
    sorted_places: Ints,
    shares: MutableSequence[float],
    at: int,
) -> int:
    """rep-1..rep-3 and the groups of equal trigrams, from the sorted places; returns the number of groups."""
    places, ends = groups.places, groups.ends
    n = high - low
    ones = 0
    twos = 0
    threes = 0
    out = 0
    kept = 0
    open_group = False
    before = sorted_places[0]
    last = high - 1
    b0 = ids[before]
    b1 = ids[before + 1] if before < last else 0
    b2 = ids[before + 2] if before + 1 < last else 0
    for k in range(1, n):
        i = sorted_places[k]
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
    """Mark places whose 8-gram stands at some distance before; returns how many. Some copies may stay unmarked.

    One distance is followed for as long as it holds; then the one to the latest equal unit is tried. So all but the
    first copy or two of a loop are found in one pass.

    Args:
        ids: unit ids.
        low, high: the text.
        distinct: one more than its different units.
        latest: scratch, one entry an id.
        copies: out, one entry a place from ``low`` on: 1 for a copy.
    """
    for key in range(distinct):
        latest[key] = -1
    distance = 0
    length = 0
    count = 0
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
            count += 1
    return count


def drop_copies(low: int, count: int, groups: Groups, copies: Sequence[int]) -> int:
    """Take the marked places out of the groups; returns how many groups are left."""
    places, ends = groups.places, groups.ends
    begin = 0
    kept = 0
    out = 0
    for g in range(count):
        stop = ends[g]
        first = out
        for k in range(begin, stop):
            i = places[k]
            places[out] = i
            out += 1 - copies[i - low]
        begin = stop
        if out - first > 1:
            ends[kept] = out
            kept += 1
        else:
            out = first
    return kept


def replace_numbers(d: int, units: Units, numbers: Numbers) -> None:
    """Replace the runs of digits of a text by id 0, and note where the next one stands from each unit on."""
    kinds, ids, plain, following = units.kinds, units.ids, numbers.plain, numbers.following
    high = units.offsets[d + 1]
    count = 0
    number = high + ORDERS
    for i in range(high - 1, units.offsets[d] - 1, -1):
        if kinds[i] == NUMBER:
            plain[i] = 0
            number = i
            count += 1
        else:
            plain[i] = ids[i]
        following[i] = number
    numbers.counts[d] = count


def count_with_numbers(
    d: int, units: Units, many: bool, numbers: Numbers, groups: Groups, spare: Groups, tally: Tally
) -> int:
    """Repeats among the windows of eight that hold a number, every run of digits taken for the same.

    Args:
        d: number of the text.
        units, numbers, tally: as in :func:`count_repeats`.
        many: whether copies are worth setting aside.
        groups, spare: scratch.
    """
    low = units.offsets[d]
    high = units.offsets[d + 1]
    plain, following, copies, places = numbers.plain, numbers.following, numbers.copies, groups.places
    copied = 0
    if many:
        copied = mark_copies(plain, low, high, units.distinct[d], tally.where, copies)
    repeats = 0
    left = 0
    last = high - ORDERS + 1
    i = max(low, following[low] - ORDERS + 1)
    while i < last:
        stop = min(following[i] + 1, last)
        while i < stop:
            if copied > 0 and copies[i - low] > 0:
                repeats += 1
            else:
                places[left] = i
                left += 1
            i += 1
        if i < last:
            i = max(i, following[i] - ORDERS + 1)
    groups.ends[0] = left
    count = 1 if left > 1 else 0
    order = 0
    while order < ORDERS and count > 0:
        if order % 2 == 0:
            count = refine(plain, high, order, count, groups, spare, tally)
        else:
            count = refine(plain, high, order, count, spare, groups, tally)
        order += 1
    if count > 0:
        repeats += groups.ends[count - 1] - count
    return repeats


def count_repeats(
    docs: int,
    units: Units,
    numbers: Numbers,
    groups: Groups,
    spare: Groups,
    tally: Tally,
    shares: MutableSequence[float],
) -> None:
    """rep-1..rep-8 and the digit-normalised rep-8 of a batch.

    Args:
        docs: number of texts.
        units: the batch (:func:`harness.metrics.units.split_units`).
        numbers: ``plain`` and ``counts`` are written; the rest is scratch.
        groups, spare: scratch; each order is refined from one into the other.
        tally: scratch.
        shares: out, ``SHARES`` a text.
    """
    ids, following, copies, places, ends = units.ids, numbers.following, numbers.copies, spare.places, spare.ends
    for d in range(docs):
        low = units.offsets[d]
        high = units.offsets[d + 1]
        n = high - low
        at = SHARES * d
        for k in range(SHARES):
            shares[at + k] = 0.0
        replace_numbers(d, units, numbers)
        if n < 2:
            continue
        count = sort_trigrams(ids, low, high, units.distinct[d], groups, spare.places, tally, shares, at)
        many = count > 0 and shares[at + 2] > MANY_REPEATS
        copied = 0
        plain_copied = 0
        if many:
            copied = mark_copies(ids, low, high, units.distinct[d], tally.where, copies)
        if copied > 0:
            count = drop_copies(low, count, groups, copies)
            if numbers.counts[d] > 0:
                for i in range(low, high):
                    if copies[i - low] > 0 and following[i] - i >= ORDERS:
                        plain_copied += 1
            for k in range(3, ORDERS):
                shares[at + k] = copied / (n - k)
        order = 3
        while order < ORDERS and count > 0:
            if order % 2 == 1:
                count = refine(ids, high, order, count, groups, spare, tally)
                total = spare.ends[count - 1] if count > 0 else 0
            else:
                count = refine(ids, high, order, count, spare, groups, tally)
                total = groups.ends[count - 1] if count > 0 else 0
            order += 1
            if count > 0:
                shares[at + order - 1] = (copied + total - count) / (n - order + 1)
        if numbers.counts[d] == 0 or n < ORDERS:
            shares[at + ORDERS] = shares[at + ORDERS - 1]
            continue
        # Repeats among the windows of eight that hold no number; five refinements, so the groups lie in ``spare``.
        repeats = plain_copied
        begin = 0
        for g in range(count):
            first = places[begin]
            if following[first] - first >= ORDERS:
                repeats += ends[g] - begin - 1
            begin = ends[g]
        repeats += count_with_numbers(d, units, shares[at + 2] > MANY_REPEATS, numbers, groups, spare, tally)
        shares[at + ORDERS] = repeats / (n - ORDERS + 1)


HELPERS = (refine, read_trigrams, sort_trigrams, mark_copies, drop_copies, replace_numbers, count_with_numbers)
"""What :func:`count_repeats` calls, for the compiler."""
