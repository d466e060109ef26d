"""What the pages show, read from the store, the case files, the manifest and the trainings' folders.

A run that has ended does not change, so its figures, page and cases are kept in files and the newest in memory
(:mod:`harness.view.kept`). A run under way is read again each time. The list shows the figures that are there, or of
small runs; a thread computes the others. The run's page shows what was recorded, beside it what the case files say now:
a standard answer that was corrected since, a mark.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.cases.model import Case
from harness.errors import CaseFileError, HarnessError, StoreError
from harness.language import language
from harness.project.manifest import Manifest, read_manifest
from harness.project.settings import Settings
from harness.project.suite import project_cases
from harness.reports.conclusion import Conclusion, recorded_flags, review_run
from harness.reports.page.data import page_data
from harness.safe.escape import for_page
from harness.safe.files import digest_file
from harness.safe.records import digest, dump, load
from harness.store import SHOWN, Run, Store
from harness.suite.figures import Figures, figures
from harness.view.kept import Kept, program

__all__ = ["LISTED", "Reading", "RunRow"]

LISTED = 30
"""Runs of the list whose figures are shown."""

_KEPT_RUNS = 4
"""Runs whose conclusion, page and cases are kept."""
_PREPARED_RUNS = 3
"""Runs whose pages are prepared before anyone asks."""
_AT_ONCE = 2_000
"""Results of a run that are read while the list waits."""
_SECONDS_FOR_FIGURES = 1.0
"""After which the list does not wait for more figures."""
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
        self._kept = Kept(settings.reports / "view")
        self._made: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._figures: dict[str, Mapping[str, Figures]] = {}
        self._lock = threading.Lock()
        self._computing = threading.Lock()

    def manifest(self) -> Manifest:
        """The manifest as it is now."""
        return read_manifest(self.settings.manifest_path)

    def runs(self, limit: int = 100) -> tuple[RunRow, ...]:
        """The newest runs; none where nothing was recorded yet."""
        if not Store.exists(self.settings.database):
            return ()
        with Store(self.settings.database) as store:
            runs = store.runs(limit=limit, kinds=SHOWN)
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
            return self._in_memory(self._digest(run, store), "conclusion", lambda: self._review(run, store))

    def _review(self, run: Run, store: Store) -> Conclusion:
        settings = replace(self.settings, **recorded_flags(run))
        try:
            return review_run(run, store, self.manifest(), settings)
        except CaseFileError:
            # A baseline file that is gone costs the comparison, not the run.
            return review_run(run, store, self.manifest(), replace(settings, baseline=""))

    def figures(self, run: Run) -> Mapping[str, Figures]:
        """The figures of each version in a run."""
        known = self._known_figures(run)
        if known is None:
            with Store.existing(self.settings.database) as store:
                results = store.results(run.id)
            known = {name: figures([r for r in results if r.adapter == name]) for name in run.adapters}
            if run.results_seal:
                self._kept.put(_figures_digest(run), "figures", dump(known).encode())
                self._remember(run, known)
        return known

    def _known_figures(self, run: Run) -> Mapping[str, Figures] | None:
        """The figures that were computed before."""
        if not run.results_seal:
            return None
        with self._lock:
            known = self._figures.get(_figures_digest(run))
        if known is None and (known := _loaded(self._kept.get(_figures_digest(run), "figures"))) is not None:
            self._remember(run, known)
        return known

    def _remember(self, run: Run, known: Mapping[str, Figures]) -> None:
        with self._lock:
            self._figures[_figures_digest(run)] = known

    def listed_figures(self, runs: Sequence[Run]) -> dict[str, Mapping[str, Figures]]:
        """The figures of runs by their ids; those that would take long are absent, and computed by a thread."""
        end = time.monotonic() + _SECONDS_FOR_FIGURES
        found: dict[str, Mapping[str, Figures]] = {}
        late: list[Run] = []
        for run in runs:
            at_once = run.planned <= _AT_ONCE and time.monotonic() < end
            known = self.figures(run) if at_once else self._known_figures(run)
            if known is None:
                late.append(run)
            else:
                found[run.id] = known
        if late:
            threading.Thread(target=self._compute, args=(late,), daemon=True).start()
        return found

    def _compute(self, runs: Sequence[Run]) -> None:
        # One thread at a time: a second list would do the same work.
        if self._computing.acquire(blocking=False):
            try:
                for run in runs:
                    with suppress(HarnessError):
                        self.figures(run)
            finally:
                self._computing.release()

    def page(self, run_id: str, make: Callable[[Conclusion], str]) -> str:
        """A run's page, made once for a run that has ended."""
        return self._once(run_id, "html", lambda c: make(c).encode()).decode()

    def cases(self, run_id: str) -> bytes:
        """The recorded cases of a run for the page's script: JSON, as gzip."""
        return self._once(run_id, _CASES, _packed)

    def now(self, run_id: str) -> dict[str, Any]:
        """What the case files say now of a run's cases: by id the standard answer, and marks by version and sample.

        A case that the files do not hold any more is absent.
        """
        current = self.cases_now()
        found: dict[str, Any] = {}
        for version, answers in json.loads(self._once(run_id, _ANSWERS, _answers)).items():
            for name, attempts in answers:
                case = current.get(name)
                if case is None:
                    continue
                entry = found.setdefault(for_page(name), {"standard": case.standard_answer, "answers": {}})
                if entry["standard"] is not None:
                    entry["standard"] = for_page(entry["standard"])
                marks = {sample: _mark(case, digest, whole) for sample, digest, whole in attempts}
                entry["answers"][for_page(version)] = {k: v for k, v in marks.items() if v}
        return found

    def warm(self, make: Callable[[Conclusion], str]) -> None:
        """Prepare the newest runs' pages and the list's figures, so that all of them open at once."""
        ended = [row.run for row in self.runs(limit=LISTED) if row.run.results_seal]
        for run in ended[:1]:
            self._prepare(run, make)
        self._compute(ended)
        for run in ended[1:_PREPARED_RUNS]:
            self._prepare(run, make)

    def _prepare(self, run: Run, make: Callable[[Conclusion], str]) -> None:
        self.page(run.id, make)
        for kind, data in _DATA.items():
            self._once(run.id, kind, data)

    def keep(self, conclusion: Conclusion, make: Callable[[Conclusion], str]) -> None:
        """Keep the page, cases and figures of a run that has ended, from its conclusion."""
        with Store.existing(self.settings.database) as store:
            run = store.run(conclusion.run.id)
            digest = self._digest(run, store)
        if not digest:
            return
        self._kept.put(digest, "html", make(conclusion).encode())
        for kind, data in _DATA.items():
            self._kept.put(digest, kind, data(conclusion))
        known = {a.name: figures(a.results) for a in conclusion.report.adapters if a.name in run.adapters}
        self._kept.put(_figures_digest(run), "figures", dump(known).encode())

    def _once(self, run_id: str, kind: str, make: Callable[[Conclusion], bytes]) -> bytes:
        """What ``make`` gives, from memory or a file where the run has ended and was looked at before."""
        with Store.existing(self.settings.database) as store:
            run = store.run(run_id)
            digest = self._digest(run, store)
        if not digest:
            return make(self.conclusion(run.id))

        def read_or_make() -> bytes:
            data = self._kept.get(digest, kind)
            if data is None:
                data = make(self.conclusion(run.id))
                self._kept.put(digest, kind, data)
            return data

        return self._in_memory(digest, kind, read_or_make)

    def _in_memory(self, digest: str, kind: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, kept while it is among the newest; without a digest it is made each time."""
        if not digest:
            return make()
        key = (digest, kind)
        with self._lock:
            known = self._made.get(key)
        if known is None:
            known = make()
            with self._lock:
                self._made[key] = known
                while len(self._made) > 4 * _KEPT_RUNS:
                    self._made.popitem(last=False)
        return known

    def _digest(self, run: Run, store: Store) -> str:
        """Digest of all that a run's page comes from; empty while the run is under way."""
        if not run.results_seal:
            return ""
        settings = replace(self.settings, **recorded_flags(run))
        baseline: list[object] = [settings.baseline]
        if settings.baseline_is_file:
            path = settings.root / settings.baseline
            baseline.append(digest_file(path) if path.is_file() else "")
        elif settings.baseline and settings.baseline not in run.adapters:
            runs = store.runs(adapter=settings.baseline, finished=True)
            baseline += [[r.id, r.results_seal] for r in runs]
        return digest([
            program(), language(), run, settings.recorded_limits, settings.allow_partial, baseline,
            self._entries({*run.adapters, settings.baseline}),
        ])  # fmt: skip

    def _entries(self, names: Collection[str]) -> object:
        """What the manifest says of versions, of which the page shows a part."""
        path = self.settings.manifest_path
        try:
            adapters = read_manifest(path).adapters
        except HarnessError:
            return digest_file(path) if path.is_file() else ""
        return [adapters[name] for name in sorted(names) if name in adapters]

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


def _packed(conclusion: Conclusion) -> bytes:
    text = json.dumps(page_data(conclusion.report), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode("utf-8"), 1, mtime=0)


def _answers(conclusion: Conclusion) -> bytes:
    """Of each version its cases: id, and of each attempt its sample, the digest of its answer, whether it is whole."""
    # An answer whose generation was stopped as a loop is not whole, so it cannot be accepted.
    return json.dumps({
        version.name: [
            (r.case.id, [(str(a.sample), _bare(a.answer), bool(a.answer.strip()) and a.finish_reason != "loop")
                         for a in r.attempts])
            for r in version.results
        ]
        for version in conclusion.report.adapters
    }).encode()  # fmt: skip


_CASES, _ANSWERS = "json.gz", "answers.json"
_DATA: Mapping[str, Callable[[Conclusion], bytes]] = {_CASES: _packed, _ANSWERS: _answers}
"""What the page's script asks for, by its kind; it is kept beside the page."""


def _mark(case: Case, bare: str, whole: bool) -> str:
    """``accepted``, ``rejected``, ``whole`` for a whole answer without a mark, else nothing."""
    for name, answers in (("accepted", case.accepted_answers), ("rejected", case.rejected_answers)):
        if any(bare == _bare(a) for a in answers):
            return name
    return "whole" if whole else ""


def _bare(answer: str) -> str:
    return hashlib.sha256(answer.strip().encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _figures_digest(run: Run) -> str:
    return digest([run.id, run.results_seal, program()])


def _loaded(data: bytes | None) -> dict[str, Figures] | None:
    """Figures that were kept; None where the file holds something else."""
    if data is None:
        return None
    try:
        return load(dict[str, Figures], data.decode())
    except (StoreError, UnicodeDecodeError):
        return None
