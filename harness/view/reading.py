"""What the pages show, read from the store, the case files, the manifest and the trainings' folders.

A finished run does not change, so its report is kept in memory; a run under way is read again each time. The run's page
shows what was recorded, beside it what the case files say now: a standard answer that was corrected since, a mark.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.cases.model import Case
from harness.errors import CaseFileError, HarnessError
from harness.project.manifest import Manifest, read_manifest
from harness.project.settings import Settings
from harness.project.suite import project_cases
from harness.reports.conclusion import Conclusion, review_run
from harness.reports.page.data import page_data
from harness.safe.escape import for_page
from harness.store import Run, Store
from harness.suite.figures import Figures, figures

__all__ = ["Reading", "RunRow"]

_KEPT_RUNS = 4
_KEPT_FIGURES = 500


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
        self._conclusions: OrderedDict[tuple[str, str], Conclusion] = OrderedDict()
        self._figures: OrderedDict[tuple[str, str, str], Figures] = OrderedDict()
        self._lock = threading.Lock()

    def manifest(self) -> Manifest:
        """The manifest as it is now."""
        return read_manifest(self.settings.manifest_path)

    def runs(self, limit: int = 100) -> tuple[RunRow, ...]:
        """The newest runs; none where nothing was recorded yet."""
        if not self.settings.database.is_file():
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
            key = (run.id, run.results_seal)
            with self._lock:
                kept = self._conclusions.get(key)
            if kept is not None:
                return kept
            baseline = run.facts.get("baseline")
            settings = replace(self.settings, baseline=str(baseline)) if baseline else self.settings
            try:
                made = review_run(run, store, self.manifest(), settings)
            except CaseFileError:
                # A baseline file that is gone costs the comparison, not the run.
                made = review_run(run, store, self.manifest(), replace(settings, baseline=""))
        if run.results_seal:
            with self._lock:
                self._conclusions[key] = made
                while len(self._conclusions) > _KEPT_RUNS:
                    self._conclusions.popitem(last=False)
        return made

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

    def cases_data(self, run_id: str) -> dict[str, Any]:
        """The cases of a run for the page's script, with what the case files say now."""
        conclusion = self.conclusion(run_id)
        data = page_data(conclusion.report)
        now = self.cases_now()
        answers = {
            (a.name, for_page(r.case.id)): r for a in conclusion.report.adapters for r in a.results
        }  # fmt: skip
        names = [a.name for a in conclusion.report.adapters]
        for case in data["cases"]:
            current = now.get(case["id"])
            case["now"] = None if current is None else {"standard": current.standard_answer}
            for name, side in zip(names, case["sides"], strict=True):
                if side is None:
                    continue
                result = answers[name, case["id"]]
                for shown, attempt in zip(side["attempts"], result.attempts, strict=True):
                    shown["mark"] = _mark(current, attempt.answer)
                    shown["whole"] = attempt.finish_reason in ("stop", "length", None) and bool(attempt.answer.strip())
        data["run"] = {"id": conclusion.run.id, "status": conclusion.run.status}
        return data

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


def _mark(case: Case | None, answer: str) -> str:
    if case is None:
        return ""
    bare = answer.strip()
    if any(bare == a.strip() for a in case.accepted_answers):
        return "accepted"
    return "rejected" if any(bare == a.strip() for a in case.rejected_answers) else ""
