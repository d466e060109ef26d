"""``make bench-scores``: what the scores find, what they take for loops, how fast they are, how quiet the gate is.

``make bench-scores TEXTS=FILE.jsonl`` judges labelled texts of your own, beside the checks that others publish (peers.py).

Texts are in two halves: thresholds were chosen on one, the other is reported (sample.py). Prints tables and writes ``reports/bench/scores.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.safe.files import write_text
from tests.benchmarks.scores.accuracy import accuracy
from tests.benchmarks.scores.noise import noise
from tests.benchmarks.scores.peers import peers
from tests.benchmarks.scores.speed import speed

PARTS = {"accuracy": accuracy, "peers": peers, "noise": noise, "speed": speed}
OUT = Path(__file__).resolve().parents[3] / "reports" / "bench" / "scores.json"


def main() -> int:
    """Run the parts named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scores")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all by default")
    parser.add_argument("--texts", nargs="+", metavar="FILE.jsonl", help='{"text", "looping", "reference"?} a line')
    args = parser.parse_args()
    wanted = args.parts or (["peers"] if args.texts else list(PARTS))
    facts: dict[str, Any] = json.loads(OUT.read_text("utf-8")) if OUT.exists() else {}
    facts |= {
        "command": "python -m tests.benchmarks.scores",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("numpy", "numba", "rapidfuzz")}},
    }
    for name in wanted:
        facts[name] = peers(args.texts or ()) if name == "peers" else PARTS[name]()
        show(name, facts[name])
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_text(OUT, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    print(f"\nfigures: {OUT}")
    return 0


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def show(title: str, found: Any, depth: int = 0) -> None:
    """Nested figures as an indented table."""
    pad = "  " * depth
    if isinstance(found, dict):
        print(f"{pad}{title}" if depth else f"\n== {title}")
        for key, value in found.items():
            show(str(key), value, depth + 1)
    elif isinstance(found, list):
        print(f"{pad}{title}")
        for row in found:
            print(
                f"{pad}  {row['kind']:<32} {row['measure']:<16} {row['value']:.4f}   {row['low']:.4f} .. {row['high']:.4f}"
                f"   n={row['n']}"
            )
    else:
        print(f"{pad}{title:<48} {found:.4g}" if isinstance(found, float) else f"{pad}{title:<48} {found}")


if __name__ == "__main__":
    raise SystemExit(main())
