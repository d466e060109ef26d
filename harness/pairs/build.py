"""Preference pairs out of failing cases, on the model's own answers.

Rejected is what the model really said, trimmed to prefix, onset and a few periods: with thousands of looping tokens the
loss saturates on the tail without touching the onset. Chosen is the standard answer and, nearer to the model's own
way of speaking, clean answers that it gave itself when sampled; one that branches off just before the loop teaches
the very step that went wrong. Replay pairs (a passing answer against its own looped copy) keep what worked.
Given up: paraphrased prompts; a paraphrase is a new case, and people should write those.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from rapidfuzz import fuzz

from harness.metrics.base import Loop
from harness.pairs.model import Pair
from harness.results import Attempt, CaseResult, Status

__all__ = ["build_pairs", "loop_copy", "pairs_of_case", "trim_loop"]

_COPIES = (4, 2)
"""Copies of the loop that the rejected answers keep, in turn: variety, so that no single length is learnt."""
_MOST_CHARACTERS = 1_200
_SAME = 90.0
"""rapidfuzz ratio from which two answers count as one."""


def trim_loop(answer: str, loop: Loop, copies: int) -> str:
    """The answer up to and with ``copies`` copies of the loop; whole when the loop is shorter than that."""
    if loop.copies <= copies:
        return answer
    # Copies of a templated loop differ in length, so the share of the loop counts, not the period.
    length = round((loop.end - loop.start) * copies / loop.copies)
    end = min(loop.start + max(length, loop.period), loop.start + _MOST_CHARACTERS)
    return answer[:end]


def loop_copy(answer: str, copies: int = 4) -> str:
    """A looped copy of a clean answer: its last sentence (or line) over and over, as a failing model would."""
    text = answer.rstrip()
    cut = max((text.rfind(mark, 0, len(text) - 1) for mark in (". ", "! ", "? ", "\n", "。", "！", "？")), default=-1)
    head, last = (text[: cut + 1], text[cut + 1 :]) if cut >= 0 else ("", text)
    joint = "" if last[:1].isspace() or not last.isascii() else " "
    return head + last + (joint + last) * copies


def pairs_of_case(
    result: CaseResult, clean: Sequence[str], branches: Sequence[str] = (), looping: Sequence[Attempt] = ()
) -> tuple[Pair, ...]:
    """The pairs that one failing case gives.

    Args:
        result: a FAIL; its failing attempts are the rejected answers.
        clean: answers of the model's own that passed, best first.
        branches: whole answers that leave the failing one before its loop, and passed.
        looping: further failing answers of the same model (sampled, or by another decoder).
    """
    case = result.case
    failing = [a for a in (*result.attempts, *looping) if a.verdict.repeater and a.scores and a.scores.loops]
    rejected = _distinct(
        [
            (trim_loop(a.answer, a.scores.loops[0], copies), copies >= a.scores.loops[0].copies and _ended(a))
            for a, copies in zip(failing, itertools.cycle(_COPIES))
            if a.scores
        ]
    )
    if not rejected:
        # It fails for another reason (similarity, a pattern): its answer is rejected as it stands.
        rejected = [(a.answer, _ended(a)) for a in result.attempts if a.verdict.status is Status.FAIL and a.answer]
    chosen: list[tuple[str, str]] = []
    if case.standard_answer:
        chosen.append((case.standard_answer, "standard"))
    chosen += [(text, "own") for text in clean] + [(text, "branch") for text in branches]
    pairs = []
    for (good, origin), (bad, finished) in zip(chosen, itertools.cycle(rejected)):
        if good.strip() != bad.strip():
            pairs.append(Pair(case.id, case.messages, good, bad, origin, finished))  # type: ignore[arg-type]
    return tuple(pairs)


def build_pairs(
    failures: Sequence[CaseResult],
    passing: Sequence[CaseResult],
    clean: Mapping[str, Sequence[str]],
    branches: Mapping[str, Sequence[str]],
    looping: Mapping[str, Sequence[Attempt]],
    *,
    replay: float = 0.3,
) -> tuple[Pair, ...]:
    """All pairs of a fix: of the failing cases, and replay of the passing ones.

    Only cases of role ``fix`` are used, whatever is passed in; holdout and guard cases are never trained on.

    Args:
        failures: results with verdict FAIL.
        passing: results with verdict PASS.
        clean: by case id, see :func:`pairs_of_case`.
        branches: by case id.
        looping: by case id.
        replay: most share of replay pairs among all.
    """
    made = [
        pair
        for result in failures
        if result.case.role == "fix" and result.verdict.status is Status.FAIL
        for pair in pairs_of_case(
            result, clean.get(result.case.id, ()), branches.get(result.case.id, ()), looping.get(result.case.id, ())
        )
    ]
    room = int(len(made) * replay / (1 - replay))
    kept = [r for r in passing if r.case.role == "fix" and r.verdict.status is Status.PASS and r.attempts][:room]
    for result in kept:
        answer = result.attempts[0].answer
        made.append(Pair(result.case.id, result.case.messages, answer, loop_copy(answer), "replay"))
    return tuple(made)


def _ended(attempt: Attempt) -> bool:
    return attempt.finish_reason == "stop"


def _distinct(answers: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    kept: list[tuple[str, bool]] = []
    for text, finished in answers:
        if text.strip() and all(fuzz.ratio(text, other) < _SAME for other, _ in kept):
            kept.append((text, finished))
    return kept
