"""What a report is about: one frozen value, and what every report derives from it in the same way.

Reports are pure functions of a :class:`Report`. None reads the store, the clock or the environment, so the same run
gives the same report, and every report can be written again later. Orders and groups are decided here once: what
changed for the worse comes first everywhere. Not supported: reports over several runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.engines.base import EngineInfo
from harness.judging.results import CaseResult
from harness.language import tr
from harness.suite.compare import CHANGE_ORDER, changes
from harness.suite.figures import Figures, figures, grouped_figures
from harness.suite.gate import GateVerdict

__all__ = [
    "AdapterResults",
    "Report",
    "RunFacts",
    "TrainingFacts",
    "as_score",
    "as_share",
    "headline",
    "pattern_figures",
    "shortfall",
]


@dataclass(frozen=True, slots=True, kw_only=True)
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
    imported: tuple[str, ...] = ()
    """Files that the answers come from, where no engine gave them: an imported run."""
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
    """A finished or interrupted run with everything that its reports show."""

    run: RunFacts
    adapters: tuple[AdapterResults, ...]
    """In the order to show; with two or more, the first is compared with the last."""
    gate: GateVerdict | None = None
    training: TrainingFacts | None = None

    @property
    def after(self) -> AdapterResults | None:
        """The adapter that the report is about: the last one."""
        return self.adapters[-1] if self.adapters else None

    @property
    def before(self) -> AdapterResults | None:
        """The adapter it is compared with; None when there is only one."""
        return self.adapters[0] if len(self.adapters) > 1 else None


def as_score(value: float | None) -> str:
    """A score for people: three decimals, ``-`` where there is none."""
    return "-" if value is None else f"{value:.3f}"


def cut_off_note(total: Figures) -> str:
    """What a report says of passing answers that were cut off."""
    return tr(
        "{n} of {passed} passing cases were cut off at max_tokens; give them more tokens, or fail them with "
        "allow_cutoff = false in [thresholds]",
        n=total.passed_cut_off,
        passed=total.passed,
    )


def as_share(value: float | None) -> str:
    """A rate for people: per cent with one decimal, ``-`` where there is none."""
    return "-" if value is None else f"{value:.1%}"


def pattern_figures(results: Sequence[CaseResult]) -> tuple[Figures, ...]:
    """The groups to show pattern rates of: each tag whose cases have patterns, then all cases."""
    every = grouped_figures(results)
    groups = [g for g in (*every[1:], every[0]) if g.group == "all" or g.group.startswith("tag:")]
    return tuple(g for g in groups if g.missing.n or g.forbidden.n)


def headline(report: Report) -> str:
    """The run in one sentence, without the gate; of imported answers it says so."""
    sentence = _headline(report)
    return tr("Imported answers: {sentence}", sentence=sentence) if report.run.imported else sentence


def _headline(report: Report) -> str:
    after = report.after
    if after is None or not after.results:
        return tr("No case was run")
    if report.before is not None:
        count: Counter[str] = Counter(c.kind for c in changes(report.before.results, after.results))
        parts = [f"{count[kind]} {tr(kind)}" for kind in CHANGE_ORDER if count[kind]]
        what = tr(", ").join(parts) or tr("nothing to compare")
        return tr("{after} against {before}: {what}", after=after.name, before=report.before.name, what=what)
    total = figures(after.results)
    if total.passed == total.cases:
        return tr("{name}: all {n} cases pass", name=after.name, n=total.cases)
    failed = total.failed - total.expected_failures
    parts = []
    if failed:
        numbers = {"n": failed, "total": total.cases, "repeating": total.repeating}
        parts.append(tr("{n} of {total} cases fail ({repeating} repeat themselves)", **numbers))
    parts += [tr("{n} expected to fail", n=total.expected_failures)] if total.expected_failures else []
    parts += [tr("{n} could not be judged", n=total.errors)] if total.errors else []
    parts += [tr("{n} skipped", n=total.skipped)] if total.skipped else []
    return f"{after.name}: {tr(', ').join(parts)}"


def shortfall(report: Report) -> str | None:
    """Why the run is incomplete; None when it is complete."""
    have = sum(len(a.results) for a in report.adapters if not a.earlier)
    missing = max(report.run.planned - have, 0)
    if report.run.status == "finished" and not missing:
        return None
    states = {
        "started": tr("This run did not end"),
        "interrupted": tr("This run was interrupted"),
        "failed": tr("This run failed"),
        "finished": tr("This run is not whole"),
    }
    state = states.get(report.run.status, report.run.status)
    return tr("{state}: {n} of {total} results are here", state=state, n=have, total=max(report.run.planned, have))
