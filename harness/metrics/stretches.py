"""Which stretches of a text repeat: of all runs that the kernels found, those that are shown and judged.

A run has a kind (exact, numbered, characters), a place in the text, and a few facts that decide whether it counts: is a
run of numbers data or does it count up, does a run of characters hold a letter, does the text end with it, and within a
copy. Of each kind the longest run is judged; the run at the end is judged once more, since it never ended.

Loops that are shown do not overlap. Their period times their copies is their length.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.metrics import kernels
from harness.metrics.forms import TIME_MARK, Form, Lines
from harness.metrics.tandem import KEEP, TAILS
from harness.metrics.types import Loop, LoopKind
from harness.metrics.units import NUMBER, PUNCTUATION, WORD

__all__ = ["Found", "Run", "characters_of", "find_stretches", "lasting_units"]

MAX_LOOPS = 8
MOST_ROWS = 16
"""Copies whose numbers are read."""
DATA_NUMBERS = 2
"""Numbers in a copy that do not count up, from which on the copy is data."""
_KEEP = 3 * KEEP


class Run(NamedTuple):
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


NO_RUN = Run(0, 0, 1, (0, 0), 0, 0.0, True, False, False)


def _unit_run(counts: kernels.Counts, d: int, text: str, run: Sequence[int], which: int) -> Run:
    begin, high = counts.bounds[d], counts.offsets[d + 1]
    start, end, period = run
    # A run takes in the full stop before its first sentence, since its last one ends with one too.
    onset = start
    while onset < start + period - 1 and text[counts.starts[onset] - begin] in _CLOSERS:
        onset += 1
    a, b = counts.starts[onset] - begin, counts.ends[end - 1] - begin
    at_end = end >= high - 1
    return Run(
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
        # One unit differs: a bracket that closes, what stands on a line of its own, or a word that was cut.
        apart = "\n" in text[counts.ends[end - 1] - begin : counts.starts[end] - begin]
        return bool(counts.kinds[end] != PUNCTUATION) and not apart
    last = counts.ends[end - 1] - begin
    if text[last - 1] in _STOPS or _whole_rows(text[:last]):
        return False
    between = text[counts.ends[end - 1 - period] - begin : counts.starts[end - period] - begin]
    return "\n" not in between


def _whole_rows(text: str) -> bool:
    """Whether the last line is as long as the one before: a row of a board that is whole."""
    rows = text.rsplit("\n", 2)
    return len(rows) > 2 and len(rows[-1].strip()) == len(rows[-2].strip()) > 0


def _character_run(d: int, counts: kernels.Counts, text: str, run: Sequence[int]) -> Run:
    begin, stop = counts.bounds[d], counts.bounds[d + 1]
    start, end, period = run[0] - begin, run[1] - begin, run[2]
    at_end = end >= stop - begin - 1
    copy = text[start : start + period]
    broken = at_end and not any(c in _STOPS or c == "\n" for c in copy)
    return Run(
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


class Found(NamedTuple):
    """The stretches of one text."""

    longest: list[Run]
    """Of each kind."""
    tail: Run
    tail_kind: LoopKind
    tail_share: float
    tail_units: float
    loops: tuple[Loop, ...]


def find_stretches(counts: kernels.Counts, d: int, text: str, span: Sequence[int]) -> Found:
    """Of each kind the longest run; the run at the end, its share and units; the loops."""
    low, high = counts.offsets[d], counts.offsets[d + 1]
    begin, size = counts.bounds[d], counts.bounds[d + 1] - counts.bounds[d]
    longest: list[Run] = []
    tail = NO_RUN
    tail_share = tail_units = 0.0
    tail_kind: LoopKind = "exact"
    candidates: list[tuple[float, int, int, int, float, LoopKind]] = []
    for which, (kind, weight) in enumerate(_KINDS):
        runs = counts.runs[which]
        total = size if which == 2 else high - low
        first = NO_RUN
        for k in range(_KEEP * d, _KEEP * d + 3 * counts.found[which][d], 3):
            if which == 2:
                run = _character_run(d, counts, text, runs[k : k + 3])
            else:
                run = _unit_run(counts, d, text, runs[k : k + 3], which)
            if first is NO_RUN:
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
        tail = Run(start, high, period, (a, b), length, copies, True, True, True)
        tail_share, tail_units, tail_kind = (high - start) / (high - low), float(high - start), "exact"
        candidates.append((0.9 * (b - a), a, b, length, copies, "exact"))
    if span[1] > span[0]:
        a, b = int(counts.starts[span[0]]) - begin, int(counts.ends[span[1] - 1]) - begin
        length = int(counts.ends[span[2] - 1]) - begin - a
        candidates.append((0.8 * (b - a), a, b, length, span[4] / span[3], "templated"))
    return Found(longest, tail, tail_kind, tail_share, tail_units, _choose(candidates))


def _counts_on(counts: kernels.Counts, text: str, begin: int, run: Sequence[int]) -> bool:
    """Whether a run with digits taken for one sign is a loop that counts, not data.

    Data where numbers outweigh words, and where in most of its copies two numbers or more do not go on in even steps:
    results, not steps.
    """
    start, end, period = run
    kinds = list(counts.kinds[start : start + period])
    # So many copies tell.
    end = min(end, start + MOST_ROWS * period)
    a, b = counts.starts[start] - begin, counts.ends[end - 1] - begin
    marks = [match.span() for match in TIME_MARK.finditer(text, a, b)]
    slots = [
        k for k, kind in enumerate(kinds) if kind == NUMBER and not _within(counts.starts[start + k] - begin, marks)
    ]
    rows = []
    for first in range(start, end - period + 1, period):
        parts = [text[counts.starts[first + k] - begin : counts.ends[first + k] - begin] for k in slots]
        rows.append([int(number[:15]) if number.isdecimal() else 0 for number in parts])
    copy_ends = counts.ends[min(end, start + period) - 1] - begin
    if _COUNTED_CALL.search(text, a, copy_ends) and any(_even(column) for column in zip(*rows, strict=True)):
        return True
    # A number that stays the same is a word.
    changing = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
    varying = len(changing)
    counting = sum(map(_even, changing))
    if kinds.count(WORD) < max(varying, 1) or 0 < counting < varying:
        # Numbers alone, or a result for each number.
        return False
    if varying < DATA_NUMBERS:
        return True
    uneven = [sum(c - b != b - a for a, b, c in zip(*rows[k : k + 3], strict=True)) for k in range(len(rows) - 2)]
    return bool(2 * sum(places >= DATA_NUMBERS for places in uneven) <= len(uneven))


_COUNTED_CALL = re.compile(r"\b(?:print|assert|console|System|echo|expect|check|test)\w*[\s.(]")
"""A statement that prints or checks: what it counts through is no data."""


def _even(column: Sequence[int]) -> bool:
    """Whether numbers go on in even steps."""
    step = column[1] - column[0] if len(column) > 1 else 0
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
            # Copies that differ have a mean length.
            size = period if kind in ("exact", "characters") else max(1, round((end - start) / copies))
            chosen.append(Loop(start=start, end=end, period=size, copies=(end - start) / size, kind=kind))
            if len(chosen) == MAX_LOOPS:
                break
    return tuple(sorted(chosen, key=lambda loop: loop.start - loop.end))


def characters_of(run: Run, size: int, total: int) -> tuple[int, int] | None:
    """The characters of a run whose form matters: it may be a loop in prose, and is not one in every form.

    Args:
        run: the run.
        size: places of a unit.
        total: places of the text.
    """
    places = run.end - run.start
    may = places >= LEAST_UNITS * size and (
        run.at_end or places >= LEAST_SHARE * total or places >= FORM_MATTERS * size
    )
    must = places >= MOST_UNITS * size and places >= MOST_COPIES * run.period
    return run.span if run.counts and may and not must else None


LEAST_UNITS, LEAST_SHARE = 24.0, 0.1
"""Units, and share of the text, from which on a run may be a loop in prose."""
MOST_UNITS, MOST_COPIES = 1200.0, 60.0
"""Units and copies from which on a run is a loop in every form (:mod:`harness.metrics.demands`)."""


def lasting_units(counts: kernels.Counts, d: int, lines: Lines, longest: Run) -> float:
    """Units of the longest exact run; in a matrix or a stack trace of few rows a unit counts ``FAINT``.

    It never falls when a text goes on, since the early end of a search rests on it. A run that is no longer among the
    kept ones is not longer than the shortest of these.
    """
    if longest.end - longest.start < FORM_MATTERS:
        return float(longest.end - longest.start)
    most = 0.0
    text = lines.text
    base = _KEEP * d
    for k in range(base, base + 3 * counts.found[0][d], 3):
        run = _unit_run(counts, d, text, counts.runs[0][k : k + 3], 0)
        faint = run.end - run.start < FAINT_COPIES * run.period and lines.form(*run.span) in _FAINT_FORMS
        weight = FAINT if faint else 1.0
        most = max(most, weight * (run.end - run.start))
        if k == base + 3 * (KEEP - 1):
            most = max(most, float(run.end - run.start))
    return most


FORM_MATTERS = 64
"""Units of the longest run from which on its form is asked for."""
_FAINT_FORMS = (Form.TRACE, Form.DATA, Form.MARKUP, Form.TABLE)
FAINT = 0.25
FAINT_COPIES = 32
"""What a unit counts in a run of fewer copies in a matrix or a stack trace."""
