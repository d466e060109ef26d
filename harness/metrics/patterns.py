"""A case's own patterns: what an answer must and must not match.

Patterns come from case files and are searched in hostile text, so every search has a time limit. The package ``regex``
provides one; ``re`` has none, and one nested quantifier would block the suite. A search that ran out of time is neither
a hit nor a miss: the verdict is ERROR, because the pattern is at fault and not the model. Not supported: the exact
dialect of ``re``; regex reads it with few differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import regex

from harness.cases.model import Case
from harness.errors import CaseFileError

__all__ = ["TIME_LIMIT", "UNKNOWN", "check_patterns", "first_match", "search"]

TIME_LIMIT = 1.0
"""Seconds a search may take."""
UNKNOWN = -1.0
"""Value of a pattern whose search ran out of time."""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def search(pattern: str, text: str, time_limit: float = TIME_LIMIT) -> float:
    """1.0 found, 0.0 not found, ``UNKNOWN`` out of time. Raises ``regex.error`` where the pattern is none."""
    try:
        return float(_compiled(pattern).search(text, timeout=time_limit) is not None)
    except TimeoutError:
        return UNKNOWN


def first_match(pattern: str, text: str, time_limit: float = TIME_LIMIT) -> tuple[int, int] | None:
    """Start and end of the first match; None where there is none, or it was not found in time."""
    try:
        match = _compiled(pattern).search(text, timeout=time_limit)
    except TimeoutError:
        return None
    return match.span() if match is not None else None


def check_patterns(answer: str, case: Case) -> dict[str, float]:
    """``must_include[i]`` and ``must_not_include[i]``: 1.0 found, 0.0 not; and how many are missing and forbidden.

    Raises:
        CaseFileError: a pattern that is not a regular expression; names the case and the pattern.
    """
    scores: dict[str, float] = {}
    for field, patterns in (("must_include", case.must_include), ("must_not_include", case.must_not_include)):
        scores.update(_search_all(answer, case, field, patterns))
    scores["missing_patterns"] = float(sum(scores[f"must_include[{i}]"] == 0.0 for i in range(len(case.must_include))))
    scores["forbidden_patterns"] = float(
        sum(scores[f"must_not_include[{i}]"] == 1.0 for i in range(len(case.must_not_include)))
    )
    return scores


def _search_all(answer: str, case: Case, field: str, patterns: Sequence[str]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for i, pattern in enumerate(patterns):
        try:
            scores[f"{field}[{i}]"] = search(pattern, answer)
        except regex.error as error:
            raise CaseFileError(
                f"{case.id}: {field}[{i}] {pattern!r} is not a regular expression ({error}); correct the case"
            ) from error
    return scores
