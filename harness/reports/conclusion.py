"""What a recorded run comes to: the gate's verdict, the comparison, and the reports.

Everything is derived from the store, so ``harness gate`` and ``harness report`` draw the same conclusion from an old
run as pytest drew when the run ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.judging.results import CaseResult
from harness.project.manifest import Manifest
from harness.project.run_group import pipeline_group
from harness.project.settings import LIMIT_NAMES, Settings
from harness.reports import Report, write_all
from harness.reports.assemble import assemble_report
from harness.reports.latest import LATEST, point_latest
from harness.store import IMPORTED, Run, Store
from harness.suite.baseline import matching, read_baseline
from harness.suite.compare import Change, Comparison, changes, compare
from harness.suite.gate import GateVerdict, combine_gates, judge_suite

__all__ = ["Conclusion", "conclude_run", "judge_run", "named_run", "recorded_flags", "review_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The conclusion of a run."""

    run: Run
    gates: Mapping[str, GateVerdict]
    """By adapter; a baseline in the same run has none."""
    report: Report
    comparison: Comparison | None
    """Of the baseline, or else the first adapter, with the last one."""
    changes: tuple[Change, ...] = ()
    """The same, case by case."""
    reports: tuple[Path, ...] = ()
    """Files that were written."""

    @property
    def passed(self) -> bool:
        return bool(self.gates) and all(g.passed for g in self.gates.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A run's results with what they were judged against."""

    results: Mapping[str, tuple[CaseResult, ...]]
    baseline: str
    before: Sequence[CaseResult]
    gates: Mapping[str, GateVerdict]


def conclude_run(run: Run, store: Store, manifest: Manifest, settings: Settings) -> Conclusion:
    """Judge a recorded run against the gate, compare, and write its reports; the run itself is not changed.

    Raises:
        ReportError: a report could not be written; everything is in the store all the same.
    """
    conclusion = review_run(run, store, manifest, settings)
    folder = settings.reports / "runs" / run.id
    try:
        reports = write_all(conclusion.report, folder)
    finally:
        # A report that is missing is named by its error; the others are those of the last run all the same.
        if settings.database_is_shared or store.newest_shown().id == run.id:
            point_latest(settings.reports, folder)
    return replace(conclusion, reports=reports)


def review_run(run: Run, store: Store, manifest: Manifest, settings: Settings) -> Conclusion:
    """Judge a recorded run against the gate and compare; nothing is written."""
    judged = _judge(run, store, settings)
    results, baseline, before = judged.results, judged.baseline, judged.before
    earlier = () if baseline in results or not before else (baseline,)
    # The first is what every report compares the last with, so a baseline comes first.
    shown = {**({baseline: tuple(before)} if before else {}), **results}
    first, *others = shown
    last = others[-1] if others else None
    gate = combine_gates(judged.gates) if run.kind != IMPORTED else None
    report = assemble_report(run, shown, gate, manifest.adapters, earlier=earlier)
    return Conclusion(
        run=run,
        gates=judged.gates,
        report=report,
        comparison=compare(shown[first], shown[last]) if last else None,
        changes=changes(shown[first], shown[last]) if last else (),
    )


def named_run(store: Store, settings: Settings, name: str | None) -> Run:
    """The run of that id; without one, the last one of this project.

    In a database that several machines share, the last run may be another machine's. There it is the run of this call's
    group, or else the one whose reports were written here last.

    Raises:
        StoreError: there is none.
    """
    if name is not None and name != "last":
        return store.run(name)
    if not settings.database_is_shared:
        return store.run("last")
    group = settings.run_group or pipeline_group()
    if group and (run := store.run_of_group(group)) is not None:
        return run
    latest = settings.reports / LATEST
    if not latest.is_symlink():
        raise StoreError(
            f"no run was judged in {settings.reports}, and the database is shared; name a run of harness history"
        )
    return store.run(latest.resolve().name)


def recorded_flags(run: Run) -> dict[str, Any]:
    """The limits and the baseline that a run was asked to keep to, as settings."""
    # Runs of older versions recorded some limits under other names; these fall back to the settings.
    limits = run.facts.get("limits", {})
    flags = {name: limits[name] for name in LIMIT_NAMES if limits.get(name) is not None}
    return flags | ({"baseline": run.facts["baseline"]} if run.facts.get("baseline") else {})


def judge_run(run: Run, store: Store, settings: Settings) -> Mapping[str, GateVerdict]:
    """The gate's verdict on each adapter of a recorded run; nothing is written."""
    return _judge(run, store, settings).gates


def _judge(run: Run, store: Store, settings: Settings) -> _Judged:
    recorded = store.results(run.id)
    results = {name: tuple(r for r in recorded if r.adapter == name) for name in run.adapters}
    baseline, before = _baseline(settings, store, recorded, run)
    before = results.get(baseline) or before
    # A baseline beside other versions is what they are compared with, and not itself in question.
    judged = [name for name in results if name != baseline] or list(results)
    if run.kind == IMPORTED:
        # The gate is about what an engine answers; old answers are shown and compared.
        return _Judged(results=results, baseline=baseline, before=before, gates={})
    gates = {
        name: judge_suite(
            results[name], settings.limits, before if before and name != baseline else None,
            bool(run.facts.get("complete")), baseline_wanted=bool(baseline) and name != baseline,
            suite_cases=run.facts.get("suite", {}).get("cases"),
        )
        for name in judged
    }  # fmt: skip
    return _Judged(results=results, baseline=baseline, before=before, gates=gates)


def _baseline(
    settings: Settings, store: Store, recorded: Sequence[CaseResult], run: Run
) -> tuple[str, tuple[CaseResult, ...]]:
    """Name and earlier results of what the run is compared with; only of cases that are still the same tests."""
    cases = {r.case.id: r.case for r in recorded}
    if run.kind == IMPORTED:
        # Its versions are compared with each other; what the project measures an engine against is another thing.
        return "", ()
    if settings.baseline_is_file:
        file = read_baseline(settings.baseline, settings.root)
        return file.title, file.results(cases.values())
    if not settings.baseline or settings.baseline in run.adapters:
        return settings.baseline, ()
    earlier = store.latest_results(settings.baseline, set(cases))
    return settings.baseline, matching(earlier, cases.values())
