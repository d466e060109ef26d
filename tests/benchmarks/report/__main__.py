"""``make bench-report``: how long the reports of a large run take, and how large they are.

A synthetic recorded run (recorded.py) of 5,000 cases on two adapters is read from its database, judged by the gate, and
written as every report, each timed by itself. The figures that several reports share are computed by the gate before.
Prints a table and writes ``reports/bench/report.json``.

Targets on one quiet core: the workbook at most 10 s and 25 MB. ``--cases N`` measures a run of another size.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from harness.project.settings import Limits
from harness.reports import shipped_reports
from harness.reports.assemble import assemble_report
from harness.reports.model import Report
from harness.safe.files import write_text
from harness.store import Store
from harness.suite.gate import judge_suite
from tests.benchmarks.report.recorded import ADAPTERS, record_run

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "reports" / "bench" / "report.json"
PACKAGES = ("xlsxwriter", "openpyxl", "numpy", "msgspec")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.report", description=__doc__)
    parser.add_argument("--cases", type=int, default=5_000, metavar="N", help="cases on each adapter; default: 5000")
    args = parser.parse_args()
    facts: dict[str, Any] = {
        "command": f"python -m tests.benchmarks.report --cases {args.cases}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        "cases": args.cases,
        "adapters": len(ADAPTERS),
    }
    with tempfile.TemporaryDirectory(prefix="bench-report-") as place:
        facts |= measure(Path(place), args.cases)
    facts["load_after"] = round(os.getloadavg()[0], 2)
    write_text(OUT, json.dumps(facts, indent=2) + "\n")
    print(f"figures: {OUT}")
    return 0


def measure(place: Path, cases: int) -> dict[str, Any]:
    """Seconds and sizes of every step from the database to the files."""
    steps: dict[str, dict[str, float]] = {}
    with Store(place / "harness.sqlite") as store:
        began = time.monotonic()
        run = record_run(store, cases)
        print(f"recorded {cases * len(ADAPTERS):,} results in {time.monotonic() - began:.0f} s (not a figure)")
        results = timed(steps, "read the results", lambda: store.results(run.id))
    by_adapter = {name: tuple(r for r in results if r.adapter == name) for name in ADAPTERS}
    before, after = (by_adapter[name] for name in ADAPTERS)
    limits = Limits(max_repetition=0.2)
    timed(steps, "judge the first adapter", lambda: judge_suite(before, limits, None, complete=True))
    gate = timed(steps, "judge the second adapter", lambda: judge_suite(after, limits, before, complete=True))
    report: Report = assemble_report(run, by_adapter, gate, {})
    for name, write in shipped_reports().items():
        path = timed(steps, name, lambda write=write, name=name: write(report, place / "run" / name))  # type: ignore[misc]
        steps[name]["megabytes"] = round(path.stat().st_size / 1e6, 2)
    return {
        "cut_off": sum(a.finish_reason == "length" for r in results for a in r.attempts),
        "failing": sum(r.failed for r in results),
        "steps": steps,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def timed(steps: dict[str, dict[str, float]], name: str, work: Callable[[], T]) -> T:
    """Do the work, and note its seconds on the clock and on the processor."""
    began, used = time.monotonic(), time.process_time()
    result = work()
    steps[name] = {
        "seconds": round(time.monotonic() - began, 2),
        "processor_seconds": round(time.process_time() - used, 2),
    }
    print(f"  {name:<28} {steps[name]['seconds']:>8.1f} s   {steps[name]['processor_seconds']:>8.1f} s of a processor")
    return result


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    raise SystemExit(main())
