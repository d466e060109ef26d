"""Failures that preference training cannot cure: the model never gives the answer, however often it is asked.

A preference moves probability between answers that a model has. Where a case fails because its answer lacks something
(it is unlike the standard answer, or misses a pattern) and none of the model's samples passed, there is nothing of its
own to prefer. The standard answer still stands against the failing one, which teaches its wording more than its
content. Training on the standard answer itself (SFT) can teach it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.judging.results import CaseResult

__all__ = ["advice", "without_answer"]

_LACKING = ("similarity", "must_include")
"""Rules that an answer breaks by what it lacks."""
_NAMED = 5


def without_answer(failures: Sequence[CaseResult], *passed: Mapping[str, Sequence[str]]) -> tuple[CaseResult, ...]:
    """The failures that lack something of which no sample of the model's had it.

    Args:
        failures: the failing cases that candidates were drawn for.
        passed: passing samples by case id, of each way in which they were drawn.
    """
    without = (r for r in failures if not any(answers.get(r.case.id) for answers in passed))
    return tuple(r for r in without if not r.verdict.repeater and _lacks(r))


def advice(unknown: Sequence[CaseResult], failing: int) -> str:
    """What to tell the user; empty where there is nothing to tell."""
    if not unknown:
        return ""
    names = ", ".join(r.case.id for r in unknown[:_NAMED])
    more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
    without = sum(r.case.standard_answer is None for r in unknown)
    how = "harness fix --failed --stage sft trains on their standard answers"
    if without:
        how += f"; {without} of them have none, so write it first"
    return (
        f"{len(unknown)} of {failing} failing cases lack something that no sample of the model had, so preference "
        f"pairs can hardly teach it: {names}{more}; {how}"
    )


def _lacks(result: CaseResult) -> bool:
    return any(reason.rule.startswith(_LACKING) for reason in result.verdict.reasons)
