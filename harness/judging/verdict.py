"""From scores to PASS, FAIL, ERROR: the only place where an answer is judged.

Every rule is a positive, finite test: an answer passes because each value is a number on the right side of its limit.
NaN, a missing score or a pattern search that ran out of time is ERROR and never PASS. A standard answer that is itself
a loop would excuse every loop, so such a case is refused by name (ERROR, rule ``standard_answer``). Exceptions are a
case that says ``reference_may_repeat``, and a prompt that holds the text which the answer repeats ("write X 50 times").

The rules are a table. :func:`checks` says which of them applied and how each came out; :func:`judge` is the summary.
Both are pure functions of the recorded scores, so thresholds can change without generating or scoring again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.cases.model import Case
from harness.engines.base import FinishReason
from harness.judging.references import refusal
from harness.judging.results import Reason, Status, Verdict
from harness.judging.rules import RULES, Rule, show_number
from harness.judging.signs import Answer
from harness.metrics.patterns import UNKNOWN
from harness.metrics.types import LoopKind, Scores

__all__ = ["RuleCheck", "checks", "combine", "counted_loops", "judge", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCheck:
    """One rule as it applied to one answer."""

    rule: str
    value: float
    """NaN where the score is missing; such a check does not pass."""
    limit: float
    upper: bool
    """Whether the value must be at most the limit; otherwise at least."""
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
    results = tuple(_checks(case, scores, finish_reason, only_failed=True))
    unknown = [c for c in results if not math.isfinite(c.value)]
    if unknown:
        return Verdict(
            Status.ERROR, tuple(Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit) for c in unknown)
        )
    failed = tuple(
        Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit, repetition=c.repetition) for c in results
    )
    return Verdict(Status.FAIL if failed else Status.PASS, failed)


def counted_loops(verdict: Verdict, scores: Scores) -> tuple[bool, ...]:
    """For each loop whether a rule about loops of its kind failed; a loop of an answer that passed never counts."""
    failed = {reason.rule for reason in verdict.reasons if reason.repetition}
    return tuple(not failed.isdisjoint(_COUNTING[loop.kind]) for loop in scores.loops)


_ANY = ("rep8", "rep8d", "tail", "unfinished", "echo", "passage", "twice", "variety", "stale", "restated")
_COUNTING: dict[LoopKind, tuple[str, ...]] = {
    "exact": ("loop", "lasting", "stretch", *_ANY),
    "numbered": ("numbered", *_ANY),
    "characters": ("char_loop", "flood", *_ANY),
    "templated": ("templated", *_ANY),
}


def skipped(case: Case) -> Verdict:
    """The verdict on a case that says ``skip``: SKIP, with its reason."""
    return Verdict(Status.SKIP, (Reason(rule="skip", text=case.skip),))


def _reasons(case: Case, scores: Scores, finish_reason: FinishReason | None) -> tuple[Reason, ...]:
    return tuple(
        Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit, repetition=c.repetition)
        for c in _checks(case, scores, finish_reason, only_failed=True)
        if c.repetition and math.isfinite(c.value)
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
    by_rule: dict[str, Reason] = {}
    for verdict in verdicts:
        if verdict.status is status:
            for reason in verdict.reasons:
                by_rule.setdefault(reason.rule, reason)
    return tuple(by_rule.values())


def checks(case: Case, scores: Scores, finish_reason: FinishReason | None) -> tuple[RuleCheck, ...]:
    """Every rule that applies to this answer, passed or not, in the order to show."""
    return tuple(_checks(case, scores, finish_reason, only_failed=False))


def _passes(value: float, limit: float, upper: bool) -> bool:
    return math.isfinite(value) and (value <= limit if upper else value >= limit)


def _checks(
    case: Case, scores: Scores, finish_reason: FinishReason | None, *, only_failed: bool
) -> Iterator[RuleCheck]:
    # Most checks pass, and making their texts takes longer than all else.
    answer = Answer(case=case, scores=scores.values, finish_reason=finish_reason)
    if scores.values.get("accepted"):
        yield from _apply((rule for rule in RULES if not rule.repetition), answer, only_failed)
    else:
        yield from _apply(RULES, answer, only_failed)
        yield from _parts(answer, only_failed)
    if "rejected" in scores.values and not (only_failed and not scores.values["rejected"]):
        yield _check("rejected_answer", scores.values["rejected"], 0.0, "a person rejected this answer", upper=True)
    yield from (c for c in _patterns(case, scores) if not (only_failed and c.passed))
    for limits, upper in ((case.thresholds.min_metrics, False), (case.thresholds.max_metrics, True)):
        for name, limit in limits.items():
            value = answer.score(name)
            if not (only_failed and _passes(value, limit, upper)):
                yield _check(name, value, limit, name, upper=upper)


def _apply(rules: Iterable[Rule], answer: Answer, only_failed: bool, where: str = "") -> Iterator[RuleCheck]:
    for rule in rules:
        if rule.applies(answer):
            value, limit = rule.value(answer), rule.limit(answer)
            if not (only_failed and _passes(value, limit, rule.upper)):
                text = where + rule.text(answer)
                yield _check(rule.rule, value, limit, text, upper=rule.upper, repetition=rule.repetition)


def _parts(answer: Answer, only_failed: bool) -> Iterator[RuleCheck]:
    """The rules about repetition, applied to the reasoning and to the calls of tools, where there are any."""
    for part, where in (("reasoning", "in the reasoning: "), ("tools", "in the calls of tools: ")):
        prefix = f"{part}."
        if f"{prefix}units" in answer.scores:
            scores = {name.removeprefix(prefix): v for name, v in answer.scores.items() if name.startswith(prefix)}
            # What the answer follows has ended.
            ended = answer.finish_reason == "length" and answer.scores.get("units", 0.0) > 0.0
            case = replace(answer.case, standard_answer=None)
            own = Answer(case=case, scores=scores, finish_reason="stop" if ended else answer.finish_reason)
            yield from _apply((rule for rule in RULES if rule.repetition), own, only_failed, where)


def _patterns(case: Case, scores: Scores) -> list[RuleCheck]:
    checked = []
    for field, patterns, must_match in (
        ("must_include", case.must_include, True),
        ("must_not_include", case.must_not_include, False),
    ):
        for i, pattern in enumerate(patterns):
            value = scores.values.get(f"{field}[{i}]", math.nan)
            timed_out = value == UNKNOWN
            text = f"{field} {pattern!r}" + (" could not be searched in time" if timed_out else "")
            value = math.nan if timed_out else value
            checked.append(_check(field, value, float(must_match), text, upper=not must_match))
    return checked


def _check(rule: str, value: float, limit: float, what: str, *, upper: bool, repetition: bool = False) -> RuleCheck:
    passed = _passes(value, limit, upper)
    text = f"{what}: {show_number(value)} (expected {'<=' if upper else '>='} {show_number(limit)})"
    return RuleCheck(rule=rule, value=value, limit=limit, upper=upper, passed=passed, text=text, repetition=repetition)
