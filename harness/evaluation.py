"""One evaluation as its users see it: cases and adapters in; results, gate and reports out.

What pytest and ``harness fix`` share, so that neither has logic of its own. Results are pulled:
:meth:`Evaluation.result` lets the runner work until that one is known, so that a caller may stop early and nothing is
generated for what nobody asks any more.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cases.model import Case
from harness.compare import Comparison, compare
from harness.engines import open_engine
from harness.errors import HarnessError, ManifestError
from harness.gate import GateVerdict, Limits, judge_suite
from harness.manifest import Manifest, read_manifest
from harness.reports import Report, build_report, write_all
from harness.results import CaseResult, Status
from harness.runner import Job, OpenEngine, Runner, RunnerProgress
from harness.settings import Settings
from harness.store import Run, Store
from harness.targets import Target, resolve_target

__all__ = ["Evaluation", "Outcome", "limits_of"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation came to."""

    run: Run
    gates: Mapping[str, GateVerdict]
    """By adapter."""
    comparison: Comparison | None
    """Of the first adapter with the last, or of the baseline with the first."""
    reports: tuple[Path, ...] = ()

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
        self.run: Run | None = None
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
            ManifestError: an unknown adapter.
            AdapterError: an adapter's files are not what the manifest says.
        """
        for name in dict.fromkeys(name for _, name in pairs):
            self._targets[name] = resolve_target(name, self.manifest, self.settings, self.store)
        self._jobs = [Job(i, case, self._targets[name]) for i, (case, name) in enumerate(pairs)]
        return tuple(self._jobs)

    def start(self, facts: Mapping[str, Any] | None = None) -> None:
        """Begin the run; answers are made when results are asked for."""
        self._work = self._runner.execute(self._jobs, {"limits": limits_of(self.settings), **(facts or {})})

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
        self.stop()
        results = [self.results[i] for i in sorted(self.results)]
        run = self._last_run()
        complete = complete and run.status == "finished" and len(results) == len(self._jobs)
        baseline_name = self.settings.baseline
        baseline = self._baseline(baseline_name, results)
        gates = {
            name: judge_suite(
                [r for r in results if r.adapter == name], limits_of(self.settings),
                baseline if name != baseline_name else None, complete,
                baseline_wanted=bool(baseline_name) and name != baseline_name,
            )
            for name in self._targets
        }  # fmt: skip
        comparison = self._comparison(results, baseline)
        self.store.finish_run(run.id, run.status, {"gate": gates, "complete": complete})
        run = self.store.run(run.id)
        report = self.report(run, results, gates, comparison, training)
        return Outcome(run, gates, comparison, write_all(report, self.settings.reports / "runs" / run.id))

    def report(
        self,
        run: Run,
        results: Sequence[CaseResult],
        gates: Mapping[str, GateVerdict],
        comparison: Comparison | None,
        training: Mapping[str, Any] | None = None,
    ) -> Report:
        """Everything that the reports are written from."""
        return build_report(run, tuple(results), dict(gates), comparison, training)

    def _advance(self) -> bool:
        if self._work is None:
            return False
        try:
            result = next(self._work)
        except StopIteration as stop:
            self.run, self._work = stop.value, None
            return False
        except HarnessError as error:
            self.broken, self._work = error, None
            return False
        # Position, not case: the same case is judged once per adapter.
        key = (result.case.id, result.adapter)
        self.results[next(j.position for j in self._jobs if (j.case.id, j.target.name) == key)] = result
        return True

    def _last_run(self) -> Run:
        if self.run is None:
            self.run = self.store.run("last")
        return self.run

    def _baseline(self, name: str, results: Sequence[CaseResult]) -> tuple[CaseResult, ...] | None:
        if not name:
            return None
        if name not in self.manifest.adapters:
            raise ManifestError(f"baseline {name!r} is not in {self.manifest.path.name}")
        here = tuple(r for r in results if r.adapter == name)
        return here or self.store.latest_results(name, {r.case.id for r in results})

    def _comparison(self, results: Sequence[CaseResult], baseline: Sequence[CaseResult] | None) -> Comparison | None:
        names = list(self._targets)
        if baseline and (others := [n for n in names if n != self.settings.baseline]):
            return compare(baseline, [r for r in results if r.adapter == others[-1]])
        if len(names) > 1:
            first = [r for r in results if r.adapter == names[0]]
            return compare(first, [r for r in results if r.adapter == names[-1]])
        return None


def remove_reports(folder: Path) -> None:
    """Delete a run's exported files; the store keeps the run."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def any_error(results: Sequence[CaseResult]) -> bool:
    """Whether the harness, not the model, failed somewhere."""
    return any(r.verdict.status is Status.ERROR for r in results)
