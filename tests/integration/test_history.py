"""``harness history``: how runs ended, which way they moved, and how a killed one goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.store import Store
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP, record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(project: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without runs, as the current folder."""
    root = project()
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "80")
    return root


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["history", "--json", *words]) == 0
    return list(json.loads(capsys.readouterr().out))


def test_a_row_says_gate_commit_host_and_tags(
    here: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was tested, where, how it was judged, and under which name."""
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "empty"], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    pytester.runpytest("badcases", "--run-tag", "nightly", "--run-tag", "a100", "--max-repetition", "90%")
    (row,) = rows(capsys)
    assert (row["status"], row["gate"], row["commit"], row["tags"]) == (
        "finished", "passed", commit, ["nightly", "a100"],
    )  # fmt: skip
    assert row["host"]
    assert rows(capsys, "--tag", "nightly") == [row]
    assert rows(capsys, "--tag", "weekly") == []


def test_outside_git_there_is_no_commit(
    here: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is guessed."""
    pytester.runpytest("badcases")
    assert rows(capsys)[0]["commit"] is None


def test_the_trend_is_against_the_run_before_of_the_same_version(
    here: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another version's run in between does not count."""
    pytester.runpytest("badcases", "--adapter", "v4.0")
    script = {"sea": CLEAN, "hill": CLEAN, "calm": CLEAN}
    (here / "script.json").write_text(json.dumps(script))
    pytester.runpytest("badcases", "--adapter", "v3.9")
    pytester.runpytest("badcases", "--adapter", "v4.0")
    newest, other, oldest = rows(capsys)
    assert newest["repetition_change"] == -oldest["repetition"]
    assert newest["pass_rate_change"] == pytest.approx(1 / 3, abs=1e-4)
    assert (other["repetition_change"], oldest["repetition_change"]) == (None, None)


def test_the_table_fits_a_terminal_of_80_columns(
    here: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a run, with an arrow for what has moved."""
    for answer in (LOOP, CLEAN):
        (here / "script.json").write_text(json.dumps({"sea": answer, "hill": CLEAN, "calm": CLEAN}))
        pytester.runpytest("badcases")
    capsys.readouterr()
    main(["history"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert re.search(r"v4\.0 +passed +0\.000 ↓ +3/3 ↑", lines[1])
    assert re.search(r"v4\.0 +failed +0\.\d+ +2/3", lines[2])


def test_a_killed_run_is_called_killed_and_can_go_on(
    project: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process is gone: its stored answers are counted, and the same command uses them again."""
    root = project(
        cases=[record(w) for w in ("sea", "hill", "calm")], settings="[tool.harness.engine_options]\ndelay = 1.0"
    )
    monkeypatch.chdir(root)
    engine = "tests.support.slow_engine:SlowEngine"
    command = [sys.executable, "-m", "pytest", "badcases", "--engine", engine]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while _results(root) < 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert rows(capsys)[0]["status"] == "running"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    row = rows(capsys)[0]
    assert (row["status"], row["gate"]) == ("killed", None)
    assert 1 <= row["results"] < 3
    main(["history"])
    out = capsys.readouterr().out
    assert f"was killed after {row['results']} of 3 results" in out
    assert f"continue with: pytest badcases --engine {engine}" in out


def _results(root: Path) -> int:
    database = root / "reports" / "harness.sqlite"
    if not database.is_file():
        return 0
    with Store(database) as store:
        runs = store.runs()
        return len(store.results(runs[0].id)) if runs else 0
