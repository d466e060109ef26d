"""Exports of a run: HTML to read, XLSX to work with, JSON for programs, Markdown for CI, and reports of your own.

The store holds the results, and these are views of them. A report that cannot be written costs no result, and each is
written whole or not at all. pytest writes JUnit XML itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType

from harness.errors import HarnessError, ReportError
from harness.reports.html_report import to_html
from harness.reports.json_report import write_json
from harness.reports.markdown_report import to_markdown
from harness.reports.model import Report
from harness.reports.xlsx_report import write_xlsx
from harness.safe.files import sweep_below, write_text

__all__ = ["Report", "ReportWriter", "forget_reports", "register_report", "shipped_reports", "write_all"]

ReportWriter = Callable[[Report, Path], Path]
"""Writes a report to a path, and returns the path."""

_SHIPPED: dict[str, ReportWriter] = {
    "report.html": lambda report, path: write_text(path, to_html(report)),
    "report.xlsx": write_xlsx,
    "report.json": write_json,
    "summary.md": lambda report, path: write_text(path, to_markdown(report)),
}
_registered: dict[str, ReportWriter] = {}


def shipped_reports() -> Mapping[str, ReportWriter]:
    """The reports that come with the harness, by file name."""
    return MappingProxyType(_SHIPPED)


def register_report(name: str) -> Callable[[ReportWriter], ReportWriter]:
    """Register a report of your own, to be written under ``name`` with the others; a decorator.

    Registering a name again replaces it, because a conftest may be imported twice.

    Raises:
        ReportError: ``name`` is not a plain file name, or a shipped report has it.
    """
    if not name or PurePath(name).name != name or name in _SHIPPED:
        raise ReportError(f"report {name!r}: use a plain file name other than {', '.join(_SHIPPED)}")

    def register(writer: ReportWriter) -> ReportWriter:
        _registered[name] = writer
        return writer

    return register


def forget_reports() -> None:
    """Forget all reports that were registered."""
    _registered.clear()


def write_all(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write every report into ``folder``, which is made when absent.

    Returns:
        The paths of report.html, report.xlsx, report.json (report.jsonl.gz of a large run), summary.md and the
        registered reports.

    Raises:
        ReportError: at least one could not be written; names them all, and the others were written.
    """
    sweep_below(folder.parent)
    problems: list[str] = []
    written: list[Path] = []
    for name, write in {**_SHIPPED, **_registered}.items():
        try:
            written.append(write(report, folder / name))
        except (HarnessError, OSError, ImportError) as error:
            problems.append(f"{name}: {error}")
        except Exception as error:
            # A registered report is the user's code: its bug must not cost the run's exit code.
            if name in _SHIPPED:
                raise
            problems.append(f"{name}: {type(error).__name__}: {error}")
    if problems:
        raise ReportError(f"some reports are missing in {folder}, the results are in the store; {'; '.join(problems)}")
    return tuple(written)
