"""Results as pandas tables, for notebooks and for files: CSV, XLSX, Parquet.

One row is one case on one adapter, and every score is a column. Files are written whole, and text in them is safe: a
spreadsheet never takes a model's answer for a formula. pandas is imported on first use, because it takes longer to
import than most commands take to run.

Workbooks are written through :mod:`harness.reports.workbook` and not by pandas, which takes text for formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cases.suite import case_digest
from harness.errors import UsageError
from harness.judging.results import CaseResult, Status
from harness.project.settings import find_root, read_settings
from harness.reports.reasons import reason_line
from harness.reports.workbook import Column, open_book
from harness.safe.escape import for_csv, for_utf8
from harness.safe.files import replace_with
from harness.store import Run, Store
from harness.suite.compare import Change, Comparison, changes, compare

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["LoadedRun", "RunComparison", "changes_frame", "load_run", "open_run", "results_frame", "write_table"]


_WIDTHS = {"prompt": 36, "answer": 64, "standard_answer": 44, "reason": 38, "reasons": 38, "id": 24}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LoadedRun:
    """A recorded run with its results."""

    run: Run
    results: tuple[CaseResult, ...]

    @property
    def id(self) -> str:
        """The run's id, as ``harness history`` shows it."""
        return self.run.id

    @property
    def adapters(self) -> tuple[str, ...]:
        """The versions that it ran on, in order."""
        return self.run.adapters

    def frame(self) -> DataFrame:
        """A row for each case and adapter, every score a column; see :func:`results_frame`."""
        return results_frame(self.results, run=self.run.id)

    def to_frame(self) -> DataFrame:
        """The same as :meth:`frame`."""
        return self.frame()

    def compare(
        self, before: LoadedRun | None = None, *, adapter: str | None = None, before_adapter: str | None = None
    ) -> RunComparison:
        """What became of the cases from an earlier run to this one, on the cases that both have as the same test.

        Args:
            before: the earlier run; None: this very run, whose first version is compared with its last.
            adapter: version of this run; None: its last one.
            before_adapter: version of the earlier run; None: its last one, or this run's first.

        Raises:
            UsageError: a version that the run does not have.
        """
        earlier = self if before is None else before
        default = earlier.adapters[0] if before is None else earlier.adapters[-1]
        old = earlier._of(before_adapter or default)
        new = self._of(adapter or self.adapters[-1])
        common = {(r.case.id, case_digest(r.case)) for r in old} & {(r.case.id, case_digest(r.case)) for r in new}
        old, new = (tuple(r for r in side if (r.case.id, case_digest(r.case)) in common) for side in (old, new))
        return RunComparison(comparison=compare(old, new), changes=changes(old, new))

    def _of(self, adapter: str) -> tuple[CaseResult, ...]:
        if adapter not in self.adapters:
            raise UsageError(f"run {self.id} has no adapter {adapter!r}; it has: {', '.join(self.adapters)}")
        return tuple(r for r in self.results if r.adapter == adapter)

    def __repr__(self) -> str:
        passed = sum(r.verdict.status is Status.PASS for r in self.results)
        return (
            f"<run {self.id} ({self.run.status}) of {', '.join(self.adapters)}: {passed} of {len(self.results)} pass>"
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunComparison:
    """Two sides of the same cases."""

    comparison: Comparison
    """Figures of the whole: fixed, broken, rise of the repetition score, significance."""
    changes: tuple[Change, ...]
    """Case by case."""

    @property
    def fixed(self) -> tuple[str, ...]:
        """Ids of the cases that failed before and pass now."""
        return tuple(self.comparison.total.fixed)

    @property
    def broken(self) -> tuple[str, ...]:
        """Ids of the cases that passed before and fail now."""
        return tuple(self.comparison.broken)

    @property
    def still_failing(self) -> tuple[str, ...]:
        """Ids of the cases that failed before and fail now."""
        return tuple(self.comparison.still_failing)

    def frame(self) -> DataFrame:
        """A row for each case, with both sides' verdict, score and answer; see :func:`changes_frame`."""
        return changes_frame(self.changes)

    def __repr__(self) -> str:
        counts = f"{len(self.fixed)} fixed, {len(self.broken)} broken, {len(self.still_failing)} still failing"
        return f"<{counts} of {len(self.changes)} cases>"


def open_run(run: str = "last", *, root: Path | str | None = None) -> LoadedRun:
    """Read a recorded run.

    Args:
        run: id of the run, or the beginning of one; ``last`` is the newest.
        root: the project's folder; None: the project of the current folder.

    Raises:
        StoreError: no such run.
    """
    folder = find_root(Path.cwd()) if root is None else Path(root)
    with Store.existing(read_settings(folder).database) as store:
        recorded = store.run(run)
        return LoadedRun(run=recorded, results=store.results(recorded.id))


def load_run(run: str = "last", *, root: Path | str | None = None) -> LoadedRun:
    """The same as :func:`open_run`, under its older name."""
    return open_run(run, root=root)


def results_frame(results: Sequence[CaseResult], *, run: str = "") -> DataFrame:
    """Results as a table.

    Columns are ``run``, ``adapter``, the case's fields, ``answer`` (the one that the verdict is about), ``verdict``,
    ``reason`` (one line for people), ``reasons`` (the rules), ``note`` (about an ``xfail`` mark), ``finish_reason``,
    ``tokens``, ``seconds``, ``samples``, and every score by name. A score that an answer does not have is missing.
    """
    import pandas as pd

    return pd.DataFrame([{"run": run, **_row(result)} for result in results])


def changes_frame(changes: Sequence[Change]) -> DataFrame:
    """A comparison as a table: a row for each case, with its class and both sides' verdict, score and answer."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for change in changes:
        case = change.result.case
        row: dict[str, Any] = {"id": case.id, "folder": case.folder, "role": case.role, "change": change.kind}
        for side, result in (("before", change.before), ("after", change.after)):
            attempt = result.worst if result is not None else None
            row |= {
                f"adapter_{side}": result.adapter if result is not None else None,
                f"verdict_{side}": str(result.verdict.status) if result is not None else None,
                f"repetition_{side}": result.repetition if result is not None else None,
                f"answer_{side}": attempt.answer if attempt is not None else None,
            }
        rows.append({**row, "prompt": case.prompt, "standard_answer": case.standard_answer})
    return pd.DataFrame(rows)


def write_table(frame: DataFrame, path: Path) -> Path:
    """Write a table as CSV, XLSX or Parquet, by the name's ending, whole or not at all.

    Raises:
        UsageError: another ending, or Parquet without pyarrow.
        StoreError: the file could not be written.
    """
    writers: Mapping[str, Callable[[DataFrame, Path], None]] = {
        ".csv": _write_csv, ".xlsx": _write_xlsx, ".parquet": _write_parquet,
    }  # fmt: skip
    write = writers.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"{path}: a table ends with {', '.join(writers)}")
    return replace_with(path, lambda temporary: write(frame, temporary))


def _row(result: CaseResult) -> dict[str, Any]:
    case, attempt = result.case, result.worst
    scores = attempt.scores.values if attempt is not None and attempt.scores is not None else {}
    return {
        "adapter": result.adapter,
        "id": case.id,
        "folder": case.folder,
        "role": case.role,
        "tags": ", ".join(case.tags),
        "prompt": case.prompt,
        "answer": attempt.answer if attempt is not None else None,
        "standard_answer": case.standard_answer,
        "verdict": str(result.verdict.status),
        "reason": reason_line(result),
        "reasons": "\n".join(f"{r.rule}: {r.text}" for r in result.verdict.reasons),
        "note": result.note,
        "finish_reason": attempt.finish_reason if attempt is not None else None,
        "tokens": attempt.tokens if attempt is not None else None,
        "seconds": attempt.seconds if attempt is not None else None,
        "samples": len(result.attempts),
        **scores,
    }


def _escaped(frame: DataFrame, escape: Callable[[str], str]) -> DataFrame:
    return frame.map(lambda cell: escape(cell) if isinstance(cell, str) else cell)


def _write_csv(frame: DataFrame, path: Path) -> None:
    _escaped(frame, for_csv).to_csv(path, index=False, lineterminator="\n")


def _write_xlsx(frame: DataFrame, path: Path) -> None:
    columns = [Column(name=str(name), width=_WIDTHS.get(str(name), 14)) for name in frame.columns]
    with open_book(path) as book:
        sheet = book.add_sheet("results", columns)
        # A missing value of pandas is an empty cell.
        for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None):
            sheet.write(row)
        sheet.filter()


def _write_parquet(frame: DataFrame, path: Path) -> None:
    try:
        _escaped(frame, for_utf8).to_parquet(path, index=False)
    except ImportError as error:
        message = f"{path}: writing Parquet needs pyarrow; run: pip install 'badcase-harness[parquet]'"
        raise UsageError(message) from error
