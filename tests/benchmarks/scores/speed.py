"""How long scoring takes: a text, a file, a very long text, the first line; and datatrove on the same texts."""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from harness.judging.lines import as_json, score_lines
from harness.judging.stream import LoopWatch
from harness.metrics import measure, repetition, score
from tests.benchmarks.scores.gopher_run import run_datatrove
from tests.benchmarks.scores.loops import looping
from tests.benchmarks.scores.material import sentences, snippets

__all__ = ["speed"]

SIZE, TEXTS, ANSWERS = 4000, 96, 100_000
ROOT = Path(__file__).resolve().parents[3]


def prose(draw: Random, language: str, size: int) -> str:
    """Sentences of the bank, none twice; when they run out, with their words (or characters) shuffled."""
    text, joint = "", " " if language == "en" else ""
    shuffled = False
    while len(text) < size:
        for sentence in draw.sample(sentences(language), len(sentences(language))):
            parts = sentence[:-1].split() if language == "en" else list(sentence[:-1])
            if shuffled:
                draw.shuffle(parts)
            text += joint.join(parts) + sentence[-1] + joint
        shuffled = True
    return text[:size]


def texts() -> dict[str, list[str]]:
    """``TEXTS`` texts of ``SIZE`` characters of each kind."""
    draw = Random(1)
    loops = [s.text * (1 + SIZE // len(s.text)) for s in looping(TEXTS // 8) if s.kind.split()[0] != "bounded"]
    return {
        "english": [prose(draw, "en", SIZE) for _ in range(TEXTS)],
        "chinese": [prose(draw, "zh", SIZE) for _ in range(TEXTS)],
        "code": ["\n".join(draw.choices(snippets(), k=40))[:SIZE] for _ in range(TEXTS)],
        "looping": [t[:SIZE] for t in loops[:TEXTS]],
    }


def _measure(batch: list[str]) -> None:
    for _ in measure(batch):
        pass


def best(work: Callable[[], object], rounds: int = 15) -> float:
    """Shortest of several rounds, in seconds: what the work takes when nothing else disturbs it."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found)


def speed() -> dict[str, Any]:
    """All figures, with their units in the names."""
    os.environ["HARNESS_KERNELS"] = "compiled"
    list(measure(["warm up"]))
    material = texts()
    batches = {k: [t[i : i + 16] for i in range(0, len(t), 16)] for k, t in material.items()}
    found: dict[str, Any] = {
        "all repetition scores, in batches, us a text": {
            k: sum(best(partial(_measure, b)) for b in bs) / TEXTS * 1e6 for k, bs in batches.items()
        },
        "repetition(text), one call a text, us": {
            k: sum(best(partial(repetition, t), 7) for t in ts) / TEXTS * 1e6 for k, ts in material.items()
        },
        "score(answer, case) with everything, us": {k: _whole(ts[:24]) for k, ts in material.items()},
        "lines to verdicts": _file(),
        "LoopWatch, us a piece of four characters": {k: _watched(ts[:24]) for k, ts in material.items()},
        "growth, ns a character": _growth(),
        "harness score of one line, empty caches, seconds": _first_line(),
    }
    found["datatrove"] = _datatrove(material, found["all repetition scores, in batches, us a text"])
    return found


def _watched(material: list[str]) -> float:
    """Microseconds a piece, until the answer is certain to fail or ends."""
    pieces = 0

    def watch_all() -> None:
        nonlocal pieces
        pieces = 0
        for text in material:
            watch = LoopWatch()
            for at in range(0, len(text), 4):
                pieces += 1
                if watch.feed(text[at : at + 4]):
                    break

    return best(watch_all, 3) / pieces * 1e6


def _whole(material: list[str]) -> float:
    from tests.support.builders import case

    of = case(standard_answer=material[0])
    return sum(best(partial(score, t, of, tokens=range(1000)), 5) for t in material) / len(material) * 1e6


def answers(count: int, references: bool) -> list[bytes]:
    """JSON lines as users have them, by our reckoning: a third each English, Chinese and prose with code, 1 to 4 kB of UTF-8.

    One in twenty loops; one in four has a reference of its own kind and size where ``references``. Code is cut from the
    standard library, since the snippets of the benchmark are few and would repeat each other.
    """
    draw = Random(7)
    code = "\n\n".join(Path(str(module.__file__)).read_text("utf-8") for module in (argparse, ast, difflib, statistics))
    loops = [s.text for s in looping(8)]

    def text(language: str) -> str:
        size = draw.randint(1000, 4000)
        if language != "code":
            found = prose(draw, language, size if language == "en" else size // 3)
        else:
            at = draw.randrange(len(code) - 4000)
            found = prose(draw, "en", size // 4) + "\n\n```\n" + code[at : at + size - size // 4] + "\n```"
        return found

    lines = []
    for i in range(count):
        language = ("en", "zh", "code")[i % 3]
        line = {"id": i, "text": draw.choice(loops) if i % 20 == 19 else text(language)}
        if references and i % 4 == 0:
            line["reference"] = text(language)
        lines.append(json.dumps(line, ensure_ascii=False).encode())
    return lines


def _file() -> dict[str, Any]:
    """JSON lines to JSON verdicts, one core."""
    found: dict[str, Any] = {}
    for name, references in (("no references", False), ("a quarter with references", True)):
        lines = answers(6000, references)
        size = sum(len(lines[i % len(lines)]) for i in range(ANSWERS))
        begun = time.process_time()
        written = sum(len(as_json(line)) for line in score_lines(islice(cycle(lines), ANSWERS)))
        seconds = time.process_time() - begun
        found[name] = {
            "answers": ANSWERS, "mean bytes": size / ANSWERS, "CPU seconds": seconds, "MB/s": size / seconds / 1e6,
            "written MB": written / 1e6,
        }  # fmt: skip
    return found


def _growth() -> dict[str, dict[str, float]]:
    draw = Random(2)
    million = 1_000_000
    words = prose(draw, "en", million)
    kinds = {
        "prose": words,
        "a sentence again and again": ("The sea is wide and very old. " * million)[:million],
        "one character": "a" * million,
        "two letters at random": "".join(draw.choices("ab", k=million)),
        "long stretches with flaws, made to be slow": "".join(
            "a" * draw.randint(9_000, 18_000) + "b" for _ in range(112)
        )[:million],
        "rows that differ in a number": "".join(f"row {i}: ok\n" for i in range(million // 8))[:million],
    }
    sizes = (1_000, 10_000, 100_000, million)
    return {k: {str(n): best(partial(_measure, [t[:n]]), 3) / n * 1e9 for n in sizes} for k, t in kinds.items()}


def _first_line() -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.jsonl"
        path.write_text(json.dumps({"text": "I love the sea. " * 250}) + "\n")
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        del environment["HARNESS_KERNELS"]
        command = [sys.executable, "-m", "harness", "score", str(path), "--json"]

        def run() -> None:
            subprocess.run(command, env=environment, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)

        return best(run, 3)


def _datatrove(material: dict[str, list[str]], ours: dict[str, float]) -> dict[str, Any]:
    """The Gopher statistics of datatrove on some of the same texts; or why not."""
    groups = [{"name": k, "language": "zh" if k == "chinese" else "en", "texts": material[k][:12]} for k in ours]
    theirs = run_datatrove("time", groups)
    if isinstance(theirs, str):
        return {"skipped": theirs}
    return {
        "version": theirs.pop("datatrove"),
        "Gopher statistics, us a text": theirs,
        "times as long as ours": {k: theirs[k] / ours[k] for k in ours},
    }
