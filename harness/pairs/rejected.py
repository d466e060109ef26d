"""What a failing answer is rejected for: where its fault begins, and how much of it a training sees.

    loop                 up to a few copies; the fault begins with the second one
    forbidden pattern    up to the end of the first match; the fault is the match
    anything else        the whole answer, since no place in it is the fault: too long, too short, never ended, unlike
                         the standard answer, a pattern missed

With thousands of looping tokens a preference loss saturates on the tail and never reaches the onset. What comes before
a fault is as sound as any beginning of an answer, and unlearning it would make sound answers end sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rapidfuzz import fuzz

from harness.cases.model import Case
from harness.judging.results import Attempt, CaseResult, Status
from harness.metrics.patterns import first_match
from harness.metrics.types import Loop

__all__ = [
    "COPIES", "MAX_CHARACTERS", "Rejected", "before_fault", "first_forbidden", "rejected_answers", "second_copy",
    "trim_loop",
]  # fmt: skip

COPIES = (4, 2, 8)
"""Copies of the loop that the rejected answers keep, in turn: variety, so that no single length is learnt."""
MAX_CHARACTERS = 1_200
"""Of a rejected answer from its loop on; of one without a loop at all, twice that."""
_SAME_ANSWER_RATIO = 90.0
"""rapidfuzz ratio from which two answers count as one."""
_MIN_BEGINNING = 20
"""Characters before a fault, from which on it is worth going on from there."""


class Rejected(NamedTuple):
    """A rejected answer, and where its fault begins."""

    text: str
    finished: bool
    """Whether the model itself ended it."""
    fault_at: int = 0
    """In characters; 0: all of it is at fault."""


def rejected_answers(result: CaseResult, looping: Sequence[Attempt]) -> list[Rejected]:
    """The rejected answers of a failing case: loops at one length, then at the others; else the failing answers.

    Args:
        result: a FAIL.
        looping: further looping answers of the same model to the same prompt.
    """
    distinct = _distinct(_trimmed((*result.attempts, *looping)))
    if distinct:
        return distinct
    failing = [a for a in result.attempts if a.verdict.status is Status.FAIL and a.answer.strip()]
    return [_forbidden(a, result.case) or _whole(a) for a in failing]


def before_fault(result: CaseResult) -> str:
    """The beginning of a failing answer that is still sound; empty where it is too short to go on from.

    Of a loop it is all up to and including its first copy, else all before a forbidden match.
    """
    attempt = result.worst
    if attempt is None or attempt.scores is None:
        return ""
    if attempt.scores.loops:
        loop = attempt.scores.loops[0]
        text = attempt.answer[: loop.start + loop.period].rstrip()
    else:
        span = first_forbidden(attempt.answer, result.case)
        text = attempt.answer[: span[0]].rstrip() if span else ""
    return text if len(text) >= _MIN_BEGINNING else ""


def trim_loop(answer: str, loop: Loop, copies: int) -> str:
    """The answer up to and with ``copies`` copies of the loop; whole when the loop is shorter than that."""
    if loop.copies <= copies:
        return answer
    # Copies of a templated loop differ in length, so the share of the loop counts, not the period.
    length = round((loop.end - loop.start) * copies / loop.copies)
    end = min(loop.start + max(length, loop.period), loop.start + MAX_CHARACTERS)
    return answer[:end]


def _trimmed(attempts: Sequence[Attempt]) -> list[Rejected]:
    loops = [(a, a.scores.loops[0]) for a in attempts if a.verdict.repeater and a.scores and a.scores.loops]
    return [
        Rejected(text, copies >= loop.copies and _ended(a), min(second_copy(loop), len(text) - 1))
        for turn in range(len(COPIES))
        for number, (a, loop) in enumerate(loops)
        for copies in (COPIES[(number + turn) % len(COPIES)],)
        for text in (trim_loop(a.answer, loop, copies),)
    ]


def second_copy(loop: Loop) -> int:
    """Where a loop says something for the second time; copies of a templated loop differ in length."""
    return loop.start + max(1, round((loop.end - loop.start) / loop.copies))


def _forbidden(attempt: Attempt, case: Case) -> Rejected | None:
    """The answer up to the end of the first forbidden match; None where there is none."""
    span = first_forbidden(attempt.answer, case)
    if span is None:
        return None
    start, end = span
    whole = end >= len(attempt.answer)
    return Rejected(attempt.answer[:end], whole and _ended(attempt), start)


def first_forbidden(answer: str, case: Case) -> tuple[int, int] | None:
    """Start and end of the first match of a forbidden pattern that is not empty."""
    spans = (first_match(pattern, answer) for pattern in case.must_not_include)
    return min((span for span in spans if span is not None and span[1] > span[0]), default=None)


def _whole(attempt: Attempt) -> Rejected:
    most = 2 * MAX_CHARACTERS
    return Rejected(attempt.answer[:most], _ended(attempt) and len(attempt.answer) <= most)


def _ended(attempt: Attempt) -> bool:
    return attempt.finish_reason == "stop"


def _distinct(answers: Iterable[Rejected]) -> list[Rejected]:
    kept: list[Rejected] = []
    for answer in answers:
        if answer.text.strip() and all(fuzz.ratio(answer.text, k.text) < _SAME_ANSWER_RATIO for k in kept):
            kept.append(answer)
    return kept
