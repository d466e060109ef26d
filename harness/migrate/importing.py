"""One import of old answers, from matched rows to runs, reports and baselines; the commands share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.language import tr
from harness.migrate.recorded import (
    Matched,
    check_baseline,
    record_round,
    recorded_before,
    write_imported_baseline,
)
from harness.project.manifest import Manifest
from harness.project.settings import Settings
from harness.reports.conclusion import conclude_run
from harness.reports.latest import LATEST
from harness.reports.model import headline
from harness.store import Run, Store

__all__ = ["ImportResult", "import_answers"]


_MAX_NAMED = 6


def _files(run: Run) -> str:
    names = run.sources
    return ", ".join(names[:_MAX_NAMED]) + (f" (+{len(names) - _MAX_NAMED})" if len(names) > _MAX_NAMED else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What an import did."""

    runs: tuple[Run, ...]
    """Runs that were recorded, oldest answers first."""
    known: tuple[Run, ...]
    """Runs of exactly these answers that were there already."""
    headline: str
    """The last of them in one sentence."""
    reports: tuple[Path, ...]
    latest: Path | None
    """``reports/latest``, where it leads to the last of them."""
    baselines: tuple[Path, ...]

    def lines(self) -> list[str]:
        """What was done, a line each, for people."""
        lines = [tr("already imported as run {run}", run=run.id) for run in self.known]
        lines += [
            tr(
                "recorded run {run}: {n} results from {files}",
                run=run.id,
                n=run.planned,
                files=_files(run),
            )
            for run in self.runs
        ]
        lines.append(self.headline)
        lines += [tr("written  {path}", path=os.path.relpath(path)) for path in self.baselines]
        pages = [p for p in self.reports if p.suffix == ".html"]
        where = self.latest / pages[0].name if pages and self.latest is not None else next(iter(pages), None)
        return [*lines, tr("report: {path}", path=os.path.relpath(where))] if where is not None else lines


def import_answers(
    store: Store,
    settings: Settings,
    manifest: Manifest,
    matched: Matched,
    *,
    order: Sequence[str] = (),
    command: Sequence[str] = (),
    baselines: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportResult:
    """Record a run for each round of answers that is not recorded yet, and write the reports of the last one.

    Args:
        store: of the project.
        settings: the project's.
        manifest: the project's.
        matched: answers with their cases; at least one round.
        order: versions in the order to show.
        command: that was typed.
        progress: is told how many results of how many are there.
        baselines: whether each version's newest answers become a baseline file.

    Raises:
        UsageError: a baseline file of an engine's answers would be replaced; nothing was recorded.
        ReportError: a report could not be written; the runs are recorded.
    """
    last = matched.rounds[-1]
    files = {name: settings.root / "baselines" / f"{name}.json" for name in last.versions} if baselines else {}
    for path in files.values():
        check_baseline(path)
    runs, known = [], []
    newest: Run | None = None
    for answers in matched.rounds:
        newest = recorded_before(store, answers)
        if newest is not None:
            known.append(newest)
        else:
            newest = record_round(store, settings, answers, order=order, command=command, progress=progress)
            runs.append(newest)
    assert newest is not None
    conclusion = conclude_run(newest, store, manifest, settings)
    written = tuple(write_imported_baseline(store, newest, name, path) for name, path in files.items())
    is_latest = store.newest_shown().id == newest.id
    return ImportResult(
        runs=tuple(runs), known=tuple(known), headline=headline(conclusion.report), reports=conclusion.reports,
        latest=settings.reports / LATEST if is_latest else None, baselines=written,
    )  # fmt: skip
