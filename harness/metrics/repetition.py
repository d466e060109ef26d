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
    lasting_units      units of the longest exact run, weighed by its form; never falls when a text goes on
    twice_coverage     share of the units in two copies of the same text that the answer ends with
    flood_characters   white space, or one mark, that the text ends with, in characters
    variety            different words among 64 in a row, the least over the text; 64 where it is shorter
    stale              share of the end that was said before (:mod:`harness.metrics.novelty`)
    duplicate_lines    share of the lines that are equal to an earlier line
    distinct1 .. 4     distinct n-grams / n-grams (Li et al. 2016), for comparison with published figures

Counts: ``units``, ``words`` (with numbers), ``symbols`` (where there are no words), ``characters``, ``lines``. A
coverage is a share of the units. A tail may end in one cut unit, and two copies of a paragraph with the beginning of a
third are a tail too. What depends on the form of the text is told by :mod:`harness.metrics.inspection`.

An excess is a value minus the same value of the case's standard answer, since no absolute limit separates a loop from
a table, a song or code. The standard answer excuses an answer up to ``EXCUSED_LENGTHS`` times its own length. Beyond
that, its share of repetition shrinks in proportion: a loop goes on, a table ends. The values ``USUAL`` stand in for a
missing standard answer, and for one that repeats less, so that none makes an answer worse. Where a text has more
numbers than words, or two numbers in a copy that do not count up, what repeats with digits replaced is data (years,
results), and excused.

Invariant: every value is finite; shares are 0..1.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from harness.metrics import kernels, templates
from harness.metrics.forms import Lines
from harness.metrics.inspection import ECHO_UNITS, STALE, inspect_text, repeats
from harness.metrics.invisible import Visible, visible
from harness.metrics.ngrams import SHARES
from harness.metrics.stretches import characters_of, find_stretches, lasting_units
from harness.metrics.tandem import TAILS
from harness.metrics.types import Scores
from harness.metrics.variety import BLOCK, FIELDS

__all__ = ["EXCESSES", "EXCUSED_LENGTHS", "NONE_MEASURED", "NOTHING", "USUAL", "excesses", "measure", "repetition"]

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
NONE_MEASURED: Mapping[str, Scores] = MappingProxyType({})
_EXCESSES = tuple((name, excess, f"{name}_reference") for name, excess in EXCESSES.items())
DATA_SHARE = 0.5
"""Share of lines of a form that repeats by itself, from which on a text of numbers is data: a matrix."""


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


def repetition(text: str, reference: str | None = None, measured: Mapping[str, Scores] = NONE_MEASURED) -> Scores:
    """Repetition scores of a text, its excesses over ``reference``, and ``repetition``, the largest of them, 0..1.

    Args:
        text: what is scored.
        reference: what it is compared with; None: usual values.
        measured: scores of :func:`measure` by text; what is not there is measured now.
    """
    texts = [text] if reference is None else [text, reference]
    missing = [t for t in texts if t not in measured]
    found = dict(zip(missing, measure(missing), strict=True))
    own, *others = (found[t] if t in found else measured[t] for t in texts)
    return Scores({**own.values, **excesses(own.values, others[0].values if others else None)}, own.loops)


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
    data = {
        "numbered_coverage": row,
        "rep8d": mostly,
        "rep8": (mostly or not values["words"]) and values.get("structured", 0.0) >= DATA_SHARE,
    }
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
        scores.update({f"{name}_reference": reference.get(name, 0.0) for name in EXCUSED})
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
        period = seen.offset(loop.start + loop.period) - start
        loops.append(replace(loop, start=start, end=end, period=period, copies=(end - start) / period))
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
        values["symbols"] = float(_symbols(text))
    values["stale"] = counts.stale[d]
    values["variety"] = float(min(counts.poorest[FIELDS * d], BLOCK))
    values["flood_characters"] = float(_flood(text))
    tails = counts.tails[TAILS * d : TAILS * (d + 1)]
    values["twice_coverage"] = min(1.0, tails[2] / n) if n else 0.0
    quiet = not (first[d] or second[d] or third[d] or span[1] > span[0] or tails[1])
    if quiet:
        if _repeats(values, n):
            values.update(inspect_text(Lines(text), values, (None, None, None, None, None, _variety_span(counts, d))))
        return Scores(values)
    found = find_stretches(counts, d, text, span)
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
    forms = Lines(text)
    values["lasting_units"] = lasting_units(counts, d, forms, found.longest[0])
    exact, numbered, drawn = found.longest
    tail_size = 2 if found.tail_kind == "characters" else 1
    spans = [
        characters_of(exact, 1, n),
        characters_of(numbered, 1, n),
        characters_of(drawn, 2, characters),
        characters_of(found.tail, tail_size, characters if tail_size == 2 else n),
    ]
    spans.append(_template_span(counts, d, span, values))
    spans.append(_variety_span(counts, d))
    values.update(inspect_text(forms, values, spans))
    return Scores(values, found.loops)


def _template_span(
    counts: kernels.Counts, d: int, span: Sequence[int], values: Mapping[str, float]
) -> tuple[int, int] | None:
    begin = counts.bounds[d]
    matters = values["templated"] >= TEMPLATED and span[4] >= span[3] * TEMPLATE_COPIES
    return (counts.starts[span[0]] - begin, counts.ends[span[1] - 1] - begin) if matters else None


TEMPLATE_COPIES, TEMPLATED = 5, 0.3
"""Copies, and share of the text, from which on the form of templated lines matters."""


def _variety_span(counts: kernels.Counts, d: int) -> tuple[int, int] | None:
    begin = counts.bounds[d]
    fewest, first, end = counts.poorest[FIELDS * d : FIELDS * (d + 1)]
    return (counts.starts[first] - begin, counts.ends[end - 1] - begin) if fewest <= SUSPICIOUS_VARIETY else None


def _symbols(text: str) -> int:
    """What an answer without words says: symbols and pictures, or the marks of a drawing of several lines."""
    symbols = sum(unicodedata.category(c)[0] == "S" for c in text)
    drawn = len(text.split("\n")) >= DRAWING_LINES and len({c for c in text if not c.isspace()}) > 1
    return symbols or (len(text.split()) if drawn else 0)


DRAWING_LINES = 3
"""Lines from which on marks alone may be a drawing."""


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
}
"""All values in the order to show, of a text without anything; copied, since that is faster than making one anew."""
