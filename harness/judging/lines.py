"""Scores texts without a model: JSON lines in, scored lines out, in order, as a stream.

An input line is ``{"id"?, "text", "reference"?, "finish_reason"?, "turns"?}``. Other fields are ignored. An absent,
null or blank reference counts as none; an absent id is the line's number. ``finish_reason`` is ``stop`` or ``length``;
where it is absent or another word, the text tells whether it breaks off. ``turns`` are the assistant's earlier answers.
An output line holds the id, the verdict (PASS, FAIL or ERROR), the reasons, all scores, and the loops as character
offsets of the text, each with whether it counted. A line that cannot be read is ERROR with its reason, and the others
go on.

The verdict is :func:`harness.judging.verdict.judge` with the default thresholds, or the given ones. No prompt can say
whether a reference may repeat, so a reference excuses what it holds itself; ``reference_repeats`` marks such lines. The
compression ratio and the similarities other than the default one are computed on request, because they cost more than
all others together. Not supported: custom metrics, which need a case, and seq-rep-4, which needs the model's tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from harness.cases.model import Case, Thresholds
from harness.engines.base import FinishReason
from harness.judging.references import lone_case, refusal
from harness.judging.results import Reason, Status, Verdict
from harness.judging.rules import surely_passes
from harness.judging.verdict import counted_loops, judge
from harness.metrics.parts import answer_text, part_scores, split_parts
from harness.metrics.published import compression_ratio, near_copies
from harness.metrics.repetition import NOTHING, excesses, measure
from harness.metrics.similarity import order_similarities, similarity
from harness.metrics.turns import turn_scores
from harness.metrics.types import Loop, Scores

__all__ = ["ScoredLine", "as_json", "as_text", "score_lines"]

BATCH = 1_000_000
"""Characters read before they are scored together."""
_NO_SCORES = Scores({})


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """One input line, judged."""

    id: str | int
    verdict: Verdict
    scores: Scores
    reference_repeats: bool = False


@dataclass(frozen=True, slots=True)
class _Record:
    id: str | int
    text: str
    reference: str | None
    finish_reason: FinishReason | None = None
    turns: tuple[str, ...] = ()
    problem: str = ""


def score_lines(
    lines: Iterable[bytes], thresholds: Thresholds | None = None, *, everything: bool = False
) -> Iterator[ScoredLine]:
    """Score JSON lines (UTF-8); blank lines are left out.

    Args:
        lines: as a binary file yields them.
        thresholds: what answers are judged against; None for the defaults.
        everything: also the compression ratio and all similarities, which take longer than all else.
    """
    limits = replace(thresholds or Thresholds(), reference_may_repeat=True)
    batch: list[_Record] = []
    size = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _read(number, line)
        batch.append(record)
        size += len(record.text) + len(record.reference or "")
        if size > BATCH:
            yield from _score(batch, limits, everything)
            batch, size = [], 0
    yield from _score(batch, limits, everything)


_scan: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def _parse(text: str) -> Any:
    """``json.loads`` of a stripped text, without what that does around it."""
    try:
        data, end = _scan(text, 0)
    except StopIteration:
        end = -1
    # What is not one value raises what ``json.loads`` says of it.
    return data if end == len(text) else json.loads(text)


def _read(number: int, line: bytes) -> _Record:
    try:
        data = _parse(line.decode("utf-8-sig" if number == 1 else "utf-8").strip())
    except (ValueError, RecursionError) as error:
        return _wrong(number, f"line {number} is not JSON in UTF-8: {error}; write one object a line")
    if not isinstance(data, dict):
        return _wrong(number, f'line {number} is not an object; expected {{"text": "..."}}')
    name = data.get("id", number)
    if isinstance(name, bool) or not isinstance(name, str | int):
        return _wrong(number, f"line {number}: id must be a string or a whole number")
    text, reference = data.get("text"), data.get("reference")
    if not isinstance(text, str):
        return _wrong(name, f"line {number}: text must be a string")
    if reference is not None and not isinstance(reference, str):
        return _wrong(name, f"line {number}: reference must be a string, or left out")
    turns = data.get("turns") or ()
    if not isinstance(turns, list | tuple) or not all(isinstance(turn, str) for turn in turns):
        return _wrong(name, f"line {number}: turns must be a list of strings: the assistant's earlier answers")
    known: dict[Any, FinishReason] = {"stop": "stop", "length": "length"}
    reason = data.get("finish_reason")
    if reason is not None and not isinstance(reason, str):
        return _wrong(name, f"line {number}: finish_reason must be a string, or left out")
    reference = reference if reference and not reference.isspace() else None
    return _Record(name, text, reference, known.get(reason), tuple(turns))


def _wrong(name: str | int, problem: str) -> _Record:
    return _Record(name, "", None, problem=problem)


def _score(batch: list[_Record], limits: Thresholds, everything: bool) -> Iterator[ScoredLine]:
    texts = [r.text for r in batch] + [r.reference for r in batch if r.reference is not None]
    measured = list(measure(texts))
    pairs = [(r.text, r.reference) for r in batch if r.reference is not None]
    references = iter(zip(measured[len(batch) :], order_similarities(pairs), strict=True))
    for record, own in zip(batch, measured, strict=False):
        if record.problem:
            yield ScoredLine(record.id, Verdict(Status.ERROR, (Reason(rule="line", text=record.problem),)), _NO_SCORES)
            continue
        values = own.values
        repeats = False
        scores = Scores({**values, **excesses(values, None)}, own.loops)
        if record.reference is not None:
            theirs, alike = next(references)
            against = theirs.values
            scores = Scores({**values, **excesses(values, against), "similarity": alike}, own.loops)
            repeats = (
                against["loop_coverage"] > limits.max_loop_excess and refusal(_case(record, Thresholds())) is not None
            )
        apart = _apart(record)
        scores = apart or scores
        if everything:
            scores = _with_everything(record, scores)
        if surely_passes(scores.values, limits) and apart is None:
            yield ScoredLine(record.id, Verdict(Status.PASS), scores, repeats)
        else:
            verdict = judge(_case(record, limits), scores, record.finish_reason)
            yield ScoredLine(record.id, verdict, scores, repeats)


def _apart(record: _Record) -> Scores | None:
    """The scores of a line that is more than one text, by reasoning, tool calls or earlier turns; None for others."""
    if not record.turns and split_parts(record.text) is None:
        return None
    found = part_scores(record.text, record.reference)
    values = {**found.values, **turn_scores(record.text, record.turns, record.reference)}
    if record.reference is not None:
        (values["similarity"],) = order_similarities([(answer_text(record.text), answer_text(record.reference))])
    return Scores(values, found.loops)


def _with_everything(record: _Record, scores: Scores) -> Scores:
    own = answer_text(record.text)
    more = {"compression_ratio": compression_ratio(record.text), "near_copies": near_copies(own)}
    if record.reference is not None:
        more |= similarity(own, answer_text(record.reference))
    return Scores({**scores.values, **more}, scores.loops)


def _case(record: _Record, limits: Thresholds) -> Case:
    # Without a standard answer, nothing in a case's pairs distinguishes it from another case.
    return _unnamed(limits) if record.reference is None else lone_case(str(record.id), limits, record.reference)


@lru_cache(maxsize=4)
def _unnamed(limits: Thresholds) -> Case:
    return lone_case("line", limits)


def as_json(line: ScoredLine) -> str:
    """One line of JSON, numbers with six significant digits.

    Nearly all the time of a large file would go into formatting numbers, so the line is made from a template that is
    kept for each set of score names. Most answers have no run, and all scores of runs are then constants.
    """
    names = tuple(line.scores.values)
    values = line.scores.values
    quiet = line.verdict.status is not Status.ERROR and _run_scores(values) == _QUIET
    template = _template(names, quiet)
    numbers = template.text % tuple([values[name] for name in template.names])
    counted = counted_loops(line.verdict, line.scores) if line.scores.loops else ()
    loops = ", ".join([_loop(loop, counts) for loop, counts in zip(line.scores.loops, counted, strict=True)])
    reasons = ", ".join([json.dumps(_reason(r)) for r in line.verdict.reasons])
    more = ', "reference_repeats": true' if line.reference_repeats else ""
    name = line.id if type(line.id) is int else json.dumps(line.id)
    return (
        f'{{"id": {name}, "verdict": "{line.verdict.status.value}", "reasons": [{reasons}], '
        f'"scores": {numbers}, "loops": [{loops}]{more}}}'
    )


_RUN_SCORES = ("loop_", "numbered_", "char_loop_", "tail_", "templated", "lasting", "twice", "symbols")
_NO_RUNS = {
    name: value
    for name, value in NOTHING.items()
    if name.startswith(_RUN_SCORES) and not name.endswith(("_excess", "_reference"))
}
"""The scores of a text without any run, from ``loop_coverage`` to ``templated``."""


_run_scores = itemgetter(*_NO_RUNS)
_QUIET = tuple(_NO_RUNS.values())


class _Template(NamedTuple):
    """A JSON object of scores with a place for each number that varies."""

    text: str
    names: tuple[str, ...]
    """Scores to fill in, in order."""


@lru_cache(maxsize=256)
def _template(names: tuple[str, ...], quiet: bool) -> _Template:
    fixed = _NO_RUNS if quiet else {}
    pieces = [
        json.dumps(name).replace("%", "%%") + ": " + (f"{fixed[name]:.6g}" if name in fixed else "%.6g")
        for name in names
    ]
    return _Template("{" + ", ".join(pieces) + "}", tuple(name for name in names if name not in fixed))


def _loop(loop: Loop, counts: bool) -> str:
    return (
        f'{{"start": {loop.start}, "end": {loop.end}, "period": {loop.period}, "copies": {loop.copies:.6g}, '
        f'"kind": "{loop.kind}", "counts": {"true" if counts else "false"}}}'
    )


def _reason(reason: Reason) -> dict[str, Any]:
    fields: dict[str, Any] = {"rule": reason.rule, "text": reason.text}
    if reason.value is not None:
        fields |= {"value": round(reason.value, 6), "limit": reason.limit}
    return fields


def as_text(line: ScoredLine) -> str:
    """One line for people: verdict, id, repetition score, the longest loop, why it failed."""
    v = line.scores.values
    parts = [f"{line.verdict.status.value:5}", str(line.id)]
    if v:
        parts.append(f"repetition {v['repetition']:.3f}")
    for x in line.scores.loops[:1]:
        parts.append(f"loop at {x.start}..{x.end}: {x.copies:.1f} x {x.period} characters ({x.kind})")
    # One loop breaks several rules at once; their texts would say the same in many words.
    repeated = [f"{r.rule} {r.value:.3g} > {r.limit:g}" for r in line.verdict.reasons if r.repetition]
    if repeated:
        parts.append("repeats itself: " + ", ".join(repeated))
    parts.extend(r.text for r in line.verdict.reasons if not r.repetition)
    return "  ".join(parts)
