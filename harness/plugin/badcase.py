"""What a test function gets: one case on one adapter, with its answer and its verdict.

This module does not import pytest; the plugin creates these values and translates the exceptions for pytest.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.cases.model import Case
from harness.judging.results import CaseResult, Status

__all__ = ["BadCase", "BadCaseError", "BadCaseFailed", "BadCaseSkipped"]


class BadCaseFailed(AssertionError):
    """The model failed the case."""

    def __init__(self, result: CaseResult) -> None:
        self.result = result
        super().__init__("; ".join(r.text for r in result.verdict.reasons) or "failed")


class BadCaseError(Exception):
    """The harness could not judge the case; never the model's fault."""

    def __init__(self, result: CaseResult) -> None:
        self.result = result
        super().__init__("; ".join(r.text for r in result.verdict.reasons) or "no reason was given")


class BadCaseSkipped(Exception):
    """The case is skipped."""


@dataclass(frozen=True, slots=True)
class BadCase:
    """One bad case on one adapter, already judged."""

    result: CaseResult

    @property
    def case(self) -> Case:
        return self.result.case

    @property
    def adapter(self) -> str:
        return self.result.adapter

    @property
    def answer(self) -> str:
        """The answer that the verdict is about: the first one that did not pass, else the first."""
        worst = self.result.worst
        return worst.answer if worst else ""

    def check(self) -> None:
        """Return if, and only if, the verdict is PASS.

        Raises:
            BadCaseFailed: the model failed the case (an AssertionError).
            BadCaseError: the engine or a metric broke.
            BadCaseSkipped: the case is not to be judged.
        """
        match self.result.verdict.status:
            case Status.PASS:
                return
            case Status.FAIL:
                raise BadCaseFailed(self.result)
            case Status.SKIP:
                raise BadCaseSkipped("; ".join(r.text for r in self.result.verdict.reasons))
            case _:
                raise BadCaseError(self.result)
