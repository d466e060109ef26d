"""What a standard answer may be, and what its own repetition excuses.

A standard answer that is itself a loop would excuse every loop, so such a case is refused by name. Exceptions are a
case that says ``reference_may_repeat``, and a prompt that holds the text which the answer repeats ("write X 50 times").
"""

from __future__ import annotations

import math
from functools import lru_cache

from harness.cases.model import Case, Message, Thresholds
from harness.metrics.repetition import EXCUSED_LENGTHS, measure, repetition
from harness.metrics.similarity import bare

__all__ = ["LASTING_SCALE", "lone_case", "loop_units", "reference_run", "refusal"]

LASTING_SCALE = 7.0
"""A run this many times ``min_loop_units`` above the standard answer's own fails an answer of any length."""
REFUSED_COVERAGE = 0.5
"""Share of a standard answer inside one run from which on it is refused."""


def lone_case(name: str, limits: Thresholds, reference: str | None = None) -> Case:
    """A case that is no more than a standard answer, for judging a text whose prompt is not known."""
    return Case(id=name, folder="", messages=(Message("user", ""),), standard_answer=reference, thresholds=limits)


def refusal(case: Case) -> str | None:
    """Why this case cannot be judged: its standard answer is itself a loop; None where it can. Names the case."""
    if case.standard_answer is None or case.thresholds.reference_may_repeat:
        return None
    unit = _looped(case.standard_answer, case.thresholds.min_loop_copies, case.thresholds.min_loop_units)
    if unit is None or bare(unit) in bare(" ".join(m.content for m in case.messages)):
        return None
    shown = unit if len(unit) <= 40 else unit[:40] + "..."
    return (
        f"{case.id}: the standard answer itself repeats {shown!r}; give a clean one, "
        "or set reference_may_repeat = true in the case's thresholds"
    )


@lru_cache(maxsize=4096)
def _looped(text: str, min_copies: float, min_units: float) -> str | None:
    """What a text repeats over at least half of its length, or None."""
    scores = repetition(text)
    v = scores.values
    units = v["loop_coverage"] >= REFUSED_COVERAGE and v["loop_copies"] >= min_copies and v["loop_units"] >= min_units
    characters = (
        v["char_loop_coverage"] >= REFUSED_COVERAGE
        and v["char_loop_copies"] >= min_copies
        and v["char_loop_length"] >= 2 * min_units
    )
    if not units and not characters:
        return None
    # A templated loop that takes the exact one in stands for it.
    exact = [x for x in scores.loops if x.kind in ("exact", "characters")] or scores.loops
    loop = max(exact, key=lambda x: x.end - x.start)
    return text[loop.start : loop.start + loop.period].strip()


def loop_units(case: Case) -> float | None:
    """For the early FAIL: units of a tandem run that :func:`judge` fails (rule ``lasting``) whatever follows.

    None where nothing does: the case is refused, which is ERROR, or a person accepts an answer that repeats.
    """
    if refusal(case) is not None or case.accepted_answers:
        return None
    return math.floor(reference_run(case) + LASTING_SCALE * case.thresholds.min_loop_units) + 1.0


def reference_run(case: Case) -> float:
    """Units of a run that the standard answer excuses: its own longest, as often as the excused length allows."""
    return EXCUSED_LENGTHS * _longest_run(case.standard_answer) if case.standard_answer else 0.0


@lru_cache(maxsize=4096)
def _longest_run(text: str) -> float:
    (scores,) = measure([text])
    return scores.values["loop_units"]
