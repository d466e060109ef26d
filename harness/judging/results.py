"""The results of judging: one attempt per generated answer, one result per case and adapter.

These values are derived. The store keeps the generations, and everything here can be computed again with other
thresholds. There are four verdicts and only ``PASS`` is green. ``ERROR`` means that the harness could not judge, which
is neither a failure of the model nor a success.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.cases.model import Case
from harness.engines.base import FinishReason
from harness.metrics.types import Scores

__all__ = ["Attempt", "CaseResult", "Reason", "Status", "Verdict"]


class Status(StrEnum):
    """The four verdicts."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    ERROR = "ERROR"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule that an answer broke; for ERROR and SKIP, why the case was not judged."""

    rule: str
    """Name of the rule, stable: ``loop``, ``rep8``, ``similarity``, ``cutoff``, ``must_include``, ``engine`` ..."""
    text: str
    """For people, one line."""
    value: float | None = None
    limit: float | None = None
    repetition: bool = False
    """Whether this rule is about repetition: what makes a case a repeater."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """PASS, FAIL, ERROR or SKIP, and why."""

    status: Status
    reasons: tuple[Reason, ...] = ()

    @property
    def repeater(self) -> bool:
        """Whether the answer fails on repetition."""
        return self.status is Status.FAIL and any(r.repetition for r in self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One generated answer with its scores and its own verdict."""

    sample: int
    answer: str
    finish_reason: FinishReason | None
    """None when the engine failed, or for an imported answer whose end nobody recorded."""
    scores: Scores | None
    """None when the engine failed or a metric did."""
    verdict: Verdict
    generation: str = ""
    """Key of the raw generation in the store; empty when there is none."""
    tokens: int = 0
    seconds: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case on one adapter: its attempts and the verdict over all of them."""

    case: Case
    adapter: str
    attempts: tuple[Attempt, ...]
    verdict: Verdict

    @property
    def failed(self) -> bool:
        """Whether the case fails although it is expected to pass."""
        return self.verdict.status is Status.FAIL and not self.case.xfail

    @property
    def expected_failure(self) -> bool:
        """Whether the case fails and is marked ``xfail``. Rates count it like any other failure."""
        return self.verdict.status is Status.FAIL and bool(self.case.xfail)

    @property
    def unexpected_pass(self) -> bool:
        """Whether the case passes although it is marked ``xfail``."""
        return self.verdict.status is Status.PASS and bool(self.case.xfail)

    @property
    def note(self) -> str:
        """What a reader must know about an ``xfail`` mark: the expected failure, or the mark to remove; else empty."""
        if self.expected_failure:
            return f"expected failure: {self.case.xfail}"
        if self.unexpected_pass:
            return f"passes although it is marked xfail ({self.case.xfail}); remove the mark"
        return ""

    @property
    def worst(self) -> Attempt | None:
        """The attempt to show: the first that did not pass, else the first."""
        failed = [a for a in self.attempts if a.verdict.status is not Status.PASS]
        return next(iter(failed or self.attempts), None)

    @property
    def repetition(self) -> float | None:
        """Mean over attempts of the clamped repetition excess, 0..1; None where nothing, or not all, was scored so."""
        values = [a.scores.values.get("repetition") for a in self.attempts if a.scores is not None]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else None
