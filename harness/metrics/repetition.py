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

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from harness.metrics import kernels, templates
from harness.metrics.forms import TIME_MARK, Form, Lines
from harness.metrics.inspection import ECHO_UNITS, INSPECTED, STALE, inspect_text, repeats
from harness.metrics.invisible import Visible, visible
from harness.metrics.ngrams import SHARES
from harness.metrics.tandem import KEEP, TAILS
from harness.metrics.types import Loop, LoopKind, Scores
from harness.metrics.units import NUMBER, PUNCTUATION, WORD
from harness.metrics.variety import BLOCK, FIELDS

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

EXCUSED = ("twice_coverage", "echo_copies", "passage_copies", "variety", "flood_characters", "stale", "restated")
"""Values of a standard answer that excuse the same in an answer (:mod:`harness.judging.verdict`)."""
_EXCESSES = tuple((name, excess, f"{name}_reference") for name, excess in EXCESSES.items())
MAX_LOOPS = 8
DATA_SHARE = 0.5
"""Share of lines of a form that repeats by itself, from which on a text of numbers is data: a matrix."""
MOST_ROWS = 64
"""Copies whose numbers are read."""
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
    data = {"numbered_coverage": row, "rep8d": mostly, "rep8": mostly and values["structured"] >= DATA_SHARE}
    scores: dict[str, float] = {
        "has_reference": float(reference is not None),
        "length_ratio": length,
        "reference_units": reference["units"] if reference else 0.0,
    }
    most = 0.0
    for name, excess, shown in _EXCESSES:
        theirs = against[name if name != "templated" or reference is None else "templated_likely"]
        scores[shown] = theirs
        # A standard answer that repeats nothing does not make an answer worse than having none would.
        over = values[name] - max(licence * theirs, USUAL[name])
        if over > 0.0 and data.get(name):
            over = 0.0
        scores[excess] = over
        if over > most and excess != "tail_excess":
            most = over
    if reference is not None:
        scores.update({f"{name}_reference": reference[name] for name in EXCUSED})
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
    if not counts.contents[d]:
        values["symbols"] = float(sum(unicodedata.category(c)[0] == "S" for c in text))
    values["stale"] = counts.stale[d]
    values["variety"] = float(min(counts.poorest[FIELDS * d], BLOCK))
    values["flood_characters"] = float(_flood(text))
    tails = counts.tails[TAILS * d : TAILS * (d + 1)]
    values["twice_coverage"] = min(1.0, tails[2] / n) if n else 0.0
    quiet = not (first[d] or second[d] or third[d] or span[1] > span[0] or tails[1])
    if quiet and not _repeats(values, n):
        return Scores(values)
    found = _runs(counts, d, text, span)
    for (name, length), run, size in zip(_LENGTHS, found.longest, (n, n, characters), strict=True):
        if run.end:
            values[f"{name}_coverage"] = (run.end - run.start) / size
            values[f"{name}_copies"] = (run.end - run.start) / run.period
            values[f"{name}_period"] = float(run.period)
            values[length] = float(run.end - run.start)
    values["numbered_worded"] = float(found.longest[1].counts)
    values["char_loop_drawn"] = float(not found.longest[2].counts)
    if (tail := found.tail).end:
        values["tail_coverage"] = found.tail_share
        values["tail_copies"] = (tail.end - tail.start) / tail.period
        values["tail_period"] = float(tail.period)
        values["tail_units"] = found.tail_units
        values["tail_broken"] = float(tail.broken)
        values["tail_numbered"] = float(found.tail_kind == "numbered")
    if span[3]:
        values["templated"] = templated
        values["templated_copies"] = copies
        values["templated_units"] = templated * n
    values["lasting_units"] = _lasting(counts, d, text, found.longest[0])
    spans = [_asked(run, size) for run, size in zip((*found.longest, found.tail), (1, 1, 2, 1), strict=True)]
    spans.append(_template_span(counts, d, span))
    spans.append(_variety_span(counts, d))
    values.update(inspect_text(text, values, spans))
    return Scores(values, found.loops)


def _asked(run: _Run, size: int) -> tuple[int, int] | None:
    """The characters of a run whose form matters: long enough to be a loop of prose, too short to be one of any form.

    Args:
        run: the run.
        size: places of a unit.
    """
    length = (run.end - run.start) / size
    matters = length >= LEAST_UNITS and not (length >= MOST_UNITS and run.end - run.start >= MOST_COPIES * run.period)
    return run.span if matters else None


LEAST_UNITS = 24.0
MOST_UNITS, MOST_COPIES = 1200.0, 60.0
"""Units, and copies, between which the form of a run matters (:mod:`harness.metrics.demands`)."""


def _lasting(counts: kernels.Counts, d: int, text: str, longest: _Run) -> float:
    """Units of the longest exact run; in a matrix or a stack trace of few rows a unit counts ``FAINT``.

    It never falls when a text goes on, since the early end of a search rests on it. A run that is no longer among the
    kept ones is not longer than the shortest of these.
    """
    if longest.end - longest.start < FORM_MATTERS:
        return float(longest.end - longest.start)
    most = 0.0
    lines = Lines(text)
    base = _KEEP * d
    for k in range(base, base + 3 * counts.found[0][d], 3):
        run = _unit_run(counts, d, text, counts.runs[0][k : k + 3], 0)
        faint = run.end - run.start < FAINT_COPIES * run.period and lines.form(*run.span) in (Form.TRACE, Form.DATA)
        weight = FAINT if faint else 1.0
        most = max(most, weight * (run.end - run.start))
        if k == base + 3 * (KEEP - 1):
            most = max(most, float(run.end - run.start))
    return most


FORM_MATTERS = 64
"""Units of the longest run from which on its form is asked for."""
FAINT = 0.25
FAINT_COPIES = 32
"""What a unit counts in a run of fewer copies in a matrix or a stack trace."""


def _template_span(counts: kernels.Counts, d: int, span: Sequence[int]) -> tuple[int, int] | None:
    begin = counts.bounds[d]
    matters = span[1] > span[0] and span[4] >= span[3] * TEMPLATE_COPIES
    return (counts.starts[span[0]] - begin, counts.ends[span[1] - 1] - begin) if matters else None


TEMPLATE_COPIES = 5
"""Copies from which on the form of templated lines matters."""


def _variety_span(counts: kernels.Counts, d: int) -> tuple[int, int] | None:
    begin = counts.bounds[d]
    fewest, first, end = counts.poorest[FIELDS * d : FIELDS * (d + 1)]
    return (counts.starts[first] - begin, counts.ends[end - 1] - begin) if fewest <= SUSPICIOUS_VARIETY else None


def _repeats(values: Mapping[str, float], n: int) -> bool:
    """Whether a text without a run is worth a closer look."""
    return (
        repeats(values)
        or values["rep8"] * n >= ECHO_UNITS
        or values["stale"] >= STALE
        or values["variety"] <= SUSPICIOUS_VARIETY
    )


def _flood(text: str) -> int:
    """Characters of the same kind at the end: white space, or one mark that is neither letter nor digit."""
    bare = text.rstrip()
    blank = len(text) - len(bare)
    if blank >= len(text) or blank >= MIN_FLOOD or not bare or bare[-1].isalnum():
        return blank
    return len(bare) - len(bare.rstrip(bare[-1]))


SUSPICIOUS_VARIETY = 9.0
"""Different words of 64 up to which the form of the window matters."""
MIN_FLOOD = 64
"""Characters of white space that are a flood by themselves."""
_LENGTHS = (("loop", "loop_units"), ("numbered", "numbered_units"), ("char_loop", "char_loop_length"))
NOTHING = {
    **dict.fromkeys([f"rep{k}" for k in range(1, 9)], 0.0),
    "rep8d": 0.0,
    **{f"loop_{name}": 0.0 for name in ("coverage", "copies", "period", "units")},
    "lasting_units": 0.0,
    **{f"numbered_{name}": 0.0 for name in ("coverage", "copies", "period", "units")},
    "numbered_worded": 1.0,
    **{f"char_loop_{name}": 0.0 for name in ("coverage", "copies", "period", "length", "drawn")},
    **{f"tail_{name}": 0.0 for name in ("coverage", "copies", "period", "units", "broken", "numbered")},
    **dict.fromkeys(("templated", "templated_likely", "templated_copies", "templated_units"), 0.0),
    **dict.fromkeys(("duplicate_lines", "lines", "units", "words", "symbols", "numbers", "characters"), 0.0),
    **{f"distinct{k}": 0.0 for k in range(1, 5)},
    **dict.fromkeys(("twice_coverage", "flood_characters", "variety", "stale"), 0.0),
    **dict.fromkeys(INSPECTED, 0.0),
}
"""All values in the order to show, of a text without anything; copied, since that is faster than making one anew."""
_KEEP = 3 * KEEP


class _Run(NamedTuple):
    """A tandem run of one kind."""

    start: int
    end: int
    period: int
    """In units, or in characters for a run of characters."""
    span: tuple[int, int]
    """The same in characters of the text."""
    length: int
    """Characters of the first copy."""
    copies: float
    """Counted from the onset that is shown."""
    counts: bool
    """Whether it says something: numbers that count, not data; a letter or a digit, not a drawn line."""
    at_end: bool
    broken: bool
    """Whether the text ends within a copy."""


_NO_RUN = _Run(0, 0, 1, (0, 0), 0, 0.0, True, False, False)


def _unit_run(counts: kernels.Counts, d: int, text: str, run: Sequence[int], which: int) -> _Run:
    begin, high = counts.bounds[d], counts.offsets[d + 1]
    start, end, period = run
    # A run takes in the full stop before its first sentence, since its last one ends with one too.
    onset = start
    while onset < start + period - 1 and text[counts.starts[onset] - begin] in _CLOSERS:
        onset += 1
    a, b = counts.starts[onset] - begin, counts.ends[end - 1] - begin
    at_end = end >= high - 1
    return _Run(
        start,
        end,
        period,
        (a, b),
        counts.starts[onset + period] - begin - a,
        (end - onset) / period,
        _counts_on(counts, text, begin, run) if which else True,
        at_end,
        at_end and _breaks(counts, d, text, end, period),
    )


def _breaks(counts: kernels.Counts, d: int, text: str, end: int, period: int) -> bool:
    """Whether a text that ends with a run ends within a copy: where an earlier copy goes on in the same line."""
    begin, high = counts.bounds[d], counts.offsets[d + 1]
    if end < high:
        # One unit differs: a bracket that closes, or a word that was cut.
        return bool(counts.kinds[end] != PUNCTUATION)
    if text[counts.ends[end - 1] - 1 - begin] in _STOPS:
        return False
    between = text[counts.ends[end - 1 - period] - begin : counts.starts[end - period] - begin]
    return "\n" not in between


def _character_run(d: int, counts: kernels.Counts, text: str, run: Sequence[int]) -> _Run:
    begin, stop = counts.bounds[d], counts.bounds[d + 1]
    start, end, period = run[0] - begin, run[1] - begin, run[2]
    at_end = end >= stop - begin - 1
    copy = text[start : start + period]
    broken = at_end and not any(c in _STOPS or c == "\n" for c in copy)
    return _Run(
        run[0],
        run[1],
        period,
        (start, end),
        period,
        (end - start) / period,
        any(map(str.isalnum, copy)),
        at_end,
        broken,
    )


class _Found(NamedTuple):
    longest: list[_Run]
    """Of each kind."""
    tail: _Run
    tail_kind: LoopKind
    tail_share: float
    tail_units: float
    loops: tuple[Loop, ...]


def _runs(counts: kernels.Counts, d: int, text: str, span: Sequence[int]) -> _Found:
    """Of each kind the longest run; the run at the end, its share and units; the loops."""
    low, high = counts.offsets[d], counts.offsets[d + 1]
    begin, size = counts.bounds[d], counts.bounds[d + 1] - counts.bounds[d]
    longest: list[_Run] = []
    tail = _NO_RUN
    tail_share = tail_units = 0.0
    tail_kind: LoopKind = "exact"
    candidates: list[tuple[float, int, int, int, float, LoopKind]] = []
    for which, (kind, weight) in enumerate(_KINDS):
        runs = counts.runs[which]
        total = size if which == 2 else high - low
        first = _NO_RUN
        for k in range(_KEEP * d, _KEEP * d + 3 * counts.found[which][d], 3):
            if which == 2:
                run = _character_run(d, counts, text, runs[k : k + 3])
            else:
                run = _unit_run(counts, d, text, runs[k : k + 3], which)
            if first is _NO_RUN:
                first = run
            share = (run.end - run.start) / total
            if run.counts and run.at_end and share > tail_share:
                tail, tail_share, tail_kind = run, share, kind
                # As elsewhere two characters of a run are worth a unit.
                tail_units = (
                    float(run.end - run.start)
                    if which < 2
                    else max(tail_share * (high - low), (run.end - run.start) / 2)
                )
            a, b = run.span
            candidates.append((weight * (b - a), a, b, run.length, run.copies, kind))
        longest.append(first)
    start, period = counts.tails[TAILS * d : TAILS * d + 2]
    if period and (high - start) / (high - low) > tail_share:
        a, b = counts.starts[start] - begin, counts.ends[high - 1] - begin
        length = counts.starts[start + period] - begin - a
        copies = (high - start) / period
        tail = _Run(start, high, period, (a, b), length, copies, True, True, True)
        tail_share, tail_units, tail_kind = (high - start) / (high - low), float(high - start), "exact"
        candidates.append((0.9 * (b - a), a, b, length, copies, "exact"))
    if span[1] > span[0]:
        a, b = int(counts.starts[span[0]]) - begin, int(counts.ends[span[1] - 1]) - begin
        length = int(counts.ends[span[2] - 1]) - begin - a
        candidates.append((0.8 * (b - a), a, b, length, span[4] / span[3], "templated"))
    return _Found(longest, tail, tail_kind, tail_share, tail_units, _choose(candidates))


def _counts_on(counts: kernels.Counts, text: str, begin: int, run: Sequence[int]) -> bool:
    """Whether a run with digits taken for one sign is a loop that counts, not data.

    Data where numbers outweigh words, and where in most of its copies two numbers or more do not go on in even steps:
    results, not steps.
    """
    start, end, period = run
    kinds = list(counts.kinds[start : start + period])
    a, b = counts.starts[start] - begin, counts.ends[end - 1] - begin
    marks = [match.span() for match in TIME_MARK.finditer(text, a, b)]
    slots = [
        k for k, kind in enumerate(kinds) if kind == NUMBER and not _within(counts.starts[start + k] - begin, marks)
    ]
    rows = []
    for first in range(start, min(end, start + MOST_ROWS * period) - period + 1, period):
        parts = [text[counts.starts[first + k] - begin : counts.ends[first + k] - begin] for k in slots]
        rows.append([int(number[:15]) if number.isdecimal() else 0 for number in parts])
    copy_ends = counts.ends[min(end, start + period) - 1] - begin
    if _COUNTED_CALL.search(text, a, copy_ends) and any(_even(column) for column in zip(*rows, strict=True)):
        return True
    # A number that stays the same is a word.
    varying = sum(len(set(column)) > 1 for column in zip(*rows, strict=True))
    if kinds.count(WORD) < varying:
        return False
    if varying < DATA_NUMBERS:
        return True
    uneven = [sum(c - b != b - a for a, b, c in zip(*rows[k : k + 3], strict=True)) for k in range(len(rows) - 2)]
    return bool(2 * sum(places >= DATA_NUMBERS for places in uneven) <= len(uneven))


_COUNTED_CALL = re.compile(r"\b(?:print|assert|console|System|echo|expect|check|test)\w*[\s.(]")
"""A statement that prints or checks: what it counts through is no data."""


def _even(column: Sequence[int]) -> bool:
    """Whether numbers go on in even steps."""
    step = column[1] - column[0]
    return step != 0 and all(after - before == step for before, after in pairwise(column))


def _within(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    at = bisect_right(spans, (place, len(spans) and spans[-1][1])) - 1
    return at >= 0 and spans[at][0] <= place < spans[at][1]


_STOPS = frozenset(".!?。！？…؟।;}>*`")
_CLOSERS = frozenset(".,;:!?)]}…。，、；：！？）】」』”’؟،؛۔।")

# An exact run that nearly fills a templated one names it better; what is found on units is named before characters.
_KINDS: tuple[tuple[LoopKind, float], ...] = (("exact", 1.0), ("numbered", 0.95), ("characters", 0.9))


def _choose(candidates: list[tuple[float, int, int, int, float, LoopKind]]) -> tuple[Loop, ...]:
    """The longest loops that do not overlap, the longest first."""
    chosen: list[Loop] = []
    for _, start, end, period, copies, kind in sorted(candidates, key=lambda c: (-c[0], c[1])):
        if all(end <= other.start or other.end <= start for other in chosen):
            chosen.append(Loop(start=start, end=end, period=period, copies=copies, kind=kind))
            if len(chosen) == MAX_LOOPS:
                break
    return tuple(sorted(chosen, key=lambda loop: loop.start - loop.end))
