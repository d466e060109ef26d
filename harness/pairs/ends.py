"""Pairs that teach where an answer ends: the model's own answer up to a sentence, ended there, against its going on.

A model that loops or rambles on does not end, and the other pairs hardly teach it to: the end is one token of a chosen
answer, behind words that this model would not have said. Here the end follows what the model did say. Nothing but the
end is learnt (``chosen_from``), and nothing but what came instead of it is unlearned (``fault_at``). The sentence is
the first at which the answer is as long as the standard answer, so that answers do not become shorter than what is
asked for. The ended beginning must pass its case's rules, so this cures whatever came after it: a loop, a forbidden
pattern, too many words, no end.

Trade-off: a single token that is all of a pair weighs much. Many such pairs end every answer at its first sentence, so
:mod:`harness.pairs.build` takes few, and twice as many early ends of good answers as their counterweight.

Not supported: a case without a standard answer, but for a forbidden pattern, before which its answer ends.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from harness.cases.model import Case
from harness.judging.results import Attempt, CaseResult, Status
from harness.judging.verdict import judge
from harness.metrics import measure, score
from harness.pairs.model import Pair
from harness.pairs.rejected import first_forbidden, second_copy

__all__ = ["early_end", "end_pairs"]

_SENTENCE = re.compile(r"(?:[.!?](?=\s)|[。！？]|(?<=\S)\n)(?=\s*\S)")
"""Where a sentence or line ends and another one follows."""
_NUMBER_ALONE = re.compile(r"(?:^|\n)\W*\d+[.)]$")
"""A beginning that stops at the number of a list's next entry."""
_LENGTHS = (1.0, 2.5)
"""Minimum and maximum length of an ended beginning, in lengths of the standard answer."""
_GOING_ON = 40
"""Characters after the end that are unlearned: what decides is the first few tokens."""
_TRIES = 3
"""Sentences that are tried for one answer, the nearest to the standard answer's length first."""


def end_pairs(results: Sequence[CaseResult], sampled: Mapping[str, Sequence[Attempt]]) -> list[Pair]:
    """At most one pair of each case of role ``fix`` with an answer that failed or had to be cut off.

    Args:
        results: failing and passing ones.
        sampled: further answers of the same model, by case id.
    """
    pairs: list[Pair] = []
    for result in results:
        case = result.case
        if case.role != "fix" or result.verdict.status not in (Status.PASS, Status.FAIL):
            continue
        answers = {
            attempt.answer: attempt
            for attempt in (*result.attempts[:1], *sampled.get(case.id, ()))
            if attempt.finish_reason == "length" or attempt.verdict.status is Status.FAIL
            if attempt.answer.strip() != (case.standard_answer or "").strip()
        }
        ended = (pair for attempt in answers.values() if (pair := _ended(case, attempt)) is not None)
        pairs += itertools.islice(ended, 1)
    return pairs


def _ended(case: Case, attempt: Attempt) -> Pair | None:
    """The pair of one answer; None where no sentence is near enough to the standard answer's length."""
    sentences = _sentences(case, attempt)
    for end in _nearest(case, attempt, sentences)[:_TRIES]:
        text = attempt.answer[:end].rstrip()
        going_on = attempt.answer[: end + _GOING_ON]
        if judge(case, score(text, case), "stop").status is Status.PASS and going_on[len(text) :].strip():
            return Pair(
                case_id=case.id,
                messages=case.messages,
                chat_template_kwargs=case.chat_template_kwargs,
                chosen=text,
                rejected=going_on,
                origin="end",
                chosen_from=len(text),
                fault_at=len(text),
            )
    return None


def early_end(answer: str, share: float = 0.5) -> str | None:
    """The first sentences (or lines) of a clean answer, half of them or another share; None where it has only one."""
    ends = [m.end() for m in _SENTENCE.finditer(answer.strip())]
    return answer.strip()[: ends[int((len(ends) - 1) * share)]].rstrip() if ends else None


def _sentences(case: Case, attempt: Attempt) -> list[int]:
    """Ends of sentences before the fault."""
    loops = attempt.scores.loops if attempt.scores else ()
    forbidden = first_forbidden(attempt.answer, case)
    sound = min(
        second_copy(loops[0]) if loops else len(attempt.answer), forbidden[0] if forbidden else len(attempt.answer)
    )
    return [
        m.end()
        for m in _SENTENCE.finditer(attempt.answer)
        if m.end() <= sound and not _NUMBER_ALONE.search(attempt.answer[: m.end()].rstrip())
    ]


def _nearest(case: Case, attempt: Attempt, ends: Sequence[int]) -> list[int]:
    """Ends near enough to the standard answer's length, the nearest first; before a forbidden pattern the last ones."""
    if not case.standard_answer:
        return list(ends[: -_TRIES - 1 : -1]) if first_forbidden(attempt.answer, case) else []
    wanted, *lengths = (
        float(scores.values["units"]) for scores in measure([case.standard_answer, *(attempt.answer[:e] for e in ends)])
    )
    near = [
        (abs(length - wanted), end)
        for length, end in zip(lengths, ends, strict=True)
        if _LENGTHS[0] * wanted <= length <= _LENGTHS[1] * wanted
    ]
    return [end for _, end in sorted(near)]
