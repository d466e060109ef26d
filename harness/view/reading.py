"""What the pages show, read from the store, the case files, the manifest and the trainings' folders.

A finished run does not change, so its report is kept in memory; a run under way is read again each time. The run's page
shows what was recorded, beside it what the case files say now: a standard answer that was corrected since, a mark.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.cases.model import Case
from harness.errors import CaseFileError, HarnessError
from harness.judging.results import Attempt
from harness.project.manifest import Manifest, read_manifest
from harness.project.settings import Settings
from harness.project.suite import project_cases
from harness.reports.conclusion import Conclusion, recorded_flags, review_run
from harness.reports.page.data import page_data
from harness.safe.escape import for_page
from harness.store import Run, Store
from harness.suite.figures import Figures, figures

__all__ = ["Reading", "RunRow"]

_KEPT_RUNS = 4
"""Runs whose conclusion, page and cases are kept."""
_KEPT_FIGURES = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run in the list: its counts by version."""

    run: Run
    done: int
    counts: Mapping[str, Mapping[str, int]]
    """By version, then by verdict."""


class Reading:
    """Reads a project for the page; safe to call from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._made: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
        self._figures: OrderedDict[tuple[str, str, str], Figures] = OrderedDict()
        self._lock = threading.Lock()

    def manifest(self) -> Manifest:
        """The manifest as it is now."""
        return read_manifest(self.settings.manifest_path)

    def runs(self, limit: int = 100) -> tuple[RunRow, ...]:
        """The newest runs; none where nothing was recorded yet."""
        if not Store.exists(self.settings.database):
            return ()
        with Store(self.settings.database) as store:
            runs = store.runs(limit=limit)
            counts = store.counts([r.id for r in runs])
        rows = []
        for run in runs:
            own = counts.get(run.id, {})
            rows.append(RunRow(run=run, done=sum(sum(c.values()) for c in own.values()), counts=own))
        return tuple(rows)

    def conclusion(self, run_id: str) -> Conclusion:
        """A run with its gate, figures and comparison.

        Raises:
            StoreError: no such run, or it was changed.
        """
        with Store.existing(self.settings.database) as store:
            run = store.run(run_id)
            return self._once(run, "conclusion", lambda: self._review(run, store))

    def _review(self, run: Run, store: Store) -> Conclusion:
        settings = replace(self.settings, **recorded_flags(run))
        try:
            return review_run(run, store, self.manifest(), settings)
        except CaseFileError:
            # A baseline file that is gone costs the comparison, not the run.
            return review_run(run, store, self.manifest(), replace(settings, baseline=""))

    def figures(self, run: Run, version: str) -> Figures:
        """The figures of one version in a run."""
        key = (run.id, run.results_seal, version)
        with self._lock:
            kept = self._figures.get(key)
        if kept is None:
            with Store.existing(self.settings.database) as store:
                kept = figures(store.results(run.id, adapter=version))
            if run.results_seal:
                with self._lock:
                    self._figures[key] = kept
                    while len(self._figures) > _KEPT_FIGURES:
                        self._figures.popitem(last=False)
        return kept

    def page(self, run_id: str, make: Callable[[Conclusion], str]) -> str:
        """A run's page, made once for a finished run."""
        conclusion = self.conclusion(run_id)
        return self._once(conclusion.run, "page", lambda: make(conclusion))

    def cases(self, run_id: str) -> bytes:
        """The recorded cases of a run for the page's script: JSON, as gzip."""
        conclusion = self.conclusion(run_id)

        def make() -> bytes:
            data = page_data(conclusion.report)
            text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return gzip.compress(text.encode("utf-8"), 1)

        return self._once(conclusion.run, "cases", make)

    def now(self, run_id: str) -> dict[str, Any]:
        """What the case files say now of a run's cases: by id the standard answer, and marks by version and sample.

        A case that the files do not hold any more is absent.
        """
        conclusion = self.conclusion(run_id)
        current = self.cases_now()
        found: dict[str, Any] = {}
        for version in conclusion.report.adapters:
            for result in version.results:
                case = current.get(result.case.id)
                if case is None:
                    continue
                entry = found.setdefault(for_page(case.id), {"standard": case.standard_answer, "answers": {}})
                if entry["standard"] is not None:
                    entry["standard"] = for_page(entry["standard"])
                marks = {str(a.sample): _mark(case, a) for a in result.attempts}
                entry["answers"][for_page(version.name)] = {k: v for k, v in marks.items() if v}
        return found

    def warm(self, make: Callable[[Conclusion], str]) -> None:
        """Prepare the newest finished run's page, so that it opens at once."""
        newest = next((row.run.id for row in self.runs(limit=1) if row.run.status == "finished"), None)
        if newest is not None:
            self.page(newest, make)
            self.cases(newest)

    def _once(self, run: Run, kind: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, kept while the run is among the newest that were looked at; a run under way never is."""
        if not run.results_seal:
            return make()
        key = (run.id, run.results_seal, kind)
        with self._lock:
            kept = self._made.get(key)
        if kept is None:
            kept = make()
            with self._lock:
                self._made[key] = kept
                while len(self._made) > 3 * _KEPT_RUNS:
                    self._made.popitem(last=False)
        return kept

    def cases_now(self) -> dict[str, Case]:
        """The cases of the suite as the files say now; none where they cannot be read."""
        try:
            return {case.id: case for case in project_cases(self.settings)}
        except HarnessError:
            return {}

    def answer(self, run_id: str, case_id: str, version: str, sample: int) -> str | None:
        """A whole recorded answer; None where there is none."""
        with Store.existing(self.settings.database) as store:
            results = store.results(store.run(run_id).id, adapter=version)
        attempts = (a for r in results if r.case.id == case_id for a in r.attempts if a.sample == sample)
        return next((a.answer for a in attempts), None)

    def trainings(self) -> tuple[Path, ...]:
        """Folders of trainings, newest first."""
        root = self.settings.reports / "trainings"
        folders = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")] if root.is_dir() else []
        return tuple(sorted(folders, key=lambda p: p.stat().st_mtime, reverse=True))


def _mark(case: Case, attempt: Attempt) -> str:
    """``accepted``, ``rejected``, ``whole`` for a whole answer without a mark, else nothing."""
    bare = attempt.answer.strip()
    for name, answers in (("accepted", case.accepted_answers), ("rejected", case.rejected_answers)):
        if any(bare == a.strip() for a in answers):
            return name
    # An answer whose generation was stopped as a loop is not whole, so it cannot be accepted.
    return "whole" if bare and attempt.finish_reason != "loop" else ""
