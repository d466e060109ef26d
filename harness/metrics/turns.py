"""Whether an answer says again what an earlier answer of the conversation said: a loop across turns.

Measured is the share of the answer's 8-grams (on mixed units) that stand in one earlier answer of the assistant, the
largest over these. It is the modified precision of BLEU for n = 8 without clipping (Papineni et al. 2002).
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.cases.model import Case
from harness.metrics.kernels import code_pairs
from harness.metrics.ngrams import ORDERS

__all__ = ["earlier_answers", "turn_scores"]


def earlier_answers(case: Case) -> tuple[str, ...]:
    """The assistant's answers before the last question; none where that question was asked before."""
    question = case.messages[-1].content.strip()
    if any(m.role == "user" and m.content.strip() == question for m in case.messages[:-1]):
        return ()
    return tuple(m.content for m in case.messages if m.role == "assistant")


def turn_scores(answer: str, turns: Sequence[str], reference: str | None) -> dict[str, float]:
    """``turn_overlap`` of an answer with earlier ones, and of the standard answer where there is one; 0..1.

    Empty without earlier answers.
    """
    if not turns:
        return {}
    scores = {"turn_overlap": _overlap(answer, turns)}
    if reference is not None:
        scores["turn_overlap_reference"] = _overlap(reference, turns)
    return scores


def _overlap(text: str, turns: Sequence[str]) -> float:
    most = 0.0
    for own, other in code_pairs([(text, turn) for turn in turns]):
        grams = [own[k : k + ORDERS] for k in range(len(own) - ORDERS + 1)]
        if grams:
            said = {other[k : k + ORDERS] for k in range(len(other) - ORDERS + 1)}
            most = max(most, sum(gram in said for gram in grams) / len(grams))
    return most
