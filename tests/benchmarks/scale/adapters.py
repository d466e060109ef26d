"""``python -m tests.benchmarks.scale.adapters``: several versions in one run, and how long the engine computes in it.

The demo's cases run on one LoRA, on three of the same size, and with one token an answer, which is what a start and an
end cost (s). Three versions in one run are to take at most 1.2 times what three runs take without two starts:
t3 / (3 * t1 - 2 * s). The engine's process is busy in a half second in which it uses half a core or more; its share is
told of the time after the start. Writes ``reports/bench/adapters.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.models.embedded import embedded_model
from harness.safe.files import write_text
from tests.benchmarks.scratch import make_project
from tests.support.llama import random_lora

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "reports" / "bench" / "adapters.json"
NAMES = ("v5.1", "v5.2", "v5.3")
_EVERY = 0.5
"""Seconds between two looks at the processes."""
_BUSY = 0.5
"""Cores that a busy engine uses at least."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One run of pytest."""

    seconds: float
    busy: tuple[tuple[float, bool], ...]
    """Seconds since the start, and whether the engine computed."""

    def share(self, after: float) -> float:
        """Busy share of the time after that many seconds."""
        looks = [busy for moment, busy in self.busy if moment > after]
        return sum(looks) / max(1, len(looks))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale.adapters", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="default: 1")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-adapters-") as place:
        whole, short = Path(place) / "whole", Path(place) / "short"
        make_project(whole, tag="demo")
        make_project(short, tag="demo")
        for path in short.glob("badcases/*/case.toml"):
            path.write_text(re.sub(r"(?m)^max_tokens = \d+$", "max_tokens = 1", path.read_text("utf-8")), "utf-8")
        _register((whole, short), Path(place) / "loras")
        for number in range(args.rounds):
            start = _run(short, NAMES[:1])
            one, three = _run(whole, NAMES[:1]), _run(whole, NAMES)
            row = {
                "round": number, "start_s": round(start.seconds, 1), "one_s": round(one.seconds, 1),
                "three_s": round(three.seconds, 1),
                "ratio": round(three.seconds / (3 * one.seconds - 2 * start.seconds), 3),
                "busy": round(three.share(start.seconds), 3), "busy_of_all": round(three.share(0.0), 3),
            }  # fmt: skip
            rows.append(row)
            print(json.dumps(row), flush=True)
    facts = {
        "command": "python -m tests.benchmarks.scale.adapters " + " ".join(sys.argv[1:]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "load_after": round(os.getloadavg()[0], 2),
        "rounds": rows,
        **{name: statistics.median(row[name] for row in rows) for name in ("ratio", "busy", "busy_of_all")},
    }  # fmt: skip
    write_text(OUT, json.dumps(facts, indent=2) + "\n")
    print(f"figures: {OUT.relative_to(ROOT)}")
    return 0


def _register(projects: tuple[Path, ...], folder: Path) -> None:
    model = embedded_model("smollm2-135m-instruct")
    for seed, name in enumerate(NAMES):
        random_lora(model, folder / name, seed=seed, std=0.01)
        for project in projects:
            subprocess.run(
                [sys.executable, "-m", "harness", "adapters", "add", name, str(folder / name)],
                cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
            )  # fmt: skip


def _run(project: Path, names: tuple[str, ...]) -> Timed:
    """Run the suite; its cases may fail.

    Raises:
        RuntimeError: the harness broke.
    """
    words = [word for name in names for word in ("--adapter", name)]
    command = [sys.executable, "-m", "pytest", "badcases", *words, "--no-cache", "-q", "-p", "no:cacheprovider"]
    looks: list[tuple[float, bool]] = []
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        child = subprocess.Popen(
            command, cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=output
        )
        ended = threading.Event()
        watch = threading.Thread(target=_watch, args=(child.pid, began, looks, ended))
        watch.start()
        code = child.wait()
        seconds = time.monotonic() - began
        ended.set()
        watch.join()
        if code not in (0, 1):
            output.seek(0)
            raise RuntimeError(f"{command} ended with code {code}: {output.read()[-2000:]}")
    return Timed(seconds=seconds, busy=tuple(looks))


def _watch(top: int, began: float, looks: list[tuple[float, bool]], ended: threading.Event) -> None:
    before = _used(top)
    while not ended.wait(_EVERY):
        now = _used(top)
        # A process that is new has no use before; one that ended takes its use along.
        grown = sum(max(0.0, seconds - before.get(pid, seconds)) for pid, seconds in now.items())
        looks.append((time.monotonic() - began, grown >= _BUSY * _EVERY))
        before = now


def _used(top: int) -> dict[int, float]:
    """Seconds of a processor of each process below ``top``, which are the engine's."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            seconds[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    below, found = [top], set[int]()
    while below:
        here = below.pop()
        children = [pid for pid, parent in parents.items() if parent == here and pid not in found]
        found.update(children)
        below += children
    return {pid: seconds[pid] for pid in found}


if __name__ == "__main__":
    raise SystemExit(main())
