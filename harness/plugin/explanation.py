"""Failures in the shapes that pytest prints and writes to JUnit: a failed case, and the suite's gate.

pytest asks of a failure only that it can be written to a terminal and to a text, so this module does not import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from harness.judging.results import CaseResult
from harness.plugin.badcase import BadCaseError, BadCaseFailed
from harness.reports.console import failure_text
from harness.reports.reasons import reason_line
from harness.safe.escape import for_terminal

__all__ = ["Explanation", "GateTest"]


@dataclass(frozen=True, slots=True)
class _Crash:
    """What pytest's short summary shows of a failure (the shape of its own ``ReprFileLocation``)."""

    message: str
    path: str = ""
    lineno: int = 0

    def __str__(self) -> str:
        return self.message


class Explanation:
    """Why a test did not pass, in the shape that pytest prints: no traceback, which would say nothing here."""

    def __init__(self, problem: BadCaseFailed | BadCaseError, width: int, *, brief: bool) -> None:
        self._result = problem.result
        self._width = width
        self._brief = brief
        self.reprcrash = _Crash(_brief(problem.result))

    def toterminal(self, writer: Any) -> None:
        """Write to pytest's terminal writer."""
        # With --tb=line pytest writes the one line itself, after this.
        if not self._brief:
            writer.line(failure_text(self._result, writer.fullwidth, color=writer.hasmarkup))

    def __str__(self) -> str:
        return failure_text(self._result, self._width, color=False)


@dataclass(frozen=True, slots=True)
class GateTest:
    """The gate as a test case of the JUnit file, in the shape that pytest reads of a failure."""

    outcome: Literal["passed", "failed", "error"]
    """``error`` where there is nothing to judge by: no failure of the model."""
    message: str
    details: str = ""

    @property
    def reprcrash(self) -> _Crash:
        return _Crash(self.message)

    def __str__(self) -> str:
        return self.details or self.message


def _brief(result: CaseResult) -> str:
    """One line: the case, and what a person sees in its answer. In JUnit it is the message."""
    text = f"{result.verdict.status} {result.case.id} on {result.adapter}: {reason_line(result)}"
    return for_terminal(text, keep_newlines=False)
