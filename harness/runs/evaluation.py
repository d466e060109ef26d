"""One evaluation: cases and adapters in, results out, the run recorded.

pytest and ``harness fix`` share this class, so neither has logic of its own. Results are pulled:
:meth:`Evaluation.result` lets the runner work until that result is known. A caller may stop early, and nothing more is
generated then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Self

from harness.cases.model import Case
from harness.engines import engine_info, open_engine
from harness.errors import AdapterError, HarnessError
from harness.judging.results import CaseResult
from harness.models.target import Target, resolve_target
from harness.project.manifest import Manifest, read_manifest
from harness.project.settings import Settings
from harness.runs.jobs import Job
from harness.runs.revision import git_revision
from harness.runs.runner import OpenEngine, Runner, RunnerProgress
from harness.safe.processes import process_facts
from harness.store import Part, Run, Store

__all__ = ["Evaluation"]


class Evaluation:
    """Cases on adapters, judged once. A context manager: closing it records how the run ended."""

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
        self._positions: dict[tuple[str, str], int] = {}
        self._work: Generator[CaseResult, None, Run] | None = None
        self._part: Part | None = None

    def plan(self, pairs: Sequence[tuple[Case, str]], positions: Sequence[int] | None = None) -> tuple[Job, ...]:
        """Set which cases run on which adapters; resolves and checks every adapter.

        Args:
            pairs: cases with the adapters that they run on.
            positions: the place of each in the whole run, where these are a part of one; default: 0, 1, 2 ...

        Raises:
            ManifestError: an unknown adapter or baseline.
            SettingsError: an unknown engine.
            AdapterError: the only adapter's files are not what the manifest says. Of several adapters, the cases of
                one that cannot be used become ERROR.
        """
        engine_info(self.settings.engine, **self.settings.engine_options)
        if self.settings.baseline and not self.settings.baseline_is_file:
            self.manifest.adapter(self.settings.baseline)
        names = list(dict.fromkeys(name for _, name in pairs))
        problems: dict[str, str] = {}
        for name in names:
            try:
                self._targets[name] = resolve_target(name, self.manifest, self.settings, self.store)
            except AdapterError as error:
                # One bad version of several must not spoil the others' run.
                if len(names) == 1:
                    raise
                problems[name] = str(error)
        self._jobs = [
            Job(position=i, case=case, target=self._targets.get(name), name=name, problem=problems.get(name, ""))
            for i, (case, name) in zip(positions or range(len(pairs)), pairs, strict=True)
        ]
        self._positions = {(job.case.id, job.name): job.position for job in self._jobs}
        return tuple(self._jobs)

    def start(self, facts: Mapping[str, Any] | None = None, part: Part | None = None) -> None:
        """Record that the run has begun; answers are generated when results are requested.

        Args:
            facts: what the run's record says about itself.
            part: which part of a run this is; None: it is a run.

        Raises:
            StoreError: the run cannot be recorded.
            UsageError: the other parts of the run have other settings.
        """
        self._part = part
        about = {
            "limits": self.settings.recorded_limits,
            "baseline": self.settings.baseline,
            "contents": {name: self.manifest.contents(name) for name in self._targets},
            "process": process_facts(),
            **({"commit": revision} if (revision := git_revision(self.settings.root)) else {}),
            **({"tags": list(self.settings.run_tags)} if self.settings.run_tags else {}),
            **(facts or {}),
        }
        self._work = self._runner.execute(self._jobs, about, part)

    def result(self, job: Job) -> CaseResult:
        """The result of ``job``; generates until it is known.

        Raises:
            HarnessError: the run broke before that and recorded nothing for this job.
        """
        while job.position not in self.results and self._advance() is not None:
            pass
        if job.position not in self.results:
            raise self.broken or HarnessError(f"{job.case.id}: the run ended without a result for it; run it again")
        return self.results[job.position]

    def finish(self) -> None:
        """Generate until every result is known."""
        for _ in self.as_completed():
            pass

    def as_completed(self) -> Iterator[CaseResult]:
        """Yield results in the order in which they become known; ends early where the run broke (:attr:`broken`)."""
        while (result := self._advance()) is not None:
            yield result

    def run(self, pairs: Sequence[tuple[Case, str]], facts: Mapping[str, Any] | None = None) -> tuple[CaseResult, ...]:
        """Plan, start and finish in one call.

        Args:
            pairs: cases with the adapters that they run on.
            facts: what the run's record says about itself.

        Returns:
            One result per pair, in the same order.

        Raises:
            HarnessError: as :meth:`plan` does, or the run stopped before its end.
        """
        self.plan(pairs)
        self.start(facts)
        self.finish()
        if self.broken is not None:
            raise self.broken
        return tuple(self.result(job) for job in self._jobs)

    def stop(self) -> None:
        """Stop generating; a run with missing results is recorded as interrupted."""
        if self._work is not None:
            work, self._work = self._work, None
            work.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and close the store if this object opened it; may be called twice."""
        self.stop()
        if self._owns_store:
            self.store.close()

    def end(self, *, complete: bool = True, training: Mapping[str, Any] | None = None) -> Run:
        """Record how the run ended.

        Args:
            complete: False when some planned results were not asked for (``-x``, Ctrl-C); such a run passes no gate.
            training: facts about the training that this evaluation follows, for the report.

        Raises:
            HarnessError: the evaluation was not started.
        """
        if len(self.results) == len(self._jobs):
            # Nothing is left to generate, but only an exhausted run knows that it is finished.
            self.finish()
        self.stop()
        run = self._runner.run
        if run is None:
            raise HarnessError("the evaluation was not started, so there is no run to end")
        part, status = self._part, self._runner.status
        complete = complete and status == "finished" and len(self.results) == len(self._jobs)
        if part is not None and part.group:
            # Some cases of a part are not the part that the others wait for.
            complete = complete and len(self._jobs) == part.planned
        facts = {"complete": complete} if training is None else {"complete": complete, "training": dict(training)}
        # Nothing was asked of a run that is only started.
        return self.store.finish_run(run.id, "interrupted" if status == "started" else status, facts, part=part)

    def _advance(self) -> CaseResult | None:
        if self._work is None:
            return None
        try:
            result = next(self._work)
        except StopIteration:
            self._work = None
            return None
        except HarnessError as error:
            self.broken, self._work = error, None
            return None
        self.results[self._positions[result.case.id, result.adapter]] = result
        return result
