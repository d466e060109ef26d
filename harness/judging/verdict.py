"""From scores to PASS, FAIL, ERROR: the only place where an answer is judged.

Every rule is a positive, finite test: an answer passes because each value is a number on the right side of its limit,
never because nothing was found against it; NaN, a missing score or a pattern that ran out of time is ERROR and never
PASS. A standard answer that is itself a loop would excuse every loop, so such a case is refused by name (ERROR, rule
``standard_answer``) unless it says ``reference_may_repeat``, or its prompt holds the text
that the answer repeats ("write X 50 times").

:func:`checks` says which thresholds applied and how each came out; :func:`judge` is its summary. Pure functions of the
recorded scores, so thresholds can change without generating or scoring again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.cases.model import Case
from harness.engines.base import FinishReason
from harness.judging.results import Reason, Status, Verdict
from harness.metrics.patterns import UNKNOWN
from harness.metrics.repetition import ASSUMED, LICENCE, measure, repetition
from harness.metrics.tandem import PARAGRAPH
from harness.metrics.types import Scores

__all__ = [
    "LASTING_SCALE",
    "LEAST_REFERENCE",
    "Check",
    "checks",
    "combine",
    "judge",
    "loop_units",
    "refusal",
    "skipped",
]

LONG_PERIOD = 12.0
"""From this many units a copy on, ``FEW_COPIES`` are a loop: nobody says a sentence three times running."""
FEW_COPIES = 3.0
BROKEN_OFF = 2.0
"""Copies of a paragraph, and the beginning of another, with which an answer that breaks off is a loop."""
REFRAIN = 0.3
"""Rep-8 of a standard answer that itself says things twice; an answer to its prompt may say them three times."""
FEW_WORDS = 10
"""Words below which an answer must reach the least length ratio; a fifth of the ratio is asked of longer ones."""
DRAWN_SCALE = 8.0
"""A loop of characters without letters and digits is a drawn line until it is this many times ``min_loop_units``."""
LASTING_SCALE = 7.0
"""A run this many times ``min_loop_units`` above the standard answer's own fails an answer however long the rest is."""
LONE_TEMPLATES = 8.0
"""Copies from which on lines that repeat but for a word fail an answer without a standard answer: a week has seven."""
LEAST_REFERENCE = 20
"""Units from which on the standard answer's length says how long an answer should be."""
REFUSED_COVERAGE = 0.5
"""Share of a standard answer inside one run from which on it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule as it applied to one answer."""

    rule: str
    value: float
    limit: float
    upper: bool
    """Whether the value must be at most (else: at least) the limit."""
    passed: bool
    text: str
    """For people, one line."""
    repetition: bool = False


def judge(case: Case, scores: Scores, finish_reason: FinishReason | None) -> Verdict:
    """The verdict on one answer.

    Args:
        case: its thresholds, role and standard answer.
        scores: from :func:`harness.metrics.score`.
        finish_reason: ``loop`` is a FAIL by proof; None where it is not known.
    """
    refused = refusal(case)
    if refused is not None:
        return Verdict(Status.ERROR, (Reason(rule="standard_answer", text=refused),))
    if finish_reason == "loop":
        text = "generation was stopped: every hypothesis that could still win loops"
        return Verdict(
            Status.FAIL, (Reason(rule="loop", text=text, repetition=True), *_reasons(case, scores, finish_reason))
        )
    found = checks(case, scores, finish_reason)
    unknown = [c for c in found if not math.isfinite(c.value)]
    if unknown:
        return Verdict(
            Status.ERROR, tuple(Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit) for c in unknown)
        )
    failed = tuple(
        Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit, repetition=c.repetition)
        for c in found
        if not c.passed
    )
    return Verdict(Status.FAIL if failed else Status.PASS, failed)


def skipped(case: Case) -> Verdict:
    """The verdict on a case that says ``skip``: SKIP, with its reason."""
    return Verdict(Status.SKIP, (Reason(rule="skip", text=case.skip),))


def _reasons(case: Case, scores: Scores, finish_reason: FinishReason | None) -> tuple[Reason, ...]:
    return tuple(
        Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit, repetition=c.repetition)
        for c in checks(case, scores, finish_reason)
        if c.repetition and math.isfinite(c.value) and not c.passed
    )


def combine(verdicts: Sequence[Verdict], min_pass: int) -> Verdict:
    """The verdict over the samples of one case: PASS from ``min_pass`` passes on.

    FAIL only when the samples that could not be judged cannot save it; PASS never with one of those among them.
    """
    count = {status: sum(v.status is status for v in verdicts) for status in Status}
    if verdicts and count[Status.SKIP] == len(verdicts):
        return Verdict(Status.SKIP, verdicts[0].reasons)
    passed = count[Status.PASS]
    if passed + count[Status.ERROR] < min_pass and passed + count[Status.ERROR] + count[Status.FAIL] > 0:
        return Verdict(Status.FAIL, _merged(verdicts, Status.FAIL))
    if count[Status.ERROR]:
        return Verdict(Status.ERROR, _merged(verdicts, Status.ERROR))
    if verdicts and passed >= min_pass >= 1:
        return Verdict(Status.PASS)
    return Verdict(
        Status.ERROR, (Reason(rule="samples", text=f"no verdict: {len(verdicts)} samples, {min_pass} must pass"),)
    )


def _merged(verdicts: Sequence[Verdict], status: Status) -> tuple[Reason, ...]:
    """The first reason of each rule."""
    found: dict[str, Reason] = {}
    for verdict in verdicts:
        if verdict.status is status:
            for reason in verdict.reasons:
                found.setdefault(reason.rule, reason)
    return tuple(found.values())


def checks(case: Case, scores: Scores, finish_reason: FinishReason | None) -> tuple[Check, ...]:
    """Every rule that applies to this answer, passed or not, in the order to show.

    A score that is missing or not finite gives a check that did not pass, with value NaN.
    """
    t, v = case.thresholds, scores.values
    above = " above the standard answer's" if v.get("has_reference") else " above what is usual"
    # A standard answer that repeats nothing does not make an answer worse than none would: what is usual stays excused,
    # unless it was cut off.
    spared = 0.0 if finish_reason == "length" else 1.0
    usual, usual_d = (spared * max(0.0, ASSUMED[name] - v.get(f"{name}_reference", 0.0)) for name in ("rep8", "rep8d"))
    found = [
        _most("rep8", v.get("rep8_excess", math.nan) - usual, t.max_rep8_excess, f"repeated 8-grams{above}"),
        _most(
            "rep8d",
            v.get("rep8d_excess", math.nan) - usual_d,
            t.max_rep8d_excess,
            "the same with numbers taken for one sign",
        ),
    ]
    runs = (
        ("loop", "loop_excess", "loop_copies", "loop_units", "loop_period", 1.0, "a stretch that repeats itself"),
        ("numbered", "numbered_excess", "numbered_copies", "numbered_units", "numbered_period", 1.0, "a numbered loop"),
        ("char_loop", "char_loop_excess", "char_loop_copies", "char_loop_length", "char_loop_period",
         DRAWN_SCALE if v.get("char_loop_drawn") else 2.0,
         "characters that repeat themselves"),
    )  # fmt: skip
    for rule, excess, copies, length, period, scale, text in runs:
        found.append(_run(case, scores, (rule, excess, copies, length, period), scale, t.max_loop_excess, text))
    found.append(
        # No share: text after a loop does not undo it. What the early FAIL of a search rests on (loop_units).
        _most(
            "lasting",
            v.get("loop_units", math.nan) - _reference_run(case),
            LASTING_SCALE * t.min_loop_units,
            f"units of the longest stretch that repeats itself,{above}",
        )
    )
    tail = ("tail", "tail_excess", "tail_copies", "tail_units", "tail_period")
    found.append(_run(case, scores, tail, 1.0, t.max_tail_excess, "an end that repeats itself"))
    templated = v.get("templated_excess", math.nan)
    few = not v.get("has_reference") and v.get("templated_copies", math.nan) < LONE_TEMPLATES
    if (few or v.get("templated_units", math.nan) < t.min_loop_units) and math.isfinite(templated):
        templated = min(0.0, templated)
    found.append(_most("templated", templated, t.max_templated_excess, "lines that repeat but for a word"))
    found.append(_least("length", v.get("words"), float(t.min_units), "words", repetition=False))
    if case.standard_answer is not None:
        if not v.get("reference_units", math.nan) < LEAST_REFERENCE:
            found.append(
                # A short answer to a long one's question may be right; two words are none.
                _least(
                    "length_ratio",
                    v.get("length_ratio"),
                    t.min_length_ratio / (5 if v.get("words", 0.0) >= FEW_WORDS else 1),
                    "of the standard answer's length",
                )
            )
        if t.min_similarity > 0.0:
            found.append(
                _least("similarity", v.get("similarity"), t.min_similarity, "similarity to the standard answer")
            )
    if not t.allow_cutoff:
        cut = float(finish_reason == "length")
        found.append(_most("cutoff", cut, 0.0, "cut off at max_tokens", repetition=False))
    found.extend(_patterns(case, scores))
    found.extend(_least(name, v.get(name), limit, name) for name, limit in t.min_metrics.items())
    found.extend(_most(name, v.get(name), limit, name, repetition=False) for name, limit in t.max_metrics.items())
    return tuple(found)


def _run(
    case: Case, scores: Scores, names: tuple[str, str, str, str, str], scale: float, limit: float, what: str
) -> Check:
    """A tandem run counts by its excess once it is long and has copies enough to be a loop; else it has none."""
    rule, excess, copies, length, period = names
    t = case.thresholds
    value, n, size, each = (scores.values.get(name, math.nan) for name in (excess, copies, length, period))
    refrain = scores.values.get("has_reference") == 1.0 and scores.values.get("rep8_reference", 0.0) >= REFRAIN
    few = t.min_loop_copies
    if each >= LONG_PERIOD * scale and not refrain:
        few = BROKEN_OFF if rule == "tail" and each >= PARAGRAPH else FEW_COPIES
    if (n < min(few, t.min_loop_copies) or size < t.min_loop_units * scale) and math.isfinite(value):
        value = min(0.0, value)
    said = f"{what}: {_number(n)} copies over {_number(size)}"
    return _most(rule, value, limit, said)


def _patterns(case: Case, scores: Scores) -> list[Check]:
    found = []
    for field, patterns, wanted in (
        ("must_include", case.must_include, True),
        ("must_not_include", case.must_not_include, False),
    ):
        for i, pattern in enumerate(patterns):
            value = scores.values.get(f"{field}[{i}]", math.nan)
            if value == UNKNOWN:
                value = math.nan
            text = (
                f"{field} {pattern!r}" if math.isfinite(value) else f"{field} {pattern!r} could not be searched in time"
            )
            make = _least if wanted else _most
            found.append(make(field, value, float(wanted), text, repetition=False))
    return found


def _most(rule: str, value: float | None, limit: float, what: str, repetition: bool = True) -> Check:
    return _check(rule, value, limit, True, what, repetition)


def _least(rule: str, value: float | None, limit: float, what: str, repetition: bool = False) -> Check:
    return _check(rule, value, limit, False, what, repetition)


def _check(rule: str, value: float | None, limit: float, upper: bool, what: str, repetition: bool) -> Check:
    number = math.nan if value is None else value
    passed = math.isfinite(number) and (number <= limit if upper else number >= limit)
    sign = "<=" if upper else ">="
    text = f"{what}: {_number(number)} (expected {sign} {_number(limit)})"
    return Check(rule=rule, value=number, limit=limit, upper=upper, passed=passed, text=text, repetition=repetition)


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else "not a number"


def refusal(case: Case) -> str | None:
    """Why this case cannot be judged: its standard answer is itself a loop; None where it can. Names the case."""
    if case.standard_answer is None or case.thresholds.reference_may_repeat:
        return None
    unit = _looped(case.standard_answer, case.thresholds.min_loop_copies, case.thresholds.min_loop_units)
    if unit is None or _bare(unit) in _bare(" ".join(m.content for m in case.messages)):
        return None
    shown = unit if len(unit) <= 40 else unit[:40] + "..."
    return (
        f"{case.id}: the standard answer itself repeats {shown!r}; give a clean one, "
        "or set reference_may_repeat = true in the case's thresholds"
    )


@lru_cache(maxsize=4096)
def _looped(text: str, min_copies: float, min_units: float) -> str | None:
    """What a text repeats over at least half of its length, or None."""
    found = repetition(text)
    v = found.values
    units = v["loop_coverage"] >= REFUSED_COVERAGE and v["loop_copies"] >= min_copies and v["loop_units"] >= min_units
    characters = (
        v["char_loop_coverage"] >= REFUSED_COVERAGE
        and v["char_loop_copies"] >= min_copies
        and v["char_loop_length"] >= 2 * min_units
    )
    if not units and not characters:
        return None
    # A templated loop that takes the exact one in stands for it.
    exact = [x for x in found.loops if x.kind in ("exact", "characters")] or found.loops
    loop = max(exact, key=lambda x: x.end - x.start)
    return text[loop.start : loop.start + loop.period].strip()


def _bare(text: str) -> str:
    """Letters and digits only, case folded: how a prompt quotes what it asks for differs in marks and spaces."""
    return "".join(c for c in text.casefold() if c.isalnum())


def loop_units(case: Case) -> float | None:
    """For the early FAIL: a tandem run of so many units fails :func:`judge` (rule ``lasting``) whatever follows it.

    None where nothing does: the case is refused, which is ERROR.
    """
    if refusal(case) is not None:
        return None
    return math.floor(_reference_run(case) + LASTING_SCALE * case.thresholds.min_loop_units) + 1.0


def _reference_run(case: Case) -> float:
    """Units of a run that the standard answer excuses: its own longest, so many times as it excuses its length."""
    return LICENCE * _longest_run(case.standard_answer) if case.standard_answer else 0.0


@lru_cache(maxsize=4096)
def _longest_run(text: str) -> float:
    (scores,) = measure([text])
    return scores.values["loop_units"]
