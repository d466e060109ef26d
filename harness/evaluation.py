"""One evaluation as its users see it: cases and adapters in; results, gate and reports out.

What pytest and ``harness fix`` share, so that neither has logic of its own. Results are pulled:
:meth:`Evaluation.result` lets the runner work until that one is known, so that a caller may stop early and nothing is
generated for what nobody asks any more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cases.model import Case
from harness.compare import Comparison, compare
from harness.engines import engine_info, open_engine
from harness.errors import HarnessError
from harness.gate import GateVerdict, Limits, judge_suite
from harness.manifest import Manifest, read_manifest
from harness.reports import Report, write_all
from harness.reports.assemble import assemble_report
from harness.reports.model import Change, changes
from harness.results import CaseResult
from harness.runner import Job, OpenEngine, Runner, RunnerProgress
from harness.settings import Settings
from harness.store import Run, Store
from harness.targets import Target, resolve_target

__all__ = ["Evaluation", "Outcome", "conclude_run", "limits_of"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation came to."""

    run: Run
    gates: Mapping[str, GateVerdict]
    """By adapter."""
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


def limits_of(settings: Settings) -> Limits:
    """The gate's limits as the settings give them."""
    return Limits(
        max_repetition=settings.max_repetition,
        max_repeater_rate=settings.max_repeater_rate,
        max_cutoff_rate=settings.max_cutoff_rate,
        max_regressions=settings.max_regressions,
    )


class Evaluation:
    """Cases on adapters, judged once. Close it whatever happens: that records how the run ended."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store | None = None,
        engine: OpenEngine = open_engine,
        on_progress: Callable[[RunnerProgress], None] = lambda _: None,
    ) -> None:
        """Read the manifest and open the store.

        Raises:
            ManifestError, StoreError: as they say.
        """
        self.settings = settings
        self.manifest: Manifest = read_manifest(settings.manifest_path)
        self.store = store or Store(settings.database)
        self.results: dict[int, CaseResult] = {}
        """By position; grows while the run goes on."""
        self.broken: HarnessError | None = None
        """Why the run stopped before its end, if it did."""
        self._owns_store = store is None
        self._runner = Runner(settings, self.store, engine, on_progress=on_progress)
        self._targets: dict[str, Target] = {}
        self._jobs: list[Job] = []
        self._work: Generator[CaseResult, None, Run] | None = None

    def plan(self, pairs: Sequence[tuple[Case, str]]) -> tuple[Job, ...]:
        """Say which cases run on which adapters; resolves and checks every adapter at once.

        Raises:
            ManifestError: an unknown adapter or baseline.
            SettingsError: an unknown engine.
            AdapterError: an adapter's files are not what the manifest says.
        """
        engine_info(self.settings.engine, **self.settings.engine_options)
        if self.settings.baseline:
            self.manifest.adapter(self.settings.baseline)
        for name in dict.fromkeys(name for _, name in pairs):
            self._targets[name] = resolve_target(name, self.manifest, self.settings, self.store)
        self._jobs = [Job(i, case, self._targets[name]) for i, (case, name) in enumerate(pairs)]
        return tuple(self._jobs)

    def start(self, facts: Mapping[str, Any] | None = None) -> None:
        """Begin the run; answers are made when results are asked for."""
        about = {"limits": limits_of(self.settings), "baseline": self.settings.baseline, **(facts or {})}
        self._work = self._runner.execute(self._jobs, about)

    def result(self, job: Job) -> CaseResult:
        """The result of ``job``; generates until it is known.

        Raises:
            HarnessError: the run broke before that and recorded nothing for this job.
        """
        while job.position not in self.results and self._advance():
            pass
        if job.position not in self.results:
            raise self.broken or HarnessError(f"{job.case.id}: the run ended without a result for it; run it again")
        return self.results[job.position]

    def finish(self) -> None:
        """Work until every result is known."""
        while self._advance():
            pass

    def stop(self) -> None:
        """Stop generating; what is not known stays unknown, and the run is recorded as interrupted if it was."""
        if self._work is not None:
            work, self._work = self._work, None
            work.close()

    def close(self) -> None:
        """Stop, and give back the store; calling it twice is fine."""
        self.stop()
        if self._owns_store:
            self.store.close()

    def conclude(self, *, complete: bool = True, training: Mapping[str, Any] | None = None) -> Outcome:
        """Judge the gate, compare, and write the reports of what is known.

        Args:
            complete: False when some planned results were not asked for (``-x``, Ctrl-C); such a run passes no gate.
            training: facts about the training that this evaluation follows, for the report.

        Raises:
            ReportError: a report could not be written; everything is in the store all the same.
        """
        if len(self.results) == len(self._jobs):
            # Nothing is left to generate, but only an exhausted run knows that it is finished.
            self.finish()
        self.stop()
        run = self._runner.run
        if run is None:
            raise HarnessError("nothing was run: start the evaluation before it is concluded")
        complete = complete and run.status == "finished" and len(self.results) == len(self._jobs)
        run = self.store.finish_run(run.id, run.status, {"complete": complete, **_training(training)})
        return conclude_run(run, self.store, self.manifest, self.settings)

    def _advance(self) -> bool:
        if self._work is None:
            return False
        try:
            result = next(self._work)
        except StopIteration:
            self._work = None
            return False
        except HarnessError as error:
            self.broken, self._work = error, None
            return False
        # Position, not case: the same case is judged once per adapter.
        key = (result.case.id, result.adapter)
        self.results[next(j.position for j in self._jobs if (j.case.id, j.target.name) == key)] = result
        return True


def conclude_run(run: Run, store: Store, manifest: Manifest, settings: Settings) -> Outcome:
    """Judge a recorded run against the gate, compare, and write its reports; the run itself is not changed.

    Raises:
        ReportError: a report could not be written; everything is in the store all the same.
    """
    recorded = store.results(run.id)
    results = {name: tuple(r for r in recorded if r.adapter == name) for name in run.adapters}
    baseline = settings.baseline
    before = results.get(baseline) or (
        store.latest_results(baseline, {r.case.id for r in recorded}) if baseline else ()
    )
    gates = {
        name: judge_suite(
            found, limits_of(settings), before if before and name != baseline else None,
            bool(run.facts.get("complete")), baseline_wanted=bool(baseline) and name != baseline,
        )
        for name, found in results.items()
    }  # fmt: skip
    earlier = () if baseline in results or not before else (baseline,)
    shown = {**dict.fromkeys(earlier, tuple(before)), **results}
    names = list(shown)
    first = baseline if baseline in shown else names[0]
    last = next((n for n in reversed(names) if n != first), None)
    report = assemble_report(run, shown, gates[names[-1]], manifest.adapters, earlier=earlier)
    return Outcome(
        run, gates, report, compare(shown[first], shown[last]) if last else None,
        changes(shown[first], shown[last]) if last else (), write_all(report, settings.reports / "runs" / run.id),
    )  # fmt: skip


def _training(facts: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if facts is None else {"training": dict(facts)}
