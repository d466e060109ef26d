"""Projects and processes of the campaigns: a tiny project for each try, and commands as a user starts them.

Every process carries a mark in its environment, by which those that outlive their command are found in /proc. Home,
cache and temporary folder of a try are its own, so whatever a command leaves anywhere is seen.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Self

import pytest

from harness.cli import main
from tests.support.projects import CLEAN, LOOP, make_project, record

__all__ = [
    "PATH",
    "ROOT",
    "Said",
    "copy_project",
    "environment",
    "failing_project",
    "here",
    "living",
    "run",
    "start",
    "stop",
]

ROOT = Path(__file__).resolve().parents[2]
MARK = "SOAK_MARK"
_SECONDS_TO_HANG = 180.0
PATH = os.pathsep.join([str(Path(__file__).with_name("without_torch")), str(ROOT)])
SCRIPT = {"sea": {"": LOOP, "v4.1": CLEAN, "v4.2": CLEAN}, "hill": CLEAN, "calm": CLEAN}


class Said(str):
    """What a command wrote, with its exit code."""

    code: int

    def __new__(cls, text: str, code: int) -> Self:
        said = super().__new__(cls, text)
        said.code = code
        return said


def failing_project(root: Path, *, cases: int = 3, settings: str = "", run: bool = False) -> Path:
    """A project whose first case loops on v4.0; with ``run``, a recorded run of it."""
    root.mkdir(parents=True)
    names = [record("sea"), record("calm", role="guard"), *(record(f"hill-{n}") for n in range(cases - 2))]
    make_project(root, names, SCRIPT, f'trainer = "scripted"\n{settings}')
    text = (root / "pyproject.toml").read_text("utf-8")
    # A copy of the project must find its own script.
    (root / "pyproject.toml").write_text(text.replace(f"scripted:{root}/", "scripted:"), "utf-8")
    if run:
        said = start_and_wait([sys.executable, "-m", "pytest", "badcases", "-q"], root)
        assert said.code == 1, said
    return root


def copy_project(template: Path, place: Path) -> Path:
    """A copy to be harmed."""
    shutil.copytree(template, place, symlinks=True)
    return place


def environment(place: Path, mark: str = "", **more: str) -> dict[str, str]:
    """The environment of a try: nothing of the harness's own, and folders beside the project."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS_", "GITHUB_", "CI_", "PYTEST_"))}
    beside = place.parent / f"{place.name}-beside"
    for name in ("tmp", "cache"):
        (beside / name).mkdir(parents=True, exist_ok=True)
    return {
        **kept, "PYTHONPATH": PATH, "TRANSFORMERS_VERBOSITY": "error", "HOME": str(beside),
        "TMPDIR": str(beside / "tmp"), "HARNESS_CACHE_DIR": str(beside / "cache"), MARK: mark, **more,
    }  # fmt: skip


def start(words: Sequence[str], place: Path, mark: str = "", **more: str) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; what it writes goes to files beside the project."""
    where = environment(place, mark, **more)
    beside = Path(where["HOME"])
    with (beside / "said.txt").open("ab") as said:
        return subprocess.Popen(
            list(words), cwd=place, env=where, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            start_new_session=True,
        )  # fmt: skip


def start_and_wait(words: Sequence[str], place: Path, **more: str) -> Said:
    """Run a command to its end; a negative code is a signal, and a hanging one is killed."""
    said = Path(environment(place)["HOME"]) / "said.txt"
    said.unlink(missing_ok=True)
    with start(words, place, **more) as process:
        try:
            code = process.wait(_SECONDS_TO_HANG)
        except subprocess.TimeoutExpired:
            stop(process)
            code = -signal.SIGALRM
    return Said(said.read_text("utf-8", "replace"), code)


def run(words: Sequence[str], place: Path, **more: str) -> Said:
    """Run ``harness WORDS``, or pytest where the first word says so, in a process of its own."""
    return start_and_wait(command(words), place, **more)


def command(words: Sequence[str]) -> list[str]:
    """The words as an argument list."""
    module = ["pytest"] if words[0] == "pytest" else ["harness", words[0]]
    return [sys.executable, "-m", *module, *words[1:]]


def here(words: Sequence[str], place: Path, more: Mapping[str, str] | None = None) -> Said:
    """Run ``harness WORDS``, or pytest where the first word says so, in this process: much faster than a new one.

    In a test, pytest gets a process of its own.
    """
    if words[0] == "pytest" and "PYTEST_CURRENT_TEST" in os.environ:
        return run(words, place, **(more or {}))
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment(place, **(more or {})))
    out = io.StringIO()
    try:
        with chdir(place), redirect_stdout(out), redirect_stderr(out):
            try:
                code = int(pytest.main(list(words[1:]))) if words[0] == "pytest" else main(list(words))
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 2
    finally:
        os.environ.clear()
        os.environ.update(before)
        # Every project has a test file of this name.
        sys.modules.pop("test_badcases", None)
    return Said(out.getvalue(), code)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that :func:`start` started, with its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def living(mark: str, seconds: float) -> list[str]:
    """Processes with the mark that are still there after at most ``seconds``; empty as soon as there are none."""
    end = time.monotonic() + seconds
    while found := _marked(mark):
        if time.monotonic() > end:
            return found
        time.sleep(0.02)
    return []


def _marked(mark: str) -> list[str]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if words:
                    found.append(f"{folder.name}: {words[:200]}")
    return found
