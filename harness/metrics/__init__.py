"""What is measured on an answer: one call, all scores.

:func:`score` computes everything; :func:`repetition` computes the part that needs nothing but the text. Both are pure:
same text, same numbers, on every machine, compiled or not. Nothing here passes or fails an answer;
:mod:`harness.judging.verdict` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.cases.model import Case
from harness.metrics.custom import custom_scores, register_metric
from harness.metrics.parts import answer_text, measure_answers, part_scores
from harness.metrics.patterns import check_patterns
from harness.metrics.published import compression_ratio, near_copies, sequence_repetition
from harness.metrics.repetition import NONE_MEASURED, measure, repetition
from harness.metrics.similarity import similarity
from harness.metrics.turns import earlier_answers, turn_scores
from harness.metrics.types import Loop, Metric, Scores

__all__ = [
    "Loop",
    "Metric",
    "Scores",
    "measure",
    "measure_answers",
    "register_metric",
    "repetition",
    "score",
    "similarity",
]


def score(
    answer: str, case: Case, *, tokens: Sequence[int] = (), measured: Mapping[str, Scores] = NONE_MEASURED
) -> Scores:
    """All built-in and registered scores of an answer to a case.

    Args:
        answer: the generated text.
        case: its standard answer is what excesses and similarities are measured against.
        tokens: the generated token ids, for ``seq_rep4``; without them it is 0.
        measured: what :func:`measure_answers` found for the answer and the standard answer, if it was asked.

    Returns:
        Finite numbers by name and the loops found. Reasoning and calls of tools are scored apart
        (:mod:`harness.metrics.parts`); patterns and custom metrics see the whole text. ``similarity`` and its siblings
        are absent where ``has_reference`` is 0; ``accepted`` and ``rejected`` where the case lists no such answers.

    Raises:
        CaseFileError: a pattern of the case is not a regular expression.
        MetricError: a custom metric raised, or returned something that is not a finite number.
    """
    repeated = part_scores(answer, case.standard_answer, measured)
    own, reference = answer_text(answer), case.standard_answer and answer_text(case.standard_answer)
    values = {
        **repeated.values,
        **({} if reference is None else similarity(own, reference)),
        "seq_rep4": sequence_repetition(tokens),
        "compression_ratio": compression_ratio(answer),
        "near_copies": near_copies(own),
        **turn_scores(own, earlier_answers(case), reference),
        **check_patterns(answer, case),
    }
    values.update(custom_scores(answer, case))
    if case.accepted_answers or case.rejected_answers:
        values["accepted"], values["rejected"] = _marked(answer, case)
        if values["accepted"]:
            # What a person accepts is not in excess of anything.
            values["repetition"] = 0.0
    return Scores(values, repeated.loops)


def _marked(answer: str, case: Case) -> tuple[float, float]:
    """Whether a person accepted and rejected exactly this answer, but for white space around it."""
    bare = answer.strip()
    return tuple(float(any(bare == a.strip() for a in marked))  # type: ignore[return-value]
                 for marked in (case.accepted_answers, case.rejected_answers))  # fmt: skip
