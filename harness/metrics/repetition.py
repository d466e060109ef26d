"""The repetition scores of a text: n-gram repeats, tandem runs, periodic tail, templates, duplicate lines.

    rep1 .. rep8       1 - distinct n-grams / n-grams, on mixed units (Welleck et al. 2020, there on tokens)
    rep8d              the same with every run of digits replaced by one sign: "1. X 2. X 3. X"
    loop_*             the longest tandem run of three copies or more, on units: coverage, copies, period, units
    numbered_*         the same with digits replaced by one sign; 0 where the text has no digits
    numbered_worded    whether that run counts; 0 where it is data
    char_loop_*        the same on characters, spaces included; period and length in characters
    char_loop_drawn    whether a copy holds neither letter nor digit: a drawn line, or white space
    tail_*             the longest of these runs that reaches the end of the text: the answer did not terminate
    templated          share of the units in lines or sentences that repeat except for a word, five periods or more
    templated_likely   the same from three periods on, as a standard answer's excuse
    duplicate_lines    share of the lines that are equal to an earlier line
    distinct1 .. 4     distinct n-grams / n-grams (Li et al. 2016), for comparison with published figures

Counts: ``units``, ``words``, ``characters``, ``lines``. A coverage is a share of the units. A tail may end in one cut
unit, and two copies of a paragraph with the beginning of a third are a tail too.

An excess is a value minus the same value of the case's standard answer, since no absolute limit separates a loop from
a table, a song or code. The standard answer excuses an answer up to ``EXCUSED_LENGTHS`` times its own length. Beyond
that, its share of repetition shrinks in proportion: a loop goes on, a table ends. Without a standard answer, the values
``USUAL`` stand in for it, so that one rule serves both. Where a text has more numbers than words, or two numbers in a
copy that do not count up, what repeats with digits replaced is data (years, results), and excused.

Invariant: every value is finite; shares are 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.metrics import kernels, templates
from harness.metrics.invisible import Visible, visible
from harness.metrics.ngrams import SHARES
from harness.metrics.tandem import KEEP
from harness.metrics.types import Loop, LoopKind, Scores
from harness.metrics.units import NUMBER, WORD

__all__ = ["EXCESSES", "EXCUSED_LENGTHS", "NOTHING", "USUAL", "excesses", "measure", "repetition"]

EXCUSED_LENGTHS = 4.0
"""How many times its own length a standard answer excuses its share of repetition."""

USUAL: Mapping[str, float] = {
    "rep8": 0.20,
    "rep8d": 0.30,
    "loop_coverage": 0.05,
    "numbered_coverage": 0.05,
    "char_loop_coverage": 0.05,
    "tail_coverage": 0.0,
    "templated": 0.15,
}
"""What stands in for a missing standard answer: values that tables, code and verse reach in ordinary answers."""

EXCESSES: Mapping[str, str] = {
    "rep8": "rep8_excess",
    "rep8d": "rep8d_excess",
    "loop_coverage": "loop_excess",
    "numbered_coverage": "numbered_excess",
    "char_loop_coverage": "char_loop_excess",
    "tail_coverage": "tail_excess",
    "templated": "templated_excess",
}
"""Value -> name of its excess over the standard answer."""

_EXCESSES = tuple((name, excess, f"{name}_reference") for name, excess in EXCESSES.items())
MAX_LOOPS = 8
DATA_NUMBERS = 2
"""Numbers in a copy that do not count up, from which on the copy is data."""


def measure(texts: Sequence[str]) -> Iterator[Scores]:
    """Repetition scores of each text, in order, without any reference."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > kernels.BATCH:
            yield from _scores(batch)
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield from _scores(batch)


def repetition(text: str, reference: str | None = None) -> Scores:
    """Repetition scores of a text, its excesses over ``reference``, and ``repetition``, the largest of them, 0..1."""
    if reference is None:
        (own,) = measure([text])
        return Scores({**own.values, **excesses(own.values, None)}, own.loops)
    own, other = measure([text, reference])
    return Scores({**own.values, **excesses(own.values, other.values)}, own.loops)


def excesses(values: Mapping[str, float], reference: Mapping[str, float] | None) -> dict[str, float]:
    """Each value's reference, its excess over it, and ``repetition``: the largest excess, clamped to 0..1.

    Clamped, so that an answer that repeats less than its standard answer does not hide a loop elsewhere in a mean.
    """
    if reference is None:
        licence, against, length = 1.0, USUAL, 0.0
    else:
        own, other = values["units"], reference["units"]
        licence = min(1.0, EXCUSED_LENGTHS * other / own) if own else 1.0
        against, length = reference, (own / other if other else 0.0)
    row = not values["numbered_worded"]
    mostly = 2.0 * values["numbers"] > values["words"] or (row and values["numbered_coverage"] > 0.5)
    data = {"numbered_coverage": row, "rep8d": mostly}
    scores: dict[str, float] = {
        "has_reference": float(reference is not None),
        "length_ratio": length,
        "reference_units": reference["units"] if reference else 0.0,
    }
    most = 0.0
    for name, excess, shown in _EXCESSES:
        theirs = against[name if name != "templated" or reference is None else "templated_likely"]
        scores[shown] = theirs
        over = values[name] - licence * theirs
        if over > 0.0 and data.get(name):
            over = 0.0
        scores[excess] = over
        if over > most and excess != "tail_excess":
            most = over
    scores["repetition"] = min(1.0, most)
    return scores


def _scores(texts: Sequence[str]) -> list[Scores]:
    seen = [visible(text) for text in texts]
    shown = [text if part is None else part.text for text, part in zip(texts, seen, strict=True)]
    # A list, not a generator: the arrays in ``counts`` are used again by the next batch.
    counts = kernels.count(shown)
    scores = [_one(counts, d, text) for d, text in enumerate(shown)]
    return [score if part is None else _in_whole_text(score, part) for score, part in zip(scores, seen, strict=True)]


def _in_whole_text(scores: Scores, seen: Visible) -> Scores:
    """The scores of the visible text with the places of its loops in the whole one."""
    loops = []
    for loop in scores.loops:
        start, end = seen.offset(loop.start), seen.offset(loop.end - 1) + 1
        loops.append(replace(loop, start=start, end=end, period=seen.offset(loop.start + loop.period) - start))
    return Scores(scores.values, tuple(loops))


def _one(counts: kernels.Counts, d: int, text: str) -> Scores:
    low, high = counts.offsets[d], counts.offsets[d + 1]
    begin, stop = counts.bounds[d], counts.bounds[d + 1]
    n, characters = high - low, stop - begin
    rep = counts.shares[SHARES * d : SHARES * (d + 1)]
    at = templates.SHARES * d
    templated, duplicates, lines, likely, copies = counts.template_shares[at : at + templates.SHARES]
    span = counts.spans[5 * d : 5 * d + 5]
    values = NOTHING.copy()
    values["rep1"] = rep[0]
    values["rep2"] = rep[1]
    values["rep3"] = rep[2]
    values["rep4"] = rep[3]
    values["rep5"] = rep[4]
    values["rep6"] = rep[5]
    values["rep7"] = rep[6]
    values["rep8"] = rep[7]
    values["rep8d"] = rep[8]
    values["templated_likely"] = likely
    values["duplicate_lines"] = duplicates
    values["lines"] = lines
    values["units"] = float(n)
    values["words"] = float(counts.contents[d])
    values["numbers"] = float(counts.numbers[d])
    values["characters"] = float(characters)
    if n:
        values["distinct1"] = 1.0 - rep[0]
        values["distinct2"] = 1.0 - rep[1]
        values["distinct3"] = 1.0 - rep[2]
        values["distinct4"] = 1.0 - rep[3]
    first, second, third = counts.found
    if not (first[d] or second[d] or third[d] or span[1] > span[0] or counts.tails[2 * d + 1]):
        return Scores(values)
    longest, solid, tail, tail_share, tail_units, loops = _runs(counts, d, text, span)
    for (name, length), (start, end, period), size in zip(_LENGTHS, longest, (n, n, characters), strict=True):
        if end:
            values[f"{name}_coverage"] = (end - start) / size
            values[f"{name}_copies"] = (end - start) / period
            values[f"{name}_period"] = float(period)
            values[length] = float(end - start)
    values["numbered_worded"] = float(solid[1])
    values["char_loop_drawn"] = float(not solid[2])
    if tail[1]:
        values["tail_coverage"] = tail_share
        values["tail_copies"] = (tail[1] - tail[0]) / tail[2]
        values["tail_period"] = float(tail[2])
        values["tail_units"] = tail_units
    if span[3]:
        values["templated"] = templated
        values["templated_copies"] = copies
        values["templated_units"] = templated * n
    return Scores(values, loops)


_LENGTHS = (("loop", "loop_units"), ("numbered", "numbered_units"), ("char_loop", "char_loop_length"))
NOTHING = {
    **dict.fromkeys([f"rep{k}" for k in range(1, 9)], 0.0),
    "rep8d": 0.0,
    **{f"loop_{name}": 0.0 for name in ("coverage", "copies", "period", "units")},
    **{f"numbered_{name}": 0.0 for name in ("coverage", "copies", "period", "units")},
    "numbered_worded": 1.0,
    **{f"char_loop_{name}": 0.0 for name in ("coverage", "copies", "period", "length", "drawn")},
    **{f"tail_{name}": 0.0 for name in ("coverage", "copies", "period", "units")},
    **dict.fromkeys(("templated", "templated_likely", "templated_copies", "templated_units"), 0.0),
    **dict.fromkeys(("duplicate_lines", "lines", "units", "words", "numbers", "characters"), 0.0),
    **{f"distinct{k}": 0.0 for k in range(1, 5)},
}
"""All values in the order to show, of a text without anything; copied, since that is faster than making one anew."""
_Run = tuple[int, int, int]
_Found = tuple[Sequence[_Run], Sequence[bool], _Run, float, float, tuple[Loop, ...]]
_NO_RUN: _Run = (0, 0, 1)


def _runs(counts: kernels.Counts, d: int, text: str, span: Sequence[int]) -> _Found:
    """Of each kind the longest run and whether it has substance; the run at the end, its share and units; the loops."""
    low, high = counts.offsets[d], counts.offsets[d + 1]
    begin, stop = counts.bounds[d], counts.bounds[d + 1]
    longest: list[_Run] = []
    tail = _NO_RUN
    tail_share = tail_units = 0.0
    solid = [True, True, True]
    candidates: list[tuple[float, int, int, int, float, LoopKind]] = []
    for kind, weight in _KINDS:
        which = _WHICH[kind]
        ends_at = stop if which == 2 else high
        size = stop - begin if which == 2 else high - low
        first = _NO_RUN
        base = 3 * KEEP * d
        runs = counts.runs[which]
        for k in range(base, base + 3 * counts.found[which][d], 3):
            start, end, period = runs[k], runs[k + 1], runs[k + 2]
            if k == base:
                first = (start, end, period)
            substance = True
            if which == 1:
                substance = _counts_on(counts, text, begin, runs[k : k + 3])
            elif which == 2:
                substance = any(map(str.isalnum, text[start - begin : start - begin + period]))
            if k == base:
                solid[which] = substance
            if substance and end >= ends_at - 1 and (end - start) / size > tail_share:
                tail, tail_share = (start, end, period), (end - start) / size
                # As elsewhere two characters of a run are worth a unit.
                tail_units = float(end - start) if which < 2 else max(tail_share * (high - low), (end - start) / 2)
            copies = (end - start) / period
            if which == 2:
                candidates.append((weight * (end - start), start - begin, end - begin, period, copies, kind))
            else:
                # A run takes in the full stop before its first sentence, since its last one ends with one too.
                onset = start
                while onset < start + period - 1 and text[counts.starts[onset] - begin] in _CLOSERS:
                    onset += 1
                a, b = counts.starts[onset] - begin, counts.ends[end - 1] - begin
                length = counts.starts[onset + period] - begin - a
                candidates.append((weight * (b - a), a, b, length, (end - onset) / period, kind))
        longest.append(first)
    start, period = counts.tails[2 * d : 2 * d + 2]
    if period and (high - start) / (high - low) > tail_share:
        tail, tail_share, tail_units = (start, high, period), (high - start) / (high - low), float(high - start)
        a, b = counts.starts[start] - begin, counts.ends[high - 1] - begin
        length = counts.starts[start + period] - begin - a
        candidates.append((0.9 * (b - a), a, b, length, (high - start) / period, "exact"))
    if span[1] > span[0]:
        a, b = int(counts.starts[span[0]]) - begin, int(counts.ends[span[1] - 1]) - begin
        length = int(counts.ends[span[2] - 1]) - begin - a
        candidates.append((0.8 * (b - a), a, b, length, span[4] / span[3], "templated"))
    return longest, solid, tail, tail_share, tail_units, _choose(candidates)


def _counts_on(counts: kernels.Counts, text: str, begin: int, run: Sequence[int]) -> bool:
    """Whether a run with digits taken for one sign is a loop that counts, not data.

    Data where numbers outweigh words, and where in most of its copies two numbers or more do not go on in even steps:
    results, not steps.
    """
    start, end, period = run
    kinds = list(counts.kinds[start : start + period])
    if kinds.count(WORD) < kinds.count(NUMBER):
        return False
    slots = [k for k, kind in enumerate(kinds) if kind == NUMBER]
    if len(slots) < DATA_NUMBERS:
        return True
    rows = []
    for first in range(start, end - period + 1, period):
        parts = [text[counts.starts[first + k] - begin : counts.ends[first + k] - begin] for k in slots]
        rows.append([int(number[:15]) if number.isdecimal() else 0 for number in parts])
    uneven = [sum(c - b != b - a for a, b, c in zip(*rows[k : k + 3], strict=True)) for k in range(len(rows) - 2)]
    return bool(2 * sum(places >= DATA_NUMBERS for places in uneven) <= len(uneven))


_CLOSERS = frozenset(".,;:!?)]}…。，、；：！？）】」』”’؟،؛۔।")

# An exact run that nearly fills a templated one names it better; what is found on units is named before characters.
_KINDS: tuple[tuple[LoopKind, float], ...] = (("exact", 1.0), ("numbered", 0.95), ("characters", 0.9))
_WHICH: Mapping[str, int] = {"exact": 0, "numbered": 1, "characters": 2}


def _choose(candidates: list[tuple[float, int, int, int, float, LoopKind]]) -> tuple[Loop, ...]:
    """The longest loops that do not overlap, the longest first."""
    chosen: list[Loop] = []
    for _, start, end, period, copies, kind in sorted(candidates, key=lambda c: (-c[0], c[1])):
        if all(end <= other.start or other.end <= start for other in chosen):
            chosen.append(Loop(start=start, end=end, period=period, copies=copies, kind=kind))
            if len(chosen) == MAX_LOOPS:
                break
    return tuple(sorted(chosen, key=lambda loop: loop.start - loop.end))
