"""``make bench-report`` measures every report that a run leaves."""

from __future__ import annotations

from pathlib import Path

from harness.reports import shipped_reports
from tests.benchmarks.report.__main__ import measure


def test_every_report_has_seconds_and_a_size(tmp_path: Path) -> None:
    """A report that is added is measured without anybody thinking of it."""
    facts = measure(tmp_path, 6)
    assert set(shipped_reports()) <= set(facts["steps"])
    assert all(facts["steps"][name]["megabytes"] >= 0 for name in shipped_reports())
