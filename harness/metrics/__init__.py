"""What is measured on an answer: one call, all scores.

:func:`score` computes everything; :func:`repetition` computes the part that needs nothing but the text. Both are pure:
same text, same numbers, on every machine, compiled or not. Nothing here passes or fails an answer;
:mod:`harness.judging.verdict` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.cases.model import Case
from harness.metrics.custom import custom_scores, register_metric
from harness.metrics.patterns import check_patterns
from harness.metrics.published import compression_ratio, sequence_repetition
from harness.metrics.repetition import measure, repetition
from harness.metrics.similarity import similarity
from harness.metrics.types import Loop, Metric, Scores

__all__ = ["Loop", "Metric", "Scores", "measure", "register_metric", "repetition", "score", "similarity"]


def score(answer: str, case: Case, *, tokens: Sequence[int] = ()) -> Scores:
    """All built-in and registered scores of an answer to a case.

    Args:
        answer: the generated text.
        case: its standard answer is what excesses and similarities are measured against.
        tokens: the generated token ids, for ``seq_rep4``; without them it is 0.

    Returns:
        Finite numbers by name and the loops found. ``similarity`` and its siblings are absent where ``has_reference``
        is 0.

    Raises:
        CaseFileError: a pattern of the case is not a regular expression.
        MetricError: a custom metric raised, or returned something that is not a finite number.
    """
    reference = case.standard_answer
    repeated = repetition(answer, reference)
    values = {
        **repeated.values,
        **({} if reference is None else similarity(answer, reference)),
        "seq_rep4": sequence_repetition(tokens),
        "compression_ratio": compression_ratio(answer),
        **check_patterns(answer, case),
    }
    values.update(custom_scores(answer, case))
    return Scores(values, repeated.loops)
