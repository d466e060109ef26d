"""The main job on real input, timed by phase: what ``make demo`` runs.

A scratch project is made out of the bundled bad cases (those tagged ``demo``) and thrown away at the next start, so the
repository's own manifest stays as it is and every demo really generates, trains and generates again. The commands are
the users' own, run as they would type them. Wall time by phase and the peak memory of all processes together go to
``reports/bench/demo.json``.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.benchmarks.scratch import make_project

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "reports" / "demo"
BIN = Path(sys.executable).parent


def main() -> int:
    began = time.monotonic()
    shutil.rmtree(PROJECT, ignore_errors=True)
    make_project(PROJECT, "merge = true\n", tag="demo")
    memory = PeakMemory()
    memory.start()
    phases: list[dict[str, object]] = []
    evaluated = step(phases, "evaluate v4.0", ["pytest", "badcases", "--adapter", "v4.0", "--tb=line"])
    if evaluated != 1:
        print(f"expected exit code 1 (the model fails cases), got {evaluated}")
        return evaluated or 3
    print("exit code 1, as expected: the model as shipped fails these cases. Now the fix.\n", flush=True)
    fixed = step(phases, "fix: train and run again", ["harness", "fix", "--failed"])
    if fixed not in (0, 1):
        return fixed
    compared = step(phases, "compare", ["harness", "compare", "v4.0", "v4.1"])
    memory.stop()
    facts = {
        "command": "make demo",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, no GPU used"
        if not shutil.which("nvidia-smi")
        else "GPU",
        "phases": phases,
        "total_seconds": round(time.monotonic() - began, 1),
        "peak_memory_gib": round(memory.peak / 2**30, 2),
        "exit_codes": {"evaluate": evaluated, "fix": fixed, "compare": compared},
    }
    out = ROOT / "reports" / "bench" / "demo.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(facts, indent=2) + "\n")
    print("\nphase                      seconds")
    for phase in phases:
        print(f"{phase['name']:<26} {phase['seconds']:>7}")
    print(f"{'all (without set-up)':<26} {facts['total_seconds']:>7}   peak memory {facts['peak_memory_gib']} GiB")
    print(f"figures: {out.relative_to(ROOT)}")
    return 0


def step(phases: list[dict[str, object]], name: str, command: list[str]) -> int:
    """Run one command in the project, shown as a user would type it."""
    print(f"$ {' '.join(command)}", flush=True)
    began = time.monotonic()
    code = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=PROJECT, check=False).returncode
    phases.append({"name": name, "seconds": round(time.monotonic() - began, 1), "exit_code": code})
    print(flush=True)
    return code


class PeakMemory(threading.Thread):
    """Samples the proportional memory (PSS) of this process and all its descendants."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(1.0):
            self.peak = max(self.peak, sum(_pss(pid) for pid in _descendants(os.getpid())))

    def stop(self) -> None:
        self._done.set()
        self.join()


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += _descendants(int(child))
    return found


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
