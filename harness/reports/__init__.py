"""Exports of a run: HTML to read, XLSX to work with, JSON for programs, Markdown for CI.

The store is the truth and these are views of it: a report that cannot be written costs no result, and each is written
whole or not at all. JUnit is pytest's own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError, ReportError
from harness.reports.html_report import to_html
from harness.reports.json_report import to_json
from harness.reports.markdown_report import to_markdown
from harness.reports.model import Report
from harness.reports.xlsx_report import write_xlsx
from harness.safe.files import write_text

__all__ = ["Report", "write_all"]


def write_all(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write every report into ``folder``, which is made when absent.

    Returns:
        The paths of report.html, report.xlsx, report.json and summary.md.

    Raises:
        ReportError: at least one could not be written; names them all, and the others were written.
    """
    writers: dict[str, Callable[[Path], Path]] = {
        "report.html": lambda path: write_text(path, to_html(report)),
        "report.xlsx": lambda path: write_xlsx(report, path),
        "report.json": lambda path: write_text(path, to_json(report)),
        "summary.md": lambda path: write_text(path, to_markdown(report)),
    }
    problems: list[str] = []
    written: list[Path] = []
    for name, write in writers.items():
        try:
            written.append(write(folder / name))
        except (HarnessError, OSError, ImportError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise ReportError(
            f"reports in {folder} are incomplete, the results are safe in the store; {'; '.join(problems)}"
        )
    return tuple(written)
