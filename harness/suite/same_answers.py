"""The same answer to different prompts: a loop across the suite, which no single answer shows.

A model that has collapsed says "I'm sorry, I can't help with that." to everything; each answer is clean by itself.
Answers count as the same when they differ only in case, white space and marks. At least ``LEAST`` cases with different
questions and different standard answers must share one. This is a note in the reports and no rule, since a suite may
ask for refusals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.judging.results import CaseResult
from harness.language import tr
from harness.metrics.parts import answer_text
from harness.metrics.similarity import bare
from harness.suite.once import once

__all__ = ["SameAnswer", "same_answers"]

LEAST = 3
"""Cases that must share an answer."""
LEAST_LETTERS = 16
"""Letters and digits of an answer that is told; "yes" may be right many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SameAnswer:
    """An answer that several cases share."""

    answer: str
    """As the first of them got it."""
    cases: tuple[str, ...]
    """Their ids, in suite order."""

    @property
    def text(self) -> str:
        """For people, one line."""
        shown = " ".join(self.answer.split())
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        names = ", ".join(self.cases[:3])
        names += tr(" and {n} more", n=len(self.cases) - 3) if len(self.cases) > 3 else ""
        return tr(
            "the same answer to {n} different prompts: {answer} ({names})",
            n=len(self.cases), answer=repr(shown), names=names,
        )  # fmt: skip


def same_answers(results: Sequence[CaseResult]) -> tuple[SameAnswer, ...]:
    """Answers that several cases of one adapter share, those of most cases first.

    Args:
        results: of one adapter; each case counts with the answer that its verdict shows.
    """
    return once(results, "same answers", lambda: _same_answers(results))


def _same_answers(results: Sequence[CaseResult]) -> tuple[SameAnswer, ...]:
    groups: dict[str, dict[tuple[str, str | None], CaseResult]] = {}
    for result in results:
        attempt = result.worst
        if attempt is None:
            continue
        said = bare(answer_text(attempt.answer))
        if len(said) >= LEAST_LETTERS:
            question = bare(result.case.messages[-1].content)
            key = (question, result.case.standard_answer)
            groups.setdefault(said, {}).setdefault(key, result)
    shared = []
    for cases in groups.values():
        questions = {question for question, _ in cases}
        expected = [answer for _, answer in cases if answer is not None]
        # What several standard answers say alike is what was asked for.
        if len(questions) >= LEAST and len(set(expected)) == len(expected):
            found = list(cases.values())
            first = found[0].worst
            assert first is not None
            shared.append(SameAnswer(answer=first.answer, cases=tuple(r.case.id for r in found)))
    return tuple(sorted(shared, key=lambda s: -len(s.cases)))
