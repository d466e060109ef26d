"""Finds templated loops: lines or sentences that repeat each other except for a word.

"He is haunted by grief. He is haunted by guilt." holds no repeated 8-gram and no tandem run. Two segments are alike
when their longest common subsequence of words covers at least ``ALIKE`` of them (indel similarity, 2 * LCS / (a + b)).
Numbers and punctuation do not count, so that the rows of a table are not alike by their bars. Segments of which every
``lag`` in a row are, together, alike to the ``lag`` before them are a templated loop from ``COPIES`` periods on. Lags 1
to 4 cover couplets and records of several lines.

A copy that says something else than the one before in two places or more informs, and is no copy: "Mars is the fourth
planet", "The capital of Peru is Lima", a row of a table. Such a place is one or several words in a row of which one is
new in this run, or a number that does not count up or down by one. A copy with one such place only ("He is haunted by
grief"), or one that goes through the same values again, does not inform. A list of facts is therefore no loop, however
long, until it begins to repeat itself.

The phases, each a function: :func:`split_segments`, :func:`compare_segments`, :func:`mark_loops`, :func:`sum_up`. The
LCS is bit-parallel (Hyyro 2004, "Bit-parallel LCS-length computation revisited") and linear in the words, since a
segment is compared by its first ``MAX_WORDS`` words.

Duplicate lines: the share of lines, among those with a word or a number, that are equal to an earlier line. Plain
Python on integer arrays, see harness/metrics/units.py.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import NamedTuple

from harness.metrics.units import JOINED, NEW_LINE, NUMBER, PUNCTUATION, WORD, Ints, Lookup, Units

__all__ = [
    "HELPERS",
    "LAGS",
    "SHARES",
    "SPANS",
    "Segments",
    "count_bits",
    "find_templates",
]

ALIKE = 0.6
"""Minimum similarity of alike segments."""
COPIES = 5
"""Minimum periods of a templated loop."""
MIN_PLACES = 2
"""Number of places in which a copy must say something else, to inform."""
LIKELY_COPIES = 3
"""Periods that make a standard answer templated: what it does three times, an answer may do more often."""
LAGS = 4
"""Maximum number of segments of a period."""
SHARES = 5
"""Figures of a text, see :func:`find_templates`."""
SPANS = 5
"""Numbers that describe a text's longest templated loop, see :func:`find_templates`."""
MAX_WORDS = 32
"""Words of a segment that are compared: one machine word of bits."""
LIKELY = 1
"""State of a segment in a loop of ``LIKELY_COPIES`` periods or more."""
LOOPED = 2
"""State of a segment that is a copy in a templated loop."""


class Segments(NamedTuple):
    """Scratch: the segments (lines or sentences) of one text, an entry for each, as long as the unit arrays.

    "He is sad. He is mad." has two segments: firsts 0 4, lasts 4 8, words 3 3.
    """

    firsts: Ints
    """First unit of a segment."""
    lasts: Ints
    """End of its units."""
    words: Ints
    """Its words; 0 where it has more numbers than words, since the numbers are then what it says."""
    evens: Ints
    """The words with even ids that it may hold, as a set of bits by id."""
    odds: Ints
    """The same for odd ids."""
    alike: Ints
    """``LAGS`` per segment: words in common with the segment so many before it; 0 for too few."""
    states: Ints
    """``LIKELY``, ``LOOPED`` or 0."""
    copied: Ints
    """Whether the segment belongs to a copy that does not inform, or to what such copies are copies of."""
    masks: Ints
    """Per id: the places of a word in the segment under comparison, as bits; all zero between two comparisons."""
    seen: Ints
    """Per id: one more than the last segment of the run that holds it; all zero between two runs."""


def count_bits(bits: int) -> int:
    """How many bits are set, of 62; without a multiplication, which would overflow in compiled arithmetic."""
    bits -= (bits >> 1) & 0x5555555555555555
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F
    bits += bits >> 8
    bits += bits >> 16
    return (bits + (bits >> 32)) & 0x7F


def ends_sentence(code: int, gap: int) -> bool:
    """Whether a punctuation mark ends a sentence: . ! ? before a gap; full-width, Indic and Arabic ends anywhere."""
    if code == 46 or code == 33 or code == 63:
        return gap != JOINED
    return (
        code == 0x3002
        or code == 0xFF01
        or code == 0xFF1F
        or code == 0xFF1B
        or code == 0x0964
        or code == 0x061F
        or code == 0x06D4
    )


def is_earlier_line(units: Units, lookup: Lookup, low: int, line: int, end: int, code: int, mask: int) -> bool:
    """Whether the line of the units ``line`` to ``end`` is equal to an earlier one; entered in the table if not.

    Args:
        units, lookup: as in :func:`find_templates`.
        low: first unit of the text.
        line, end: the line's units.
        code: its hash.
        mask: size of the used part of the hash table, less one.
    """
    ids, gaps, slots = units.ids, units.gaps, lookup.slots
    stamp = lookup.state[0]
    length = end - line
    slot = (code ^ (code >> 17)) & mask
    while True:
        held = slots[slot]
        if held >> 32 != stamp:
            slots[slot] = (stamp << 32) | (line - low)
            return False
        other = low + (held & 0xFFFFFFFF)
        k = 0
        while k < length and ids[other + k] == ids[line + k]:
            k += 1
        # Equal so far; the same line only when the other one ends here too.
        if k == length and gaps[other + length] == NEW_LINE:
            return True
        slot = (slot + 1) & mask


def split_segments(d: int, units: Units, segments: Segments, lookup: Lookup, shares: MutableSequence[float]) -> int:
    """Split a text into segments and count its lines; returns the number of segments."""
    # Taken out of the tuples once: in compiled code each access counts references.
    codes, starts, ids, kinds, gaps = units.codes, units.starts, units.ids, units.kinds, units.gaps
    firsts, lasts, all_words = segments.firsts, segments.lasts, segments.words
    evens, odds = segments.evens, segments.odds
    low = units.offsets[d]
    high = units.offsets[d + 1]
    size = 16
    while size < 2 * (high - low):
        size *= 2
    lookup.state[0] += 1
    count = 0
    first = line = low
    words = numbers = even = odd = 0
    line_code = line_words = lines = copies = 0
    for u in range(low, high):
        kind = kinds[u]
        if kind == WORD:
            if words < MAX_WORDS:
                # 124 bits in two words; the last of each serves three ids in 128.
                # No branch: whether an id is odd follows no pattern.
                place = min((ids[u] >> 1) & 63, 61)
                rest = ids[u] & 1
                odd |= rest << place
                even |= (rest ^ 1) << place
            words += 1
        elif kind == NUMBER:
            numbers += 1
        if kind != PUNCTUATION:
            line_words += 1
        line_code = (line_code * 1000003 + ids[u]) & 0xFFFFFFFFFF
        gap = gaps[u + 1] if u + 1 < high else NEW_LINE
        stop = gap == NEW_LINE or (kind == PUNCTUATION and ends_sentence(codes[starts[u]], gap))
        if stop and words > 0:
            firsts[count] = first
            lasts[count] = u + 1
            all_words[count] = words if numbers <= words else 0
            evens[count] = even
            odds[count] = odd
            count += 1
            first = u + 1
            words = numbers = even = odd = 0
        if gap == NEW_LINE:
            if line_words > 0:
                lines += 1
                copies += is_earlier_line(units, lookup, low, line, u + 1, line_code, size - 1)
            line = u + 1
            line_code = line_words = 0
    if lines > 0:
        shares[SHARES * d + 1] = copies / lines
    shares[SHARES * d + 2] = lines
    return count


def spare_words(mine: int, theirs: int, lag: int) -> int:
    """How many of ``theirs`` words may be missing from ``mine``; -1 where the two cannot be alike.

    Less than half alike counts as nothing. Two single segments must be alike as they are; within a record (lag 2 or
    more) one line may make up for another.
    """
    less = min(mine, theirs)
    if less == 0 or 4 * less < mine + theirs:
        return -1
    return theirs - ((3 * (mine + theirs) + 9) // 10 if lag == 1 else (mine + theirs + 3) // 4)


def set_masks(first: int, mine: int, ids: Ints, kinds: Ints, masks: Ints) -> int:
    """Set a bit for the place of each of the first ``mine`` words from unit ``first`` on; returns all bits."""
    bit = 1
    u = first
    while bit >> mine == 0:
        if kinds[u] == WORD:
            masks[ids[u]] |= bit
            bit <<= 1
        u += 1
    return bit - 1


def clear_masks(first: int, mine: int, ids: Ints, kinds: Ints, masks: Ints) -> None:
    """Undo :func:`set_masks`."""
    done = 0
    u = first
    while done < mine:
        if kinds[u] == WORD:
            masks[ids[u]] = 0
            done += 1
        u += 1


def common_words(first: int, theirs: int, spare: int, full: int, ids: Ints, kinds: Ints, masks: Ints) -> int:
    """Length of the LCS of the words in ``masks`` and ``theirs`` from unit ``first`` on; 0 where too many are missing."""
    vector = full
    done = 0
    u = first
    while done < theirs:
        if kinds[u] == WORD:
            hit = masks[ids[u]]
            if hit == 0:
                spare -= 1
                if spare < 0:
                    return 0
            hit &= vector
            vector = ((vector + hit) | (vector - hit)) & full
            done += 1
        u += 1
    return count_bits(full & ~vector)


def compare_segments(count: int, units: Units, segments: Segments) -> None:
    """Fill ``segments.alike``: the words that each segment has in common with those 1 to ``LAGS`` before it."""
    ids, kinds = units.ids, units.kinds
    firsts, words, alike = segments.firsts, segments.words, segments.alike
    evens, odds, masks = segments.evens, segments.odds, segments.masks
    for s in range(count):
        mine = min(words[s], MAX_WORDS)
        full = 0
        for lag in range(1, LAGS + 1):
            t = s + lag
            if t >= count:
                break
            theirs = min(words[t], MAX_WORDS)
            alike[LAGS * t + lag - 1] = 0
            spare = spare_words(mine, theirs, lag)
            if spare < 0 or count_bits(evens[t] & ~evens[s]) + count_bits(odds[t] & ~odds[s]) > spare:
                continue
            if full == 0:
                # Only made for the few segments that come this far.
                full = set_masks(firsts[s], mine, ids, kinds, masks)
            common = common_words(firsts[t], theirs, spare, full, ids, kinds, masks)
            if 4 * common >= mine + theirs:
                alike[LAGS * t + lag - 1] = common
        if full > 0:
            clear_masks(firsts[s], mine, ids, kinds, masks)


def digits_value(codes: Ints, start: int, end: int) -> int:
    """The value of the first 15 of the digits from ``start`` to ``end``."""
    value = 0
    for i in range(start, min(end, start + 15)):
        value = 10 * value + (codes[i] & 15)
    return value


def count_places(units: Units, segments: Segments, begin: int, copy: int, stop: int, lag: int) -> int:
    """In how many places a copy says something else than the one before it; 0 where no word of them is new in the run.

    Args:
        units, segments: as in :func:`find_templates`; ``segments.seen`` is read and written.
        begin: first segment of the run.
        copy, stop: first segment and end of the copy.
        lag: segments of a copy.
    """
    codes, starts, ends, gaps = units.codes, units.starts, units.ends, units.gaps
    kinds, ids, seen = units.kinds, units.ids, segments.seen
    firsts, lasts = segments.firsts, segments.lasts
    places = 0
    fresh = False
    for m in range(copy, stop):
        inside = False
        counted = False
        # The first word of a later line is often one of the line before, with a capital.
        skip = m > copy
        other = firsts[m - lag] if m - lag >= begin else 0
        other_end = lasts[m - lag] if m - lag >= begin else 0
        for u in range(firsts[m], lasts[m]):
            if kinds[u] == PUNCTUATION:
                # A hyphen within a word joins a place.
                inside = inside and codes[starts[u]] == 45 and gaps[u] == JOINED
                continue
            # Said twice in a copy it is one place.
            held = seen[ids[u]]
            seen[ids[u]] = m - begin + 1
            differs = held + lag <= m - begin
            if kinds[u] == NUMBER:
                while other < other_end and kinds[other] != NUMBER:
                    other += 1
                if differs and other < other_end:
                    step = digits_value(codes, starts[u], ends[u])
                    step -= digits_value(codes, starts[other], ends[other])
                    # Numbers in words of another script count, as they do after each other.
                    wide = 0x3000 <= codes[starts[u]] < 0xFF00
                    # What counts is never said twice.
                    if not wide and (held > 0 or step > 1 or step < -1):
                        places += 1
                        fresh = fresh or held == 0
                other += 1
                inside = False
            else:
                if differs and not skip:
                    counted = counted and inside
                    inside = True
                    if held == 0 and not counted:
                        places += 1
                        counted = True
                        fresh = True
                else:
                    inside = False
                skip = False
    return places if fresh else 0


def are_alike(s: int, lag: int, words: Ints, alike: Ints) -> bool:
    """Whether the ``lag`` segments up to ``s`` are, together, alike to the ``lag`` segments before them."""
    common = 0
    total = 0
    for k in range(s - lag + 1, s + 1):
        common += alike[LAGS * k + lag - 1]
        total += min(words[k], MAX_WORDS) + min(words[k - lag], MAX_WORDS)
    return total > 0 and 2 * common >= ALIKE * total


def mark_run(
    d: int,
    begin: int,
    end: int,
    lag: int,
    units: Units,
    segments: Segments,
    spans: Ints,
    shares: MutableSequence[float],
) -> None:
    """Take a run of alike segments for what it is: set their states, and keep its span if it is the longest.

    Args:
        d: number of the text.
        begin, end: first segment of the run, and its end.
        lag: segments of a period.
        units, segments, spans, shares: as in :func:`find_templates`.
    """
    states, copied = segments.states, segments.copied
    firsts, lasts = segments.firsts, segments.lasts
    if end - begin >= LIKELY_COPIES * lag:
        for k in range(begin, end):
            states[k] = max(states[k], LIKELY)
    if end - begin < COPIES * lag:
        return
    origin = -1
    final = begin
    repeated = 0
    for k in range(begin, end, lag):
        stop = min(k + lag, end)
        places = count_places(units, segments, begin, k, stop, lag)
        again = k > begin and places < MIN_PLACES
        if again:
            if origin < 0:
                # The copy that they are copies of.
                origin = k - lag
                repeated += lag
                for m in range(origin, k):
                    copied[m] = 1
            repeated += stop - k
            final = stop
        for m in range(k, stop):
            copied[m] = again
    ids, seen = units.ids, segments.seen
    for u in range(firsts[begin], lasts[end - 1]):
        seen[ids[u]] = 0
    if repeated < COPIES * lag:
        return
    for k in range(origin, final):
        if copied[k]:
            states[k] = LOOPED
    shares[SHARES * d + 4] = max(shares[SHARES * d + 4], repeated / lag)
    at = SPANS * d
    if lasts[final - 1] - firsts[origin] > spans[at + 1] - spans[at]:
        spans[at] = firsts[origin]
        spans[at + 1] = lasts[final - 1]
        spans[at + 2] = lasts[origin + lag - 1]
        spans[at + 3] = lag
        spans[at + 4] = repeated


def mark_loops(
    d: int, count: int, units: Units, segments: Segments, spans: Ints, shares: MutableSequence[float]
) -> None:
    """Find the runs of alike segments at every lag, and mark them."""
    words, alike, states = segments.words, segments.alike, segments.states
    for s in range(count):
        states[s] = 0
    for lag in range(1, LAGS + 1):
        begin = -1
        for s in range(2 * lag - 1, count + 1):
            if s < count and are_alike(s, lag, words, alike):
                if begin < 0:
                    begin = s - 2 * lag + 1
            elif begin >= 0:
                mark_run(d, begin, s, lag, units, segments, spans, shares)
                begin = -1


def sum_up(d: int, count: int, units: Units, segments: Segments, shares: MutableSequence[float]) -> None:
    """The shares of the units that stand in templated loops, and in likely ones."""
    firsts, lasts, states = segments.firsts, segments.lasts, segments.states
    covered = 0
    likely = 0
    for s in range(count):
        size = lasts[s] - firsts[s]
        if states[s] >= LIKELY:
            likely += size
        if states[s] == LOOPED:
            covered += size
    n = units.offsets[d + 1] - units.offsets[d]
    shares[SHARES * d] = covered / n
    shares[SHARES * d + 3] = likely / n


def find_templates(
    docs: int, units: Units, segments: Segments, lookup: Lookup, spans: Ints, shares: MutableSequence[float]
) -> None:
    """Templated loops and duplicate lines of a batch.

    Args:
        docs: number of texts.
        units: the batch (:func:`harness.metrics.units.split_units`).
        segments: scratch; ``masks`` and ``seen`` all zero, and left all zero.
        lookup: scratch; its hash table finds duplicate lines.
        spans: out, ``SPANS`` a text: first unit and end of the longest templated loop, end of its first period, segments
            of a period, segments of copies that do not inform.
        shares: out, ``SHARES`` a text: share of the units in templated loops, share of duplicate lines, lines, share of
            the units in templates of ``LIKELY_COPIES`` periods or more, maximum of copies of any templated loop.
    """
    for d in range(docs):
        for k in range(SPANS):
            spans[SPANS * d + k] = 0
        for k in range(SHARES):
            shares[SHARES * d + k] = 0.0
        if units.offsets[d + 1] == units.offsets[d]:
            continue
        count = split_segments(d, units, segments, lookup, shares)
        if count < LIKELY_COPIES:
            continue
        compare_segments(count, units, segments)
        mark_loops(d, count, units, segments, spans, shares)
        sum_up(d, count, units, segments, shares)


HELPERS = (
    count_bits, ends_sentence, is_earlier_line, split_segments, spare_words, set_masks, clear_masks, common_words,
    compare_segments, digits_value, count_places, are_alike, mark_run, mark_loops, sum_up,
)  # fmt: skip
"""What :func:`find_templates` calls, for the compiler."""
