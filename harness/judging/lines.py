"""Scores texts without any model: JSON lines in, scored lines out, in order, as a stream.

In, a line each: ``{"id"?, "text", "reference"?}``; other fields are ignored, an absent, null or blank reference is
none, an absent id is the line's number. Out, a line each: id, verdict PASS, FAIL or ERROR, the reasons, all scores,
loops as character offsets of the text. A line that cannot be read is ERROR with its reason, and the others go on.

The verdict is :func:`harness.judging.verdict.judge` with the default thresholds (or given ones). There is no prompt
that could say whether a reference may repeat, so it excuses what it holds itself; ``reference_repeats`` marks such
lines. The compression ratio and the similarities other than the default one come on request: they cost more than all
others together. Left out: custom metrics, which need a case, and seq-rep-4, which needs the model's tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from harness.cases.model import Case, Message, Thresholds
from harness.judging.results import Reason, Status, Verdict
from harness.judging.verdict import LASTING_SCALE, LEAST_REFERENCE, judge, refusal
from harness.metrics.published import compression_ratio
from harness.metrics.repetition import NOTHING, excesses, measure
from harness.metrics.similarity import order_similarities, similarity
from harness.metrics.types import Scores

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
        return _Record(number, "", None, f"line {number} is not JSON in UTF-8: {error}; write one object a line")
    if not isinstance(data, dict):
        return _Record(number, "", None, f'line {number} is not an object; expected {{"text": "..."}}')
    name = data.get("id", number)
    if isinstance(name, bool) or not isinstance(name, str | int):
        return _Record(number, "", None, f"line {number}: id must be a string or a whole number")
    text, reference = data.get("text"), data.get("reference")
    if not isinstance(text, str):
        return _Record(name, "", None, f"line {number}: text must be a string")
    if reference is not None and not isinstance(reference, str):
        return _Record(name, "", None, f"line {number}: reference must be a string, or left out")
    return _Record(name, text, reference if reference and not reference.isspace() else None)


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
        if record.reference is None:
            scores = Scores({**values, **excesses(values, None)}, own.loops)
            repeats = False
        else:
            theirs, alike = next(references)
            against = theirs.values
            scores = Scores({**values, **excesses(values, against), "similarity": alike}, own.loops)
            repeats = (
                against["loop_coverage"] > limits.max_loop_excess and refusal(_case(record, Thresholds())) is not None
            )
        if everything:
            scores = _with_everything(record, scores)
        if _surely_passes(scores.values, limits):
            yield ScoredLine(record.id, Verdict(Status.PASS), scores, repeats)
        else:
            yield ScoredLine(record.id, judge(_case(record, limits), scores, None), scores, repeats)


def _with_everything(record: _Record, scores: Scores) -> Scores:
    more = {"compression_ratio": compression_ratio(record.text)}
    if record.reference is not None:
        more |= similarity(record.text, record.reference)
    return Scores({**scores.values, **more}, scores.loops)


def _case(record: _Record, limits: Thresholds) -> Case:
    return _lone_case(limits) if record.reference is None else _made_case(record, limits)


@lru_cache(maxsize=4)
def _lone_case(limits: Thresholds) -> Case:
    """Without a standard answer there is nothing in a case that tells it from another."""
    return Case(id="line", folder="", messages=(Message("user", ""),), standard_answer=None, thresholds=limits)


def _made_case(record: _Record, limits: Thresholds) -> Case:
    return Case(
        id=str(record.id),
        folder="",
        messages=(Message("user", ""),),
        standard_answer=record.reference,
        thresholds=limits,
    )


def _surely_passes(values: Mapping[str, float], t: Thresholds) -> bool:
    """Whether no rule of :func:`judge` can fail: most answers, told by a few comparisons instead of a dozen checks."""
    return (
        values["repetition"] <= min(t.max_rep8_excess, t.max_rep8d_excess, t.max_loop_excess, t.max_templated_excess)
        and values["tail_excess"] <= t.max_tail_excess
        and values["loop_units"] <= LASTING_SCALE * t.min_loop_units
        and values["words"] >= t.min_units
        and (values["reference_units"] < LEAST_REFERENCE or values["length_ratio"] >= t.min_length_ratio)
        and t.min_similarity == 0.0
        and t.allow_cutoff
        and not t.min_metrics
        and not t.max_metrics
    )


def as_json(line: ScoredLine) -> str:
    """One line of JSON, numbers with six significant digits."""
    scores, verdict = line.scores, line.verdict
    names, values = tuple(scores.values), tuple(scores.values.values())
    quiet = values[_RUNS] == _NO_RUNS
    shape = _shapes.get((names, quiet))
    if shape is None:
        pieces = [f"{json.dumps(name).replace('%', '%%')}: %.6g" for name in names]
        if quiet:
            pieces[_RUNS] = [piece % value for piece, value in zip(pieces[_RUNS], _NO_RUNS, strict=True)]
        shape = _shapes[names, quiet] = "{" + ", ".join(pieces) + "}"
    if quiet:
        # Most answers: what says nothing of a run is written once for all.
        values = (*values[: _RUNS.start], *values[_RUNS.stop :])
    loops = reasons = ""
    if scores.loops:
        loops = ", ".join([
            f'{{"start": {x.start}, "end": {x.end}, "period": {x.period}, "copies": {x.copies:.6g}, '
            f'"kind": "{x.kind}"}}'
            for x in scores.loops
        ])  # fmt: skip
    if verdict.reasons:
        reasons = ", ".join([json.dumps(_reason(r)) for r in verdict.reasons])
    more = ', "reference_repeats": true' if line.reference_repeats else ""
    name = line.id if type(line.id) is int else json.dumps(line.id)
    return (
        f'{{"id": {name}, "verdict": "{verdict.status.value}", "reasons": [{reasons}], '
        f'"scores": {shape % values}, "loops": [{loops}]{more}}}'
    )


_shapes: dict[tuple[tuple[str, ...], bool], str] = {}
_RUNS = slice(9, 28)
"""Where the scores of runs stand among those of a text, ``loop_coverage`` to ``templated``."""
_NO_RUNS = tuple(NOTHING.values())[_RUNS]


def _reason(reason: Reason) -> dict[str, Any]:
    found: dict[str, Any] = {"rule": reason.rule, "text": reason.text}
    if reason.value is not None:
        found |= {"value": round(reason.value, 6), "limit": reason.limit}
    return found


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
