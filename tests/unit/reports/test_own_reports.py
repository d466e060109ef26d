"""A report of one's own is a function, written with the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ReportError
from harness.reports import Report, forget_reports, register_report, write_all
from harness.safe.files import write_text
from tests.support.builders import report


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    forget_reports()


def test_a_registered_report_is_written_with_the_others(tmp_path: Path) -> None:
    """Under its own name, beside the shipped ones."""

    @register_report("count.txt")
    def count(report: Report, path: Path) -> Path:
        return write_text(path, str(sum(len(a.results) for a in report.adapters)))

    assert tmp_path / "count.txt" in write_all(report(), tmp_path)
    assert (tmp_path / "report.html").is_file()


def test_a_bug_in_a_registered_report_costs_no_other_report(tmp_path: Path) -> None:
    """The error names the report; all others are written."""

    @register_report("broken.txt")
    def broken(report: Report, path: Path) -> Path:
        raise KeyError("verdict")

    with pytest.raises(ReportError, match=r"broken\.txt: KeyError"):
        write_all(report(), tmp_path)
    assert (tmp_path / "summary.md").is_file()


@pytest.mark.parametrize(
    "name", ["report.html", "../evil.txt", "a/b.txt", ""], ids=["shipped", "up", "folder", "empty"]
)
def test_a_name_must_be_a_free_file_name(name: str) -> None:
    """No report leaves the run's folder or replaces a shipped one."""
    with pytest.raises(ReportError, match="plain file name"):
        register_report(name)
