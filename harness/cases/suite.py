"""What the whole suite is: how many cases, and a digest of all that decides their verdicts.

A run records both, so that a run of some cases never passes as a run of all, and ``harness gate`` sees when the cases
have changed since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.cases.model import Case
from harness.safe.records import dump, to_data

__all__ = ["SuiteFacts", "case_digest", "describe_suite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFacts:
    """The size and content of a suite."""

    cases: int
    digest: str
    """sha256 over the cases, in the order of their ids."""


def describe_suite(cases: Iterable[Case]) -> SuiteFacts:
    """The facts about all cases of a suite, which has each case once."""
    ordered = sorted(cases, key=lambda case: case.id)
    return SuiteFacts(
        cases=len(ordered), digest=hashlib.sha256(dump([_plain(c) for c in ordered]).encode()).hexdigest()
    )


_ABOUT = ("tags", "role", "weight", "source", "skip", "xfail")
"""Fields that say something about a case and do not decide whether an answer passes."""


def case_digest(case: Case) -> str:
    """sha256 over what decides a case's verdict: conversation, standard answer, patterns, decoding, thresholds.

    Results of two runs are compared only where it is the same on both sides.
    """
    plain = {name: value for name, value in _plain(case).items() if name not in _ABOUT}
    return hashlib.sha256(dump(plain).encode()).hexdigest()


_LATER = ("chat_template_kwargs", "accepted_answers", "rejected_answers")


def _plain(case: Case) -> dict[str, Any]:
    """A case as data, without the fields that came later and are empty, so that older digests stay what they are."""
    return {name: value for name, value in to_data(case).items() if value or name not in _LATER}
