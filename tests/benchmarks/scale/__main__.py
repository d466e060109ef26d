"""``make bench-scale``: what the harness itself costs when a suite is large. No model is run.

Three figures, each in processes of its own, with their peak memory:

- cases a second of the runner on the scripted engine, without pytest (target: 2,000, at 50,000 cases);
- ``pytest badcases`` with every answer stored, against pytest's own run of as many tests that do nothing: the ratio of
  wall times in the same round (target: 1.5, at 10,000 cases), medians over the rounds;
- the peak memory of that run (target: 600 MB).

Writes ``reports/bench/scale.json``. ``--cases`` and ``--tests`` measure other sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.safe.files import write_text
from tests.support.projects import make_project

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "reports" / "bench" / "scale.json"
ANSWER = "The lake is still, and a heron waits in the reeds until the boats have gone."
RUNNER = """
from pathlib import Path
from harness.project.settings import read_settings
from harness.project.suite import project_cases
from harness.runs.evaluation import Evaluation
import time
settings = read_settings(Path.cwd())
cases = project_cases(settings)
began = time.monotonic()
with Evaluation(settings) as evaluation:
    evaluation.plan([(case, "v4.0") for case in cases])
    evaluation.start()
    evaluation.finish()
    evaluation.end()
print(len(cases) / (time.monotonic() - began))
"""
NOTHING = """
import pytest
@pytest.mark.parametrize("number", range({tests}), ids=[f"badcase1/case-{{i}}" for i in range({tests})])
def test_nothing(number):
    pass
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One process, from its start to its end."""

    seconds: float
    processor_seconds: float
    peak_mib: float
    output: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000, metavar="N", help="cases of the runner; default: 50000")
    parser.add_argument("--tests", type=int, default=10_000, metavar="N", help="cases through pytest; default: 10000")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    args = parser.parse_args()
    facts: dict[str, Any] = {
        "command": f"python -m tests.benchmarks.scale --cases {args.cases} --tests {args.tests} --rounds {args.rounds}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), "pytest": version("pytest")},
    }
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as place:
        facts["runner"] = runner(Path(place) / "runner", args.cases)
        facts["pytest"] = through_pytest(Path(place), args.tests, args.rounds)
    facts["load_after"] = round(os.getloadavg()[0], 2)
    write_text(OUT, json.dumps(facts, indent=2) + "\n")
    print(f"figures: {OUT}")
    return 0


def runner(place: Path, cases: int) -> dict[str, Any]:
    """Cases a second without pytest; every answer is new."""
    project(place, cases)
    done = measured(["-c", RUNNER], place)
    rate = float(done.output.split()[-1])
    print(f"  runner: {rate:,.0f} cases a second at {cases:,}, peak {done.peak_mib:,.0f} MiB")
    return {"cases": cases, "cases_a_second": round(rate, 1), "peak_mib": round(done.peak_mib)}


def through_pytest(place: Path, tests: int, rounds: int) -> dict[str, Any]:
    """Stored answers through pytest, against tests that do nothing."""
    project(place / "suite", tests)
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    measured([*command, "badcases"], place / "suite")
    (place / "nothing").mkdir()
    (place / "nothing" / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (place / "nothing" / "test_nothing.py").write_text(NOTHING.format(tests=tests))
    ratios, peaks = [], []
    for _ in range(rounds):
        bare = measured([*command, "test_nothing.py"], place / "nothing")
        stored = measured([*command, "badcases"], place / "suite")
        ratios.append(stored.seconds / bare.seconds)
        peaks.append(stored.peak_mib)
        print(
            f"  pytest: {stored.seconds:.1f} s with stored answers, {bare.seconds:.1f} s of nothing: "
            f"{ratios[-1]:.2f}, peak {stored.peak_mib:,.0f} MiB"
        )
    return {
        "tests": tests, "ratios": [round(r, 3) for r in ratios], "median_ratio": round(statistics.median(ratios), 3),
        "peak_mib": round(max(peaks)),
    }  # fmt: skip


def project(place: Path, cases: int) -> None:
    """A project of that many cases, all of which pass on the scripted engine."""
    place.mkdir()
    records = [
        {"id": f"case-{i}", "text": f"Write a line about the lake, number {i}.", "standard_answer": ANSWER}
        for i in range(cases)
    ]
    make_project(place, cases=records, script={"lake": ANSWER})


def measured(words: list[str], folder: Path) -> Measured:
    """Run Python with these words in ``folder``.

    Raises:
        RuntimeError: it failed.
    """
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *words]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{words} ended with code {child.returncode}: {output[-2000:]}")
    return Measured(
        seconds=time.monotonic() - began, processor_seconds=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024, output=output,
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
