"""``harness watch`` as a process: a saved case file runs what fails and what changed, and Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP, record

ROOT = Path(__file__).parents[2]


class Watcher:
    """A running ``harness watch --json``."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness", "watch", "--json", "--quiet"], cwd=root, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def close(self) -> None:
        """End the process and what reads it."""
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def round(self, timeout: float = 60) -> dict[str, Any]:
        """The next round."""
        return dict(json.loads(self._lines.get(timeout=timeout)))

    def is_silent(self, seconds: float) -> bool:
        """Whether no round ends within ``seconds``."""
        try:
            self._lines.get(timeout=seconds)
        except Empty:
            return True
        return False


@pytest.fixture
def root(project: Make) -> Path:
    """Three folders of cases; one case loops."""
    root = project(
        cases=[record("sea"), record("hill")], script={"sea": LOOP, "hill": CLEAN, "moor": CLEAN, "calm": CLEAN}
    )
    for folder, name in (("badcase2", "moor"), ("badcase3", "calm")):
        (root / "badcases" / folder).mkdir()
        (root / "badcases" / folder / "test.json").write_text(json.dumps([record(name)]))
    return root


@pytest.fixture
def watcher(root: Path) -> Iterator[Watcher]:
    """A watcher that is at work; killed at the end."""
    watcher = Watcher(root)
    yield watcher
    watcher.close()


def test_a_saved_case_file_runs_what_fails_and_what_changed(root: Path, watcher: Watcher) -> None:
    """The suite once, then the changed folder and the failing cases, until none fails; Ctrl-C ends with 130."""
    first = watcher.round()
    assert (first["cases"], first["passed"], first["failing"]) == (4, 3, ["badcase1/sea"])
    time.sleep(1)
    (root / "badcases" / "badcase2" / "test.json").write_text(json.dumps([record("moor"), record("calm")]))
    second = watcher.round()
    assert (second["changed"], second["cases"], second["failing"]) == (["badcase2"], 3, ["badcase1/sea"])
    (root / "badcases" / "badcase1" / "test.json").write_text(json.dumps([record("hill")]))
    third = watcher.round()
    assert (third["changed"], third["cases"], third["failing"]) == (["badcase1"], 1, [])
    watcher.process.send_signal(signal.SIGINT)
    assert watcher.process.wait(timeout=30) == 130
    assert watcher.process.stderr is not None
    assert watcher.process.stderr.read() == "harness watch: interrupted\n"


def test_a_broken_case_file_is_told_and_the_watch_goes_on(root: Path, watcher: Watcher) -> None:
    """The line names the file; mended, the next round runs."""
    watcher.round()
    time.sleep(1)
    path = root / "badcases" / "badcase3" / "test.json"
    path.write_text("[{]")
    broken = watcher.round()
    assert broken["run"] is None
    assert "badcase3" in broken["problem"]
    path.write_text(json.dumps([record("calm")]))
    assert watcher.round()["changed"] == ["badcase3"]


def test_what_the_harness_writes_starts_no_round(root: Path, watcher: Watcher) -> None:
    """Byte code, hidden files, editors' copies and the registry of data sets are no cases."""
    watcher.round()
    time.sleep(1)
    for name in ("dataset_info.json", ".hidden.json", "test.json~"):
        (root / "badcases" / "badcase1" / name).write_text("{}")
    assert watcher.is_silent(4)


def test_without_cases_there_is_nothing_to_watch(tmp_path: Path) -> None:
    """One line, exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", "watch"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "harness init" in done.stderr
