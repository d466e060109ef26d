"""``make bench-triage``: how fast logs are searched, in how much memory, and what the prefilter misses.

    speed      a process for each kind of file and number of workers; MB of the unpacked file a second, peak memory
    filter     every labelled text of the other benchmarks, and random loops in ordinary answers, judged with and
               without the prefilter: repeaters that it missed, and ordinary answers that it lets through

Prints tables and writes ``reports/bench/triage.json``. ``--size`` is the size of the JSON lines, in MB. The logs are
made in ``--folder`` and kept there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from harness.judging.lines import score_lines
from harness.safe.files import write_text
from harness.triage.prefilter import suspects
from tests.benchmarks.scores.__main__ import _processor
from tests.benchmarks.scores.handmade_legitimate import handmade_legitimate
from tests.benchmarks.scores.handmade_loops import handmade_loops
from tests.benchmarks.scores.handmade_reported import handmade_reported
from tests.benchmarks.scores.legitimate import legitimate
from tests.benchmarks.scores.loops import looping
from tests.benchmarks.scores.material import sentences
from tests.benchmarks.scores.ordinary import ordinary
from tests.benchmarks.scores.sample import REPORTED, TUNED
from tests.benchmarks.triage.logs import write_logs
from tests.support.texts import labelled

ROOT = Path(__file__).resolve().parents[3]
RANDOM_LOOPS = 20_000
ENDS = (None, "stop", "length")


def main() -> int:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.triage")
    parser.add_argument("--size", type=int, default=500, metavar="MB", help="of the JSON lines")
    parser.add_argument("--folder", type=Path, help="where the logs are made")
    parser.add_argument("--only", choices=("speed", "filter"))
    parser.add_argument("--one", nargs=2, metavar=("FILE", "WORKERS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(Path(args.one[0]), int(args.one[1]))))
        return 0
    path = ROOT / "reports" / "bench" / "triage.json"
    facts: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    facts |= {
        "command": f"python -m tests.benchmarks.triage --size {args.size}",
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {_processor()}",
        "load": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("msgspec", "numba", "pyarrow")}},
    }
    if args.only in (None, "filter"):
        facts["filter"] = prefilter()
        show(["texts", "repeaters", "missed", "sound let through"], [list(row.values()) for row in facts["filter"]])
    if args.only in (None, "speed"):
        with tempfile.TemporaryDirectory(prefix="bench-triage-") as place:
            facts["speed"] = speed(args.folder or Path(place), args.size * 10**6)
        show(list(facts["speed"][0]), [list(row.values()) for row in facts["speed"]])
    write_text(path, json.dumps(facts, indent=2) + "\n")
    print(f"figures: {path.relative_to(ROOT)}")
    return 0


def speed(folder: Path, size: int) -> list[dict[str, Any]]:
    """Each kind of file with one process, and JSON lines with two."""
    paths = {name: folder / f"log.{name}" for name in ("jsonl", "jsonl.gz", "csv", "parquet")}
    if not all(path.is_file() for path in paths.values()):
        write_logs(folder, size)
    unpacked = {"jsonl.gz": paths["jsonl"].stat().st_size, "parquet": paths["csv"].stat().st_size}
    rows = []
    for name, workers in [*product(paths, (1,)), ("jsonl", 2)]:
        command = [sys.executable, "-m", "tests.benchmarks.triage", "--one", str(paths[name]), str(workers)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        figures = json.loads(done.stdout)
        total = unpacked.get(name) or paths[name].stat().st_size
        row = {
            "file": name,
            "processes": workers,
            "MB": round(total / 1e6),
            "MB/s": round(total / 1e6 / figures["seconds"], 1),
        }
        rows.append({**row, "CPU MB/s": round(total / 1e6 / figures["cpu"], 1), **figures})
    return rows


def one(path: Path, workers: int) -> dict[str, Any]:
    """One scan in this process, the kernels compiled before."""
    from harness.triage.logs import inspect_logs, scan_logs

    os.environ["HARNESS_KERNELS"] = "compiled"
    warm = [json.dumps({"text": "The sea. " * 40}).encode()]
    list(score_lines(warm))
    suspects(["The sea. " * 40])
    start, used = time.perf_counter(), time.process_time()
    found = scan_logs(inspect_logs([path], print), per_group=3, redacted=True, workers=workers)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(seconds, 1),
        "cpu": round(cpu + children.ru_utime + children.ru_stime, 1),
        "peak MB": round(max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, children.ru_maxrss) / 1024),
        "records": found.records,
        "suspects": found.suspects,
        "repeaters": found.repeaters,
        "groups": len(found.groups),
    }


def prefilter() -> list[dict[str, Any]]:
    """What the prefilter misses of what full scoring finds, in every set of texts."""
    sets: dict[str, list[str]] = {
        "made loops": [s.text for half in (TUNED, REPORTED) for s in looping(40, half)],
        "hand-made loops": [s.text for s in (*handmade_loops(), *handmade_reported())],
        "loops in many forms": [row["text"] for row in labelled(looping=True)],
        "random loops in ordinary answers": list(random_loops(RANDOM_LOOPS)),
        "ordinary answers": [s.text for half in (TUNED, REPORTED) for s in ordinary(400, half)],
        "tables, code, verse": [s.text for half in (TUNED, REPORTED) for s in legitimate(40, half)],
        "sound texts in many forms": [row["text"] for row in labelled(looping=False)],
        "hand-made sound texts": [s.text for s in handmade_legitimate()],
    }
    rows = []
    for name, texts in sets.items():
        repeats = [False] * len(texts)
        for end in ENDS:
            lines = (json.dumps({"text": text, "finish_reason": end}).encode() for text in texts)
            repeats = [old or line.verdict.repeater for old, line in zip(repeats, score_lines(lines), strict=True)]
        flags = suspects(texts)
        pairs = list(zip(repeats, flags, strict=True))
        sound = [flag for repeat, flag in pairs if not repeat]
        share = sum(sound) / len(sound) if sound else 0.0
        missed = sum(repeat and not flag for repeat, flag in pairs)
        rows.append(
            {"texts": f"{name}: {len(texts)}", "repeaters": sum(repeats), "missed": missed, "through": round(share, 3)}
        )
    return rows


def random_loops(count: int) -> Iterator[str]:
    """Loops of random units and kinds, at a random place of an ordinary answer."""
    draw = Random(5)
    base = {name: [s.text for s in ordinary(150) if s.kind.endswith(name)] for name in ("en", "zh", "code")}
    for _ in range(count):
        language = draw.choice(("en", "zh", "code"))
        before = draw.choice(base[language])[: draw.choice((0, 20, 60, 150, 300, 600, 1200))]
        after = draw.choice(("", "", "", draw.choice(base[language])[: draw.choice((10, 100, 500))]))
        yield before + _loop(draw, language) + after


def _loop(draw: Random, language: str) -> str:
    copies, unit = draw.randint(2, 14), _unit(draw, language)
    match draw.randrange(6):
        case 0:
            return unit * copies
        case 1:
            return "".join(f"{i}. {unit}" for i in range(1, copies + 1))
        case 2:
            cut = [unit[: draw.randint(max(1, len(unit) - 3), len(unit))] for _ in range(copies)]
            return "".join(part + draw.choice("abc的了 ") for part in cut)
        case 3:
            words = [_unit(draw, language)[: draw.randint(2, 8)] for _ in range(draw.randint(2, 8))]
            return "".join(draw.choice(words) for _ in range(draw.randint(20, 90)))
        case 4:
            return draw.choice("-=!. \n·哈啊0@") * draw.randint(20, 200)
    start = unit[:12]
    return "".join(start + _unit(draw, language)[: draw.randint(2, 9)] + draw.choice(". \n") for _ in range(copies))


def _unit(draw: Random, language: str) -> str:
    length = draw.randint(1, 14)
    if language == "zh":
        text = "".join(sentences("zh"))
        at = draw.randrange(len(text) - 40)
        return text[at : at + length] + draw.choice(("", "，", "。", "\n"))
    words = " ".join(sentences("en")).split()
    at = draw.randrange(len(words) - 40)
    return " ".join(words[at : at + length]) + draw.choice((" ", ", ", ". ", "\n", "\n- "))


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A plain table."""
    cells = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    print()
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    raise SystemExit(main())
