"""What the plugin keeps for one pytest session: settings, the planned cases, the evaluation. Does not import pytest.

Everything is created on first use, so a session without bad cases reads no settings and opens no database.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from harness.cases.folder import hidden_folders
from harness.cases.model import Case
from harness.cases.suite import SuiteFacts, describe_suite
from harness.errors import CaseFileError, HarnessError, SettingsError, UsageError
from harness.judging.results import CaseResult, Status
from harness.language import set_language, tr
from harness.plugin.badcase import BadCaseError, BadCaseFailed
from harness.plugin.explanation import Explanation, GateTest
from harness.plugin.progress import ProgressSink
from harness.plugin.shard import Shard
from harness.plugin.shared_results import Collected, ResultThread, SharedResults
from harness.project.settings import Settings, find_root, read_settings
from harness.project.suite import project_cases
from harness.reports.conclusion import Conclusion, conclude_run
from harness.reports.console import comparison_table, summary
from harness.reports.model import headline
from harness.runs.evaluation import Evaluation
from harness.runs.jobs import Job
from harness.runs.parts import missing_parts
from harness.runs.progress import ProgressLine
from harness.runs.runner import RunnerProgress
from harness.runs.sessions import begin_session, end_session
from harness.safe.escape import for_terminal, for_xml
from harness.safe.records import to_data
from harness.store import Run
from harness.suite.baseline import read_baseline
from harness.suite.gate import GateOutcome
from harness.trackers.sending import Sent, send_run, sent_lines

__all__ = ["Planned", "Session"]

_LARGE_RUN = 2_000
"""Results from which a run's page is made when it ends, since later it takes seconds to open."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Planned:
    """One test: a case on an adapter."""

    case: Case
    adapter: str

    @property
    def id(self) -> str:
        """The test's id in brackets; stable as long as the case and the adapter keep their names."""
        return f"{self.case.id}@{self.adapter}"


class Session:
    """One pytest session's bad cases."""

    def __init__(
        self,
        options: argparse.Namespace,
        start: Path,
        command: Sequence[Any],
        *,
        shared: SharedResults | None = None,
        is_worker: bool = False,
    ) -> None:
        """Keep what the command line says; nothing is read yet.

        Args:
            options: pytest's.
            start: folder in which pytest was started.
            command: its arguments, for the run's record.
            shared: where a controller of pytest-xdist and its workers meet; None without xdist.
            is_worker: the tests run here, and the results come from the controller.
        """
        self.is_worker = is_worker
        self._shared = shared
        self._thread = ResultThread(shared) if shared is not None and not is_worker else None
        self._options = options
        self._start = start
        self._command = [str(part) for part in command]
        self._cases: dict[Path, tuple[Planned, ...]] = {}
        self._settings: Settings | None = None
        self._evaluation: Evaluation | None = None
        self._jobs: dict[tuple[str, str], Job] = {}
        self._conclusion: Conclusion | None = None
        self._sent: tuple[Sent, ...] = ()
        self._marker: Path | None = None
        self._unchecked: dict[str, None] = {}
        self._tests: dict[str, Planned] = {}
        """The workers' tests by node id."""
        self._show: Callable[[RunnerProgress], None] = lambda _: None
        self._sink: ProgressSink | None = None
        self._shard: Shard | None = None
        self._waiting: str = ""
        self.problem: HarnessError | None = None
        """The first thing that is wrong with the call or the case files."""
        self.running = False

    # -- collecting --------------------------------------------------------------------------------------------------

    def cases_for(self, folder: Path) -> tuple[Planned, ...]:
        """The tests of the file in ``folder``: every case below it, on every selected adapter."""
        if folder not in self._cases:
            try:
                self._cases[folder] = self._read(folder)
            except HarnessError as error:
                self.problem = self.problem or error
                self._cases[folder] = ()
        return self._cases[folder]

    @property
    def passed(self) -> bool:
        """Whether the gate passed, or waits for other parts, and every failed case failed its test."""
        if self._waiting:
            return not self._unchecked
        return self._conclusion is not None and self._conclusion.passed and not self._unchecked

    @property
    def judgeable(self) -> bool:
        """Whether there was something to judge by: False for a part of the suite, or a run that ended early."""
        gate = None if self._conclusion is None else self._conclusion.report.gate
        if self._waiting:
            return True
        return gate is not None and (gate.outcome is not GateOutcome.NOT_JUDGEABLE or bool(self._unchecked))

    def tag_markers(self, config: Any, case: Case) -> list[str]:
        """Names under which ``-m`` finds the case's tags; registered, since unknown markers are errors."""
        names = [name for tag in case.tags if (name := re.sub(r"\W+", "_", tag).strip("_")).isidentifier()]
        for name in names:
            config.addinivalue_line("markers", f"{name}: tag of a bad case")
        return names

    def split(self, items: Sequence[tuple[T, Planned | None]]) -> tuple[list[T], list[T]]:
        """Items of this shard that ``--case`` selects, and the others; other tests are always kept.

        Raises:
            HarnessError: the costs by which shards are balanced cannot be read.
        """
        keep: list[T] = []
        drop: list[T] = []
        for item, planned in items:
            mine = planned is None or (self._in_shard(planned.case.id) and self._is_selected(planned.case.id))
            (keep if mine else drop).append(item)
        return keep, drop

    def _in_shard(self, case_id: str) -> bool:
        if self._options.shard is None or self._settings is None:
            return True
        if self._shard is None:
            part, parts = self._options.shard
            planned = [(p.case.id, p.adapter) for of_file in self._cases.values() for p in of_file]
            self._shard = Shard(
                number=part, of=parts, settings=self._settings, planned=planned,
                collect_only=bool(self._options.collectonly),
            )  # fmt: skip
        return case_id in self._shard.cases

    def _is_selected(self, case_id: str) -> bool:
        patterns = self._options.harness_cases
        return not patterns or any(fnmatchcase(case_id, pattern) for pattern in patterns)

    # -- running -----------------------------------------------------------------------------------------------------

    def plan(self, planned: Sequence[Planned]) -> None:
        """Check adapters and prepare the jobs; nothing is generated yet."""
        assert self._settings is not None
        if self._settings.baseline_is_file:
            read_baseline(self._settings.baseline, self._settings.root)
        self._evaluation = Evaluation(self._settings, on_progress=self._progressed)
        places = self._shard.positions([(p.case.id, p.adapter) for p in planned]) if self._shard else None
        jobs = self._evaluation.plan([(p.case, p.adapter) for p in planned], places)
        self._jobs = {(j.case.id, j.name): j for j in jobs}

    def start(self, progress: ProgressSink) -> None:
        """Begin the run, if any case was collected."""
        if self._evaluation is None or self._settings is None:
            return
        self._sink = progress
        self._show = ProgressLine(progress.show, self._settings.engine, progress.every)
        part = self._shard.part if self._shard is not None else None
        self._evaluation.start({"command": ["pytest", *self._command], "suite": to_data(self._suite())}, part)
        self.running = True

    def _progressed(self, progress: RunnerProgress) -> None:
        if self._thread is not None:
            self._thread.check(progress)
        self._show(progress)

    def tell_controller(self, worker: str, tests: Mapping[str, Planned]) -> None:
        """In a worker of pytest-xdist: say which tests it collected, by node id."""
        assert self._shared is not None
        pairs = {node: (planned.case.id, planned.adapter) for node, planned in tests.items()}
        self._shared.write_collected(worker, Collected(folders=tuple(map(str, self._cases)), tests=pairs))

    def run_for_workers(self, worker: str, progress: ProgressSink) -> None:
        """In the controller of pytest-xdist: begin the run of what a worker collected, in a thread.

        Raises:
            HarnessError: as reading the cases, :meth:`plan` and :meth:`start` do.
        """
        assert self._shared is not None
        assert self._thread is not None
        collected = self._shared.read_collected(worker)
        if collected is None or self.running:
            return
        known = {(p.case.id, p.adapter): p for folder in collected.folders for p in self.cases_for(Path(folder))}
        if self.problem is not None:
            raise self.problem
        self.split([(planned, planned) for planned in known.values()])
        self._tests = {node: known[pair] for node, pair in collected.tests.items() if pair in known}
        if len(self._tests) < len(collected.tests):
            raise UsageError("-n: case files changed while pytest collected them; run it again")
        if self._tests:
            self.plan(list(dict.fromkeys(self._tests.values())))
            self.start(progress)
            assert self._evaluation is not None
            self._thread.start(self._evaluation)

    def planned_test(self, node: str) -> Planned | None:
        """In the controller of pytest-xdist: the case of a worker's test."""
        return self._tests.get(node)

    def result(self, planned: Planned) -> CaseResult:
        """The result of a test's case; blocks until it is known."""
        if self.is_worker:
            assert self._shared is not None
            return self._shared.wait_for(planned.case.id, planned.adapter)
        assert self._evaluation is not None
        try:
            return self._evaluation.result(self._jobs[planned.case.id, planned.adapter])
        finally:
            if self._sink is not None:
                self._sink.clear()

    def note_outcome(self, planned: Planned, *, failed: bool) -> None:
        """Take in how a test ended: a case that failed and whose test did not was never checked."""
        job = self._jobs.get((planned.case.id, planned.adapter))
        result = self._evaluation.results.get(job.position) if job is not None and self._evaluation else None
        if result is not None and result.failed and not failed:
            self._unchecked[planned.id] = None

    def properties(self, result: CaseResult) -> list[tuple[str, object]]:
        """What a test report says about a result: two scores and the verdict."""
        attempt = result.worst
        scores = attempt.scores.values if attempt is not None and attempt.scores is not None else {}
        shown = [(name, round(scores[name], 4)) for name in ("repetition", "similarity") if name in scores]
        cut_off = attempt is not None and attempt.finish_reason == "length"
        more = [("cut_off_at", attempt.tokens)] if attempt is not None and cut_off else []
        return [*shown, ("verdict", result.verdict.status.value), *more]

    def explain(self, problem: BadCaseFailed | BadCaseError) -> Explanation:
        """The text of a failed test."""
        width = shutil.get_terminal_size((100, 24)).columns
        return Explanation(problem, width, brief=self._options.tbstyle == "line")

    def conclude(self, *, complete: bool) -> bool:
        """Judge and report; returns whether the harness itself broke. Raises no error of the harness."""
        assert self._evaluation is not None
        if self._thread is not None:
            self._thread.stop()
        try:
            run = self._evaluation.end(complete=complete)
            if run.group and run.status == "started":
                self._waiting = self._wait_for_others(run)
            else:
                self._conclusion = conclude_run(
                    run, self._evaluation.store, self._evaluation.manifest, self._evaluation.settings
                )
        except HarnessError as error:
            self.problem = error
        ended = self._conclusion is not None or bool(self._waiting)
        if self._marker is not None and ended:
            end_session(self._marker)
        if self._conclusion is not None:
            self._sent = send_run(self._conclusion, self._evaluation.settings)
            if run.planned > _LARGE_RUN:
                from harness.view.prepared import keep_page

                keep_page(self._conclusion, self._evaluation.settings)
        results = self._evaluation.results.values()
        failed = any(r.verdict.status is Status.ERROR for r in results)
        lost = self._thread is not None and bool(self._thread.problem)
        return failed or not ended or lost or self._evaluation.broken is not None

    def _wait_for_others(self, run: Run) -> str:
        """What is to say of a part whose run has not all its parts yet.

        Raises:
            HarnessError: this part is not complete, so the others wait for it in vain.
        """
        assert self._evaluation is not None
        assert self._shard is not None
        missing = missing_parts(run, self._evaluation.store.parts(run.id))
        if self._shard.number in missing:
            raise HarnessError(
                f"part {self._shard.number} of {self._shard.of} of run {run.id} is not complete: "
                f"{len(self._evaluation.results)} of {self._shard.part.planned} results; run all of it"
            )
        if not self._evaluation.settings.database_is_shared:
            return tr(
                "part {part} of {of} of run {run} is recorded; join the parts with: harness merge FILE ...",
                part=self._shard.number, of=self._shard.of, run=run.id,
            )  # fmt: skip
        return tr(
            "part {part} of {of} of run {run} is recorded; the last part judges the gate (not yet complete: {missing})",
            part=self._shard.number, of=self._shard.of, run=run.id, missing=", ".join(map(str, missing)),
        )  # fmt: skip

    def suite_properties(self) -> dict[str, str]:
        """What the JUnit file says of the whole suite."""
        properties = {"badcases.gate": self._waiting or "no verdict"}
        if self._conclusion is not None:
            report = self._conclusion.report
            properties = {
                "badcases.run": report.run.id,
                "badcases.adapters": ", ".join(a.name for a in report.adapters if not a.earlier),
                "badcases.compared_with": ", ".join(a.name for a in report.adapters if a.earlier),
                "badcases.headline": headline(report),
            }
            if report.gate is not None:
                properties |= {"badcases.gate": str(report.gate.outcome), "badcases.gate_text": report.gate.text}
        return {name: for_xml(value) for name, value in properties.items() if value}

    def gate_test(self) -> GateTest | None:
        """The gate as a test case: failed where a limit is broken, an error where there is nothing to judge by.

        None where the gate is judged with another part.
        """
        if self._waiting and not self._unchecked:
            return None
        if self._waiting:
            return GateTest("failed", for_xml(self._unchecked_text()))
        gate = None if self._conclusion is None else self._conclusion.report.gate
        if gate is None:
            return GateTest("error", for_xml(f"no verdict: {self.problem or 'the run was not judged'}"))
        details = for_xml("\n".join(f"{check.outcome}: {check.text}" for check in gate.checks))
        if self._unchecked and gate.passed:
            return GateTest("failed", for_xml(self._unchecked_text()), details)
        if gate.passed:
            return GateTest("passed", gate.text, details)
        unjudged = gate.outcome is GateOutcome.NOT_JUDGEABLE
        return GateTest("error" if unjudged else "failed", for_xml(f"gate: {gate.text}"), details)

    def _unchecked_text(self) -> str:
        names = ", ".join([*self._unchecked][:3]) + (", ..." if len(self._unchecked) > 3 else "")
        return tr("failed cases whose tests did not fail: {names}; does the test call badcase.check()?", names=names)

    def summary(self, *, color: bool) -> str:
        """The text that ends the session."""
        width = shutil.get_terminal_size((100, 24)).columns
        if self._waiting:
            return "\n".join([self._waiting, *([self._unchecked_text()] if self._unchecked else [])])
        if self._conclusion is None:
            problem = for_terminal(str(self.problem)) if self.running and self.problem else ""
            return tr("no verdict: {problem}", problem=problem) if problem else ""
        report = self._conclusion.report
        parts = [summary(report.adapters, report.gate, width, color)]
        if self._conclusion.changes:
            parts.append(comparison_table(self._conclusion.changes, width, color))
        if self._unchecked:
            parts.append(self._unchecked_text())
        hidden = hidden_folders(self._settings.badcases) if self._settings is not None else ()
        if hidden:
            names = tr(", ").join(map(for_terminal, hidden))
            parts.append(tr("not read, since a dot begins their name: {names}", names=names))
        page = next((p for p in self._conclusion.reports if p.suffix == ".html"), None)
        parts.append(tr("run {run}, report: {page}", run=self._conclusion.run.id, page=_relative(page)) if page else "")
        parts += sent_lines(self._sent, self._conclusion.run.id)
        return "\n".join(part.rstrip("\n") for part in parts if part)

    def close(self) -> None:
        """Stop the engine and close the store; may be called twice."""
        if self._thread is not None:
            self._thread.stop()
        if self._evaluation is not None:
            self._evaluation.close()

    def _suite(self) -> SuiteFacts:
        """The whole suite: all cases of the project's folder ``badcases``, and of the test files elsewhere."""
        assert self._settings is not None
        cases = {p.case.id: p.case for planned in self._cases.values() for p in planned}
        whole = self._settings.badcases.resolve()
        if whole.is_dir() and any(whole in folder.resolve().parents for folder in self._cases):
            # Test files in folders of their own have case folders below them, which are no single suite.
            with suppress(CaseFileError):
                cases |= {case.id: case for case in project_cases(self._settings)}
        return describe_suite(cases.values())

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, folder: Path) -> tuple[Planned, ...]:
        settings = self._settings = self._settings or self._read_settings(folder)
        if self._marker is None and not self._options.collectonly and not self.is_worker:
            self._marker = begin_session(settings.reports, self._command)
        cases = project_cases(settings, folder)
        names = tuple(dict.fromkeys(self._options.adapter or ([settings.adapter] if settings.adapter else [])))
        if not names:
            raise SettingsError("no adapter to evaluate: give --adapter NAME, or adapter = in [tool.harness]")
        # Unknown adapters are an error of the call, and also of --collect-only, which opens nothing else.
        from harness.project.manifest import read_manifest

        manifest = read_manifest(settings.manifest_path)
        for name in names:
            manifest.adapter(name)
        return tuple(Planned(case, name) for name in names for case in cases)

    def _read_settings(self, folder: Path) -> Settings:
        flags = {
            name: getattr(self._options, name)
            for name in (
                "engine", "base_url", "ray_address", "baseline", "max_repetition", "max_repeater_rate",
                "max_cutoff_rate", "max_regressions", "allow_partial", "run_tags", "run_group",
            )
        }  # fmt: skip
        if self._options.run_group and self._options.shard is None:
            raise SettingsError("--run-group names the run of several parts; give --shard I/N as well")
        settings = read_settings(find_root(folder), {**flags, "cache": self._options.harness_cache})
        set_language(settings.language)
        return settings


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
