"""Templated loops: lines or sentences that repeat each other but for a word.

"He is haunted by grief. He is haunted by guilt." holds no repeated 8-gram and no tandem run. Two segments are alike
when their longest common subsequence of words covers at least ``ALIKE`` of them (indel similarity, 2 * LCS / (a + b);
numbers and punctuation do not count, so the rows of a table are not alike by their bars). Segments of which every
``lag`` in a row are, together, alike to the ``lag`` before them are a templated loop from ``COPIES`` periods on; lags
1..4 cover couplets and records of several lines.

A copy that says something else than the one before in two places or more tells how two things are related ("Mars is the
fourth planet", "The capital of Peru is Lima", a row of a table): it informs, and is no copy. Such a place is one or
several words in a row of which one was never said before in this run, or a number that does not count on or down by
one. What has one such place only ("He is haunted by grief") or goes through the same values again does not inform: a
list of facts is no loop, however long, until it begins to repeat itself.

The LCS is bit-parallel (Hyyro 2004, "Bit-parallel LCS-length
computation revisited"): linear in the words, since a segment is compared by its first 62 words.

Duplicate lines: share of lines, among those with a word or a number, that say the same as an earlier line.
Plain Python on integer arrays, see harness/metrics/units.py.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from harness.metrics.units import JOINED, NEW_LINE, NUMBER, PUNCTUATION, WORD, Ints

__all__ = ["ALIKE", "COPIES", "SHARES", "count_bits", "count_places", "find_templates"]

ALIKE = 0.6
COPIES = 5
PLACES = 2
"""In how many places a copy must say something else, to inform."""
FEW_COPIES = 3
"""Periods that make a standard answer templated: what it does three times, an answer may do more often."""
LAGS = 4
SHARES = 5
"""Figures a text."""
WORDS = 32
"""Of a longer segment the first so many words: one machine word of bits."""


def count_bits(bits: int) -> int:
    """How many bits are set, of 62; without a multiplication, which would overflow in compiled arithmetic."""
    bits -= (bits >> 1) & 0x5555555555555555
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F
    bits += bits >> 8
    bits += bits >> 16
    return (bits + (bits >> 32)) & 0x7F


def count_places(
    codes: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    gaps: Sequence[int],
    kinds: Sequence[int],
    ids: Sequence[int],
    firsts: Sequence[int],
    lasts: Sequence[int],
    begin: int,
    copy: int,
    stop: int,
    lag: int,
    said: Ints,
) -> int:
    """In how many places a copy says something else than the one before it; 0 where no word of them is new in the run.

    Args:
        begin, copy, stop: first segment of the run and of the copy, end of the copy. lag: segments a copy.
        said: in and out, per id: one more than the last segment of the run that holds it; 0 for none.
    """
    places = 0
    fresh = False
    for m in range(copy, stop):
        inside = False
        told = False
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
            held = said[ids[u]]
            said[ids[u]] = m - begin + 1
            differs = held + lag <= m - begin
            if kinds[u] == NUMBER:
                while other < other_end and kinds[other] != NUMBER:
                    other += 1
                if differs and other < other_end:
                    value = 0
                    was = 0
                    for i in range(starts[u], min(ends[u], starts[u] + 15)):
                        value = 10 * value + (codes[i] & 15)
                    for i in range(starts[other], min(ends[other], starts[other] + 15)):
                        was = 10 * was + (codes[i] & 15)
                    # Numbers in words of another script count, as they do after each other.
                    wide = 0x3000 <= codes[starts[u]] < 0xFF00
                    # What counts is never said twice.
                    if not wide and (held > 0 or value > was + 1 or value < was - 1):
                        places += 1
                        fresh = fresh or held == 0
                other += 1
                inside = False
            else:
                if differs and not skip:
                    told = told and inside
                    inside = True
                    if held == 0 and not told:
                        places += 1
                        told = True
                        fresh = True
                else:
                    inside = False
                skip = False
    return places if fresh else 0


def find_templates(
    docs: int,
    codes: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    gaps: Sequence[int],
    kinds: Sequence[int],
    ids: Sequence[int],
    offsets: Sequence[int],
    firsts: Ints,
    lasts: Ints,
    words: Ints,
    looped: Ints,
    alike: Ints,
    masks: Ints,
    evens: Ints,
    odds: Ints,
    slots: Ints,
    state: Ints,
    spans: Ints,
    shares: MutableSequence[float],
) -> None:
    """Templated loops and duplicate lines of a batch.

    Arrays:
        codes: code points; starts, ends, gaps, kinds, ids, offsets: from :func:`harness.metrics.units.split_units`.
        firsts, lasts, words, looped: scratch, one a unit: units of a segment, how many of them are words, whether it
            belongs to a templated loop.
        alike: scratch, ``LAGS`` a unit: words in common with the segment so many before.
        masks: scratch, one a unit and one more, all zero; left all zero.
        evens, odds: scratch, one a unit: which words a segment may hold, as sets of bits by their ids.
        slots, state: as in :func:`harness.metrics.units.split_units`.
        spans: out, 5 a text: first unit and end of the longest templated loop, end of its first period, lag, segments
            of copies that do not inform.
        shares: out, ``SHARES`` a text: share of the units in templated loops, share of duplicate lines, lines, share of
            the units in templates of ``FEW_COPIES`` periods or more, most copies of any templated loop.
    """
    for d in range(docs):
        low = offsets[d]
        high = offsets[d + 1]
        n = high - low
        for k in range(5):
            spans[5 * d + k] = 0
        for k in range(SHARES):
            shares[SHARES * d + k] = 0.0
        if n == 0:
            continue
        size = 16
        while size < 2 * n:
            size *= 2
        mask = size - 1
        state[0] += 1
        stamp = state[0]
        segments = 0
        first = low
        seen = 0
        counted = 0
        even = 0
        odd = 0
        line = low
        line_code = 0
        line_words = 0
        lines = 0
        copies = 0
        for u in range(low, high):
            if kinds[u] == WORD:
                if seen < WORDS:
                    # 124 bits in two words; the last of each serves three ids in 128.
                    # No branch: whether an id is odd follows no pattern.
                    place = min((ids[u] >> 1) & 63, 61)
                    rest = ids[u] & 1
                    odd |= rest << place
                    even |= (rest ^ 1) << place
                seen += 1
            elif kinds[u] == NUMBER:
                counted += 1
            if kinds[u] != PUNCTUATION:
                line_words += 1
            line_code = (line_code * 1000003 + ids[u]) & 0xFFFFFFFFFF
            gap = gaps[u + 1] if u + 1 < high else NEW_LINE
            newline = gap == NEW_LINE
            stop = newline
            if kinds[u] == PUNCTUATION:
                c = codes[starts[u]]
                # Ends of sentences: . ! ? before a gap; the full-width ones, the danda and the Arabic ones anywhere.
                if c == 46 or c == 33 or c == 63:
                    stop = gap != JOINED
                elif (
                    c == 0x3002
                    or c == 0xFF01
                    or c == 0xFF1F
                    or c == 0xFF1B
                    or c == 0x0964
                    or c == 0x061F
                    or c == 0x06D4
                ):
                    stop = True
            if stop and seen > 0:
                firsts[segments] = first
                lasts[segments] = u + 1
                # With more numbers than words the numbers are what it says: a sum, a row of results.
                words[segments] = seen if counted <= seen else 0
                segments += 1
                evens[segments - 1] = even
                odds[segments - 1] = odd
                first = u + 1
                seen = 0
                counted = 0
                even = 0
                odd = 0
            if newline:
                if line_words > 0:
                    lines += 1
                    length = u + 1 - line
                    slot = (line_code ^ (line_code >> 17)) & mask
                    while True:
                        held = slots[slot]
                        if held >> 32 != stamp:
                            slots[slot] = (stamp << 32) | (line - low)
                            break
                        other = low + (held & 0xFFFFFFFF)
                        k = 0
                        while k < length and ids[other + k] == ids[line + k]:
                            k += 1
                        # Equal so far; the same line only when the other one ends here too.
                        if k == length:
                            if gaps[other + length] == NEW_LINE:
                                copies += 1
                                break
                        slot = (slot + 1) & mask
                line = u + 1
                line_code = 0
                line_words = 0
        if lines > 0:
            shares[SHARES * d + 1] = copies / lines
        shares[SHARES * d + 2] = lines
        if segments < FEW_COPIES:
            continue
        for s in range(segments):
            mine = words[s]
            if mine > WORDS:
                mine = WORDS
            full = 0
            for lag in range(1, LAGS + 1):
                t = s + lag
                if t >= segments:
                    break
                theirs = words[t]
                if theirs > WORDS:
                    theirs = WORDS
                less = mine
                if theirs < less:
                    less = theirs
                alike[LAGS * t + lag - 1] = 0
                # Less than half alike counts as nothing; ``spare`` words of theirs may be missing from mine. Two single
                # segments must be alike as they are; within a record one line may make up for another.
                if less == 0 or 4 * less < mine + theirs:
                    continue
                spare = theirs - ((3 * (mine + theirs) + 9) // 10 if lag == 1 else (mine + theirs + 3) // 4)
                if count_bits(evens[t] & ~evens[s]) + count_bits(odds[t] & ~odds[s]) > spare:
                    continue
                if full == 0:
                    # Which of my words a word is, as a bit each; only made for the few that come this far.
                    bit = 1
                    u = firsts[s]
                    while bit >> mine == 0:
                        if kinds[u] == WORD:
                            masks[ids[u]] |= bit
                            bit <<= 1
                        u += 1
                    full = bit - 1
                vector = full
                done = 0
                u = firsts[t]
                while done < theirs:
                    if kinds[u] == WORD:
                        hit = masks[ids[u]]
                        if hit == 0:
                            spare -= 1
                            if spare < 0:
                                break
                        hit &= vector
                        vector = ((vector + hit) | (vector - hit)) & full
                        done += 1
                    u += 1
                if spare < 0:
                    continue
                common = mine - count_bits(vector)
                if 4 * common >= mine + theirs:
                    alike[LAGS * t + lag - 1] = common
            done = mine if full == 0 else 0
            u = firsts[s]
            while done < mine:
                if kinds[u] == WORD:
                    masks[ids[u]] = 0
                    done += 1
                u += 1
        for s in range(segments):
            looped[s] = 0
        longest = 0
        for lag in range(1, LAGS + 1):
            s = 2 * lag - 1
            begin = -1
            while s <= segments:
                same = False
                if s < segments:
                    # The last ``lag`` segments against the ``lag`` before them, together.
                    common = 0
                    total = 0
                    for k in range(s - lag + 1, s + 1):
                        common += alike[LAGS * k + lag - 1]
                        total += min(words[k], WORDS) + min(words[k - lag], WORDS)
                    same = total > 0 and 2 * common >= ALIKE * total
                if same and begin < 0:
                    begin = s - 2 * lag + 1
                if not same and begin >= 0:
                    if s - begin >= FEW_COPIES * lag:
                        for k in range(begin, s):
                            if looped[k] == 0:
                                looped[k] = 1
                    if s - begin >= COPIES * lag:
                        origin = -1
                        final = begin
                        repeated = 0
                        for k in range(begin, s, lag):
                            stop_at = min(k + lag, s)
                            places = count_places(
                                codes, starts, ends, gaps, kinds, ids, firsts, lasts, begin, k, stop_at, lag, masks
                            )
                            again = k > begin and places < PLACES
                            if again:
                                if origin < 0:
                                    # The copy that they are copies of.
                                    origin = k - lag
                                    repeated += lag
                                    for m in range(origin, k):
                                        evens[m] = 1
                                repeated += stop_at - k
                                final = stop_at
                            for m in range(k, stop_at):
                                evens[m] = again
                        for u in range(firsts[begin], lasts[s - 1]):
                            masks[ids[u]] = 0
                        if repeated >= COPIES * lag:
                            for k in range(origin, final):
                                if evens[k]:
                                    looped[k] = 2
                            if repeated / lag > shares[SHARES * d + 4]:
                                shares[SHARES * d + 4] = repeated / lag
                            length = lasts[final - 1] - firsts[origin]
                            if length > longest:
                                longest = length
                                spans[5 * d] = firsts[origin]
                                spans[5 * d + 1] = lasts[final - 1]
                                spans[5 * d + 2] = lasts[origin + lag - 1]
                                spans[5 * d + 3] = lag
                                spans[5 * d + 4] = repeated
                    begin = -1
                s += 1
        covered = 0
        likely = 0
        for s in range(segments):
            if looped[s] > 0:
                likely += lasts[s] - firsts[s]
            if looped[s] == 2:
                covered += lasts[s] - firsts[s]
        shares[SHARES * d] = covered / n
        shares[SHARES * d + 3] = likely / n
