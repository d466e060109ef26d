"""Why a case has its verdict, in one line that says what a person sees; the metrics come below it.

A verdict names rules with values and limits, and several rules blame the same loop. Here they become one sentence:
``repeats the same 10 words 15.8 times from character 214 on; cut off at 256 tokens``. Every report begins with this
line, so pytest, JUnit, Markdown, the workbook and the page say the same.

The line is derived from the recorded result, and never stored. It is in the language of the reader; texts of engines,
metrics and cases stand in it as they are. Not supported: safety. The line holds text of cases and models, and each
report escapes it for its output like any other text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.engines.base import FinishReason
from harness.judging.results import Attempt, CaseResult, Reason, Status
from harness.judging.rules import show_number
from harness.judging.verdict import counted_loops
from harness.language import tr
from harness.metrics.parts import answer_text
from harness.metrics.types import Loop, LoopKind
from harness.reports.answer import count_units, describe_loop
from harness.safe.escape import shorten

__all__ = ["blamed_loops", "end_words", "reason_line", "score_lines"]

_MAX_TEXT = 300
"""Characters of a text of an engine, a metric or a case within the line."""
_MAX_PATTERN = 80
_PARTS = {"in the reasoning: ": "in the reasoning: {what}", "in the calls of tools: ": "in the calls of tools: {what}"}
"""How the text of a rule about a part of the answer begins, and how the line says so."""
_ERRORS = {
    "engine": "the engine failed: {text}",
    "metric": "a metric failed: {text}",
    "adapter": "the adapter cannot be used: {text}",
    "standard_answer": "the standard answer cannot be used: {text}",
}
_SCORES = (
    ("repetition", "repetition score"),
    ("rep8", "share of runs of 8 words said before (rep-8)"),
    ("rep8d", "the same with digits alike"),
    ("loop_coverage", "share inside the longest loop"),
    ("similarity", "similarity to the standard answer"),
)
"""The scores that people use, in the order to show."""
_ENDS: Mapping[FinishReason, str] = {
    "stop": "ended by itself",
    "length": "cut off at max_tokens",
    "loop": "stopped early: the loop was certain",
}


def reason_line(result: CaseResult) -> str:
    """What a person sees, in one line; for a pass, what is to be known of it."""
    status, attempt = result.verdict.status, result.worst
    if status is Status.SKIP:
        return tr("skipped: {text}", text=_texts(result.verdict.reasons))
    if status is Status.ERROR:
        return _error(result.verdict.reasons)
    if status is Status.PASS:
        if result.case.xfail:
            return tr("passes although it is marked xfail ({text}); remove the mark", text=_flat(result.case.xfail))
        line = "" if attempt is None else _ending(attempt)
        return tr("passes; {what}", what=line) if line else tr("passes")
    attempt = next((a for a in result.attempts if a.verdict.status is Status.FAIL), attempt)
    line = _semicolon(_failures(result, attempt)) or tr("no reason was recorded")
    if result.case.xfail:
        return tr("expected failure ({text}): {what}", text=_flat(result.case.xfail), what=line)
    return line


def score_lines(attempt: Attempt) -> tuple[tuple[str, str], ...]:
    """(title, text) of the scores that people use, and of what is known of the answer."""
    lines: list[tuple[str, str]] = []
    if attempt.scores is not None:
        values = attempt.scores.values
        lines += [(tr(title), f"{values[name]:.2f}") for name, title in _SCORES if name in values]
        if attempt.scores.loops:
            lines.append((tr("longest loop"), describe_loop(attempt.answer, attempt.scores.loops[0])))
    if attempt.tokens:
        lines.append((tr("tokens"), f"{attempt.tokens:,}"))
    return tuple(lines)


def end_words(attempt: Attempt) -> str:
    """How an answer ended; empty where that is not known."""
    return tr(_ENDS[attempt.finish_reason]) if attempt.finish_reason is not None else ""


# -- the line ----------------------------------------------------------------------------------------------------------


def _failures(result: CaseResult, attempt: Attempt | None) -> Iterator[str]:
    """The sentences of a failure: samples, repetition, everything else, and how the answer ended."""
    samples = len(result.attempts)
    if samples > 1:
        failed = sum(a.verdict.status is Status.FAIL for a in result.attempts)
        yield tr("{failed} of {samples} samples fail", failed=failed, samples=samples)
    if attempt is None or attempt.scores is None:
        yield from map(_flat, (r.text for r in result.verdict.reasons))
        return
    reasons = attempt.verdict.reasons or result.verdict.reasons
    yield from _repetition(attempt, reasons)
    ending = _ending(attempt)
    for reason in _each_rule(reasons):
        if not reason.repetition and not (ending and reason.rule == "cutoff"):
            yield _plain(result, attempt, reason)
    if ending:
        yield ending


def _each_rule(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """The reasons, each rule once; an answer without words is not also said to be short."""
    by_rule = {r.rule: r for r in reversed(tuple(reasons))}
    if "length" in by_rule:
        by_rule.pop("length_ratio", None)
    return reversed(by_rule.values())


def _ending(attempt: Attempt) -> str:
    """How an answer ended that did not end by itself."""
    match attempt.finish_reason:
        case "length":
            if not attempt.tokens:
                return tr("cut off at max_tokens")
            return tr("cut off at {n} tokens", n=f"{attempt.tokens:,}")
        case "loop":
            return tr("stopped early at {n} tokens, since the loop was certain", n=f"{attempt.tokens:,}")
        case _:
            return ""


def _error(reasons: Sequence[Reason]) -> str:
    if not reasons:
        return tr("not judged; no reason was recorded")
    first, more = reasons[0], len(reasons) - 1
    if first.rule in _ERRORS:
        line = tr(_ERRORS[first.rule], text=_flat(first.text))
    else:
        line = tr("cannot be judged: {text}", text=_flat(first.text))
    return tr("{line} (and {n} more)", line=line, n=more) if more else line


# -- repetition --------------------------------------------------------------------------------------------------------


def _repetition(attempt: Attempt, reasons: Sequence[Reason]) -> Iterator[str]:
    """One sentence for the answer and one for each other part: several rules may blame the same loop."""
    parts: dict[str, list[Reason]] = {}
    for reason in reasons:
        if reason.repetition:
            prefix = next((p for p in _PARTS if reason.text.startswith(p)), "")
            parts.setdefault(prefix, []).append(reason)
    loops = blamed_loops(attempt)
    whole = answer_text(attempt.answer) if loops and any(parts) else ""
    for prefix, blamed in parts.items():
        own = [loop for loop in loops if not whole or (_copy(attempt, loop) in whole) is not bool(prefix)]
        if prefix:
            yield tr(_PARTS[prefix], what=_part(attempt, blamed, own))
            continue
        turns = [r for r in blamed if r.rule == "turns"]
        if others := [r for r in blamed if r.rule != "turns"]:
            yield _part(attempt, others, own)
        if turns:
            yield _sign(attempt, turns[0])


def _part(attempt: Attempt, reasons: Sequence[Reason], loops: Sequence[Loop]) -> str:
    if loops:
        line = _loop(attempt.answer, loops[0])
        more = _others(loops)
        if not more:
            return line
        other = tr("one other stretch repeats too") if more == 1 else tr("{n} other stretches repeat too", n=more)
        return _semicolon([line, other])
    order = {rule: n for n, rule in enumerate(_SIGNS)}
    return _sign(attempt, min(reasons, key=lambda r: order.get(r.rule, len(order))))


def blamed_loops(attempt: Attempt) -> list[Loop]:
    """The loops that a failed rule is about, longest first."""
    if attempt.scores is None:
        return []
    counted = zip(attempt.scores.loops, counted_loops(attempt.verdict, attempt.scores), strict=True)
    return [x for x, counts in counted if counts and 0 <= x.start < x.start + x.period < x.end <= len(attempt.answer)]


def _others(loops: Sequence[Loop]) -> int:
    """How many loops beside the first do not overlap with it or with each other."""
    apart = [loops[0]]
    apart += [x for x in loops[1:] if all(x.end <= other.start or x.start >= other.end for other in apart)]
    return len(apart) - 1


def _copy(attempt: Attempt, loop: Loop) -> str:
    return attempt.answer[loop.start : loop.start + loop.period]


_REPEATS: Mapping[LoopKind, str] = {
    "exact": "repeats the same {unit} {copies} times {place}",
    "characters": "repeats the same {unit} {copies} times {place}",
    "numbered": "repeats the same {unit} with other numbers {copies} times {place}",
    "templated": "repeats nearly the same {unit} {copies} times {place}",
}


def _loop(answer: str, loop: Loop) -> str:
    if answer[loop.end :].strip():
        place = tr("from character {start} to {end}", start=f"{loop.start + 1:,}", end=f"{loop.end:,}")
    elif answer[: loop.start].strip():
        place = tr("from character {start} on", start=f"{loop.start + 1:,}")
    else:
        place = tr("from the beginning on")
    copy = answer[loop.start : loop.start + loop.period]
    copies = f"{loop.copies:,.1f}".removesuffix(".0")
    return tr(_REPEATS[loop.kind], unit=count_units(copy, loop.kind), copies=copies, place=place)


def _run(name: str) -> Callable[[Mapping[str, float]], str | None]:
    """The sentence for a tandem run whose place is not known."""

    def sentence(scores: Mapping[str, float]) -> str | None:
        copies, units = scores.get(f"{name}_copies"), scores.get(f"{name}_period")
        if not copies or not units:
            return None
        return tr("repeats the same {n} words or characters {copies} times", n=show_number(units),
                  copies=f"{copies:,.1f}".removesuffix(".0"))  # fmt: skip

    return sentence


def _share(sentence: str, score: str) -> Callable[[Mapping[str, float]], str | None]:
    return lambda scores: tr(sentence, share=f"{scores[score]:.0%}") if _known(scores, score) else None


def _number(sentence: str, score: str) -> Callable[[Mapping[str, float]], str | None]:
    return lambda scores: tr(sentence, n=show_number(scores[score])) if _known(scores, score) else None


def _known(scores: Mapping[str, float], name: str) -> bool:
    return math.isfinite(scores.get(name, math.nan))


_SIGNS: Mapping[str, Callable[[Mapping[str, float]], str | None]] = {
    "loop": _run("loop"),
    "numbered": _run("numbered"),
    "lasting": _run("loop"),
    "stretch": _run("loop"),
    "tail": _run("tail"),
    "unfinished": _run("tail"),
    "char_loop": _run("char_loop"),
    "twice": _share("{share} of the answer is the same text twice", "twice_coverage"),
    "passage": _number("says one paragraph {n} times", "passage_copies"),
    "echo": _number("says one sentence {n} times", "echo_copies"),
    "templated": _share("{share} of the answer is lines that repeat except for a word", "templated"),
    "restated": _number("{n} lines of code or comment begin with the same words", "restated"),
    "flood": _number("ends with {n} characters of white space or of one mark", "flood_characters"),
    "variety": _number("uses only {n} different words in a stretch of 64 words", "variety"),
    "rep8": _share("{share} of its runs of 8 words or characters were said before", "rep8"),
    "rep8d": _share("{share} of its runs of 8 words or characters were said before, but for their numbers", "rep8d"),
    "stale": _share("the end brings nothing new: {share} of it was said before", "stale"),
    "turns": _share("{share} of the answer was said in an earlier turn", "turn_overlap"),
}
"""A sentence for each sign of repetition, from the scores; the first that applies stands for all."""


def _sign(attempt: Attempt, reason: Reason) -> str:
    scores = attempt.scores.values if attempt.scores is not None else {}
    for prefix, part in (("in the reasoning: ", "reasoning."), ("in the calls of tools: ", "tools.")):
        if reason.text.startswith(prefix):
            scores = {k.removeprefix(part): v for k, v in scores.items() if k.startswith(part)}
            reason = Reason(rule=reason.rule, text=reason.text.removeprefix(prefix))
    make = _SIGNS.get(reason.rule)
    return (make(scores) if make is not None else None) or _flat(reason.text)


# -- everything else ---------------------------------------------------------------------------------------------------


def _plain(result: CaseResult, attempt: Attempt, reason: Reason) -> str:
    """The sentence of a rule that is not about repetition."""
    case, limit = result.case, reason.limit
    match reason.rule:
        case "length" if not answer_text(attempt.answer).strip():
            return tr("the answer is empty")
        case "length" if reason.value is not None and limit is not None:
            if not reason.value:
                return tr("the answer has no words")
            return tr("the answer has {n} words (at least {limit} are wanted)", n=show_number(reason.value),
                      limit=show_number(limit))  # fmt: skip
        case "length_ratio" if case.standard_answer is not None:
            number, wanted = count_units(answer_text(attempt.answer)), count_units(answer_text(case.standard_answer))
            return tr("ended after {n}; the standard answer has {wanted}", n=number, wanted=wanted)
        case "longest" if reason.value is not None and limit is not None:
            return tr("{n} times as long as the standard answer (at most {limit} is wanted)",
                      n=f"{reason.value:.1f}", limit=show_number(limit))  # fmt: skip
        case "similarity" if reason.value is not None and limit is not None:
            return tr("similarity {value} to the standard answer (at least {limit} is wanted)",
                      value=f"{reason.value:.2f}", limit=f"{limit:.2f}")  # fmt: skip
        case "must_include" if missing := _patterns(attempt, "must_include", case.must_include, 0.0):
            return tr("lacks {patterns}", patterns=missing)
        case "must_not_include" if matched := _patterns(attempt, "must_not_include", case.must_not_include, 1.0):
            return tr("matches the forbidden {patterns}", patterns=matched)
        case "rejected_answer":
            return tr("a person rejected this answer")
        case "cutoff":
            return tr("cut off at max_tokens")
        case _:
            return _limit(result, reason) or _flat(reason.text)


def _limit(result: CaseResult, reason: Reason) -> str:
    """The sentence of a limit of a score by name; empty where the reason is no such limit."""
    if reason.value is None or reason.limit is None:
        return ""
    limits = result.case.thresholds
    values = {"name": reason.rule, "value": show_number(reason.value), "limit": show_number(reason.limit)}
    if reason.rule in limits.min_metrics and reason.value < reason.limit:
        return tr("{name} is {value} (at least {limit} is wanted)", **values)
    if reason.rule in limits.max_metrics and reason.value > reason.limit:
        return tr("{name} is {value} (at most {limit} is wanted)", **values)
    return ""


def _patterns(attempt: Attempt, field: str, patterns: Sequence[str], broken: float) -> str:
    """The patterns of a case that decided, as ``/one/, /two/``."""
    scores = attempt.scores.values if attempt.scores is not None else {}
    shown = [p for n, p in enumerate(patterns) if scores.get(f"{field}[{n}]") == broken]
    return ", ".join(f"/{shorten(_flat(p), _MAX_PATTERN)}/" for p in shown)


def _texts(reasons: Iterable[Reason]) -> str:
    return _semicolon([_flat(r.text) for r in reasons]) or tr("no reason was recorded")


def _flat(text: str) -> str:
    """A text as a part of one line."""
    return shorten(" ".join(text.split()), _MAX_TEXT)


def _semicolon(parts: Iterable[str]) -> str:
    line = ""
    for part in parts:
        line = tr("{first}; {second}", first=line, second=part) if line else part
    return line
