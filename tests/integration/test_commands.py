"""The commands that read what runs left: gate, history, report; and those that begin a project: init, doctor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import COMMANDS, main
from harness.store import Store
from tests.integration.conftest import Make
from tests.support.projects import CLEAN


@pytest.fixture
def here(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A project with a recorded run, as the current folder."""

    def make(*words: str, **fields: object) -> Path:
        root = project(**fields)
        monkeypatch.chdir(root)
        pytester.runpytest("badcases", *words)
        return root

    return make


@pytest.mark.parametrize(
    ("script", "words", "code"),
    [
        ({"Write": CLEAN}, [], 0),
        (None, [], 1),
        (None, ["--max-repetition", "0.9"], 0),
        (None, ["--max-repetition", "0.1"], 1),
        (None, ["--max-repeater-rate", "0.1"], 1),
        ({"Write": {"failure": "broken"}}, [], 3),
        (None, ["--baseline", "v3.9"], 3),
    ],
    ids=["green", "failing", "kept", "repetition", "repeaters", "engine-broke", "no-baseline"],
)
def test_gate_judges_the_last_run(here: Make, script: dict[str, object] | None, words: list[str], code: int) -> None:
    """0 passed, 1 failed, 3 nothing to judge by: a pipeline needs nothing else."""
    here(script=script)
    assert main(["gate", *words]) == code


def test_gate_keeps_the_limits_of_the_run(here: Make) -> None:
    """A limit given to pytest is judged again by harness gate without being repeated."""
    here("--max-repetition", "0.9")
    assert main(["gate"]) == 0


@pytest.mark.parametrize("words", [["-x"], ["-k", "nothing-like-that"]], ids=["interrupted", "nothing-selected"])
def test_a_run_without_all_results_passes_no_gate(here: Make, words: list[str]) -> None:
    """What was not run was not passed."""
    here(*words)
    assert main(["gate"]) == 3


def test_gate_output_is_json_on_request(here: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads outcome and checks."""
    here()
    capsys.readouterr()
    assert main(["gate", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["gates"]["v4.0"]["outcome"] == "failed"


def test_history_lists_runs_newest_first(here: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Every run is found again, with its counts."""
    root = here()
    capsys.readouterr()
    assert main(["history", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    with Store(root / "reports" / "harness.sqlite") as store:
        assert row["run"] == store.run("last").id
    assert (row["pass"], row["fail"], row["of"]) == (2, 1, 3)


def test_reports_can_be_written_again(here: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Reports are exports: deleted, they come back from the store."""
    root = here()
    (run,) = (root / "reports" / "runs").iterdir()
    page = run / "report.html"
    page.unlink()
    assert main(["report"]) == 0
    assert str(page) in capsys.readouterr().out
    assert page.is_file()


def test_init_makes_a_project_that_collects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What init writes is a suite with one case, and a second init changes nothing."""
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "badcases", "--collect-only", "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 test collected" in result.stdout
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.toml")}
    assert main(["init"]) == 0
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.toml")} == before


def test_doctor_names_what_is_missing_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty folder is no project, and the doctor says how to make one."""
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 3
    assert "harness init" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help works for each command, and says something."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: harness {command}" in capsys.readouterr().out


def test_wrong_words_are_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command is the caller's mistake."""
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2
    assert "unknown command 'fly'" in capsys.readouterr().err
