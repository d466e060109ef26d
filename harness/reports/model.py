"""What a report is about: one frozen value, and the few things that every report derives from it the same way.

Reports are pure functions of a :class:`Report`; none reads the store, the clock or the environment, so the same run
gives the same report (apart from what a format itself stamps) and every report can be written again later. Orders and
groups are decided here once: what changed for the worse comes first everywhere. Given up: reports over several runs;
the history of an adapter is the store's to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.cases.model import Role
from harness.engines.base import EngineInfo
from harness.judging.results import CaseResult, Status
from harness.suite import figures as suite_figures
from harness.suite.significance import Interval

__all__ = [
    "CHANGE_ORDER",
    "ROLES",
    "AdapterResults",
    "Change",
    "ChangeKind",
    "Check",
    "Figures",
    "GateFacts",
    "Report",
    "RunFacts",
    "TrainingFacts",
    "as_score",
    "as_share",
    "changes",
    "figures",
    "headline",
    "shortfall",
]

ChangeKind = Literal["broken", "fixed", "still failing", "not told", "still passing"]

CHANGE_ORDER: tuple[ChangeKind, ...] = ("broken", "fixed", "still failing", "not told", "still passing")
"""What changed first, the worse half of it before the better; ``not told``: no verdict on one of the two sides."""


ROLES: tuple[Role, ...] = ("fix", "holdout", "guard")
"""In the order to show."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Where the results come from: enough to run it again."""

    id: str
    started: str
    """ISO 8601."""
    finished: str | None = None
    status: str = "finished"
    """``started``, ``finished``, ``interrupted`` or ``failed``."""
    command: str = ""
    planned: int = 0
    """Results that a whole run has; fewer recorded ones mean that it was cut short. 0: not known."""
    model: str = ""
    engine: EngineInfo | None = None
    seconds: float | None = None
    cached: int = 0
    """Answers taken from the cache."""
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdapterResults:
    """One adapter version and how it did on every selected case."""

    name: str
    results: tuple[CaseResult, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the manifest says of it: parent, method, rank, digest, status."""
    earlier: bool = False
    """Whether these come from an earlier run, to compare with: they do not count as this run's results."""


@dataclass(frozen=True, slots=True)
class Check:
    """One limit of the gate."""

    name: str
    text: str
    passed: bool | None
    """None: there was not enough to tell, which is not a pass."""
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class GateFacts:
    """The gate's verdict as reports show it."""

    passed: bool | None
    """None: nothing could be judged."""
    text: str
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """The training that made the last adapter."""

    adapter: str
    parent: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Method, recipe, pairs, steps, minutes ... in the order to show."""
    losses: tuple[tuple[int, float], ...] = ()
    """(step, loss) as the trainer logged them."""


@dataclass(frozen=True, slots=True)
class Report:
    """A finished (or broken off) run with everything that a reader of it needs."""

    run: RunFacts
    adapters: tuple[AdapterResults, ...]
    """In the order to show; with two or more, the first is compared with the last."""
    gate: GateFacts | None = None
    training: TrainingFacts | None = None

    @property
    def after(self) -> AdapterResults | None:
        """The adapter that the report is about: the last one."""
        return self.adapters[-1] if self.adapters else None

    @property
    def before(self) -> AdapterResults | None:
        """The adapter it is compared with; None when there is only one."""
        return self.adapters[0] if len(self.adapters) > 1 else None


@dataclass(frozen=True, slots=True)
class Figures:
    """How one adapter did on a set of cases. Rates and scores are 0..1, None where nothing could be measured."""

    cases: int
    passed: int
    failed: int
    errors: int
    skipped: int
    repetition: float | None
    """Weighted mean of the clamped repetition excess: the suite's repetition score."""
    repeater_rate: float | None
    """Share of the judged cases that fail on repetition."""
    cutoff_rate: float | None
    """Share of the answers that were cut off, at max_tokens or because the loop was certain."""
    similarity: float | None
    """Mean similarity to the standard answer."""

    @property
    def status(self) -> Status:
        """FAIL and ERROR win over PASS; nothing but skips, or no case at all, is a SKIP."""
        if self.errors:
            return Status.ERROR
        if self.failed:
            return Status.FAIL
        return Status.PASS if self.passed else Status.SKIP


@dataclass(frozen=True, slots=True)
class Change:
    """One case on both sides of a comparison."""

    kind: ChangeKind
    before: CaseResult | None
    after: CaseResult | None

    @property
    def result(self) -> CaseResult:
        """Either side; its case is the same."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a change needs at least one side")
        return found


def figures(results: Iterable[CaseResult]) -> Figures:
    """The figures of a set of results of one adapter, as :mod:`harness.suite.figures` has them for the gate."""
    results = tuple(results)
    count = {status: sum(r.verdict.status is status for r in results) for status in Status}
    found = suite_figures.figures(results)
    return Figures(
        cases=len(results),
        passed=count[Status.PASS],
        failed=count[Status.FAIL],
        errors=count[Status.ERROR],
        skipped=count[Status.SKIP],
        repetition=_told(found.repetition),
        repeater_rate=_told(found.repeaters),
        cutoff_rate=_told(found.cutoffs),
        similarity=_told(found.similarity),
    )


def _told(interval: Interval) -> float | None:
    """An interval over nothing says nothing."""
    return interval.value if interval.n else None


def changes(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> tuple[Change, ...]:
    """Every case of either side, grouped by what became of it, in :data:`CHANGE_ORDER`, then in suite order."""
    old = {r.case.id: r for r in before}
    new = {r.case.id: r for r in after}
    found = [Change(_kind(old.get(i), new.get(i)), old.get(i), new.get(i)) for i in dict.fromkeys((*new, *old))]
    return tuple(sorted(found, key=lambda c: CHANGE_ORDER.index(c.kind)))


def as_score(value: float | None) -> str:
    """A score for people: three decimals, ``-`` where there is none."""
    return "-" if value is None else f"{value:.3f}"


def as_share(value: float | None) -> str:
    """A rate for people: per cent with one decimal, ``-`` where there is none."""
    return "-" if value is None else f"{value:.1%}"


def headline(report: Report) -> str:
    """The run in one sentence, without the gate."""
    after = report.after
    if after is None or not after.results:
        return "No case was run"
    if report.before is not None:
        count = Counter(c.kind for c in changes(report.before.results, after.results))
        parts = [f"{count[kind]} {kind}" for kind in CHANGE_ORDER if count[kind] and kind != "not told"]
        untold = f", {count['not told']} without a verdict" if count["not told"] else ""
        return f"{after.name} against {report.before.name}: {', '.join(parts) or 'nothing to compare'}{untold}"
    found = figures(after.results)
    if found.passed == found.cases:
        return f"{after.name}: all {found.cases} cases pass"
    repeaters = sum(r.verdict.repeater for r in after.results)
    parts = [f"{found.failed} of {found.cases} cases fail ({repeaters} repeat themselves)"] if found.failed else []
    parts += [f"{found.errors} could not be judged"] if found.errors else []
    parts += [f"{found.skipped} skipped"] if found.skipped else []
    return f"{after.name}: {', '.join(parts)}"


def shortfall(report: Report) -> str | None:
    """Why the run does not count as a whole one, or None when it does."""
    have = sum(len(a.results) for a in report.adapters if not a.earlier)
    missing = max(report.run.planned - have, 0)
    if report.run.status == "finished" and not missing:
        return None
    states = {
        "started": "did not end",
        "interrupted": "was interrupted",
        "failed": "failed",
        "finished": "is not whole",
    }
    state = states.get(report.run.status, report.run.status)
    return f"This run {state}: {have} of {max(report.run.planned, have)} results are here"


def _kind(before: CaseResult | None, after: CaseResult | None) -> ChangeKind:
    judged = (Status.PASS, Status.FAIL)
    if before is None or after is None:
        return "not told"
    old, new = before.verdict.status, after.verdict.status
    if old not in judged or new not in judged:
        return "not told"
    if new is Status.PASS:
        return "still passing" if old is Status.PASS else "fixed"
    return "still failing" if old is Status.FAIL else "broken"
