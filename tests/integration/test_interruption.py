"""An interrupted fix or training says which command goes on, and that command does."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.interruption import resume_command
from harness.project.manifest import read_manifest
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP

TRAINER = """
from trainers.scripted import ScriptedTrainer
def Stopped(*_):
    return ScriptedTrainer(interrupt_at=2)
"""
SCRIPT = {
    "sea": {"": LOOP, "v4.1": CLEAN},
    "hill": {"": CLEAN, "v4.1": CLEAN + " Yes."},
    "calm": {"": CLEAN, "v4.1": CLEAN + " No."},
}


@pytest.fixture
def interrupted(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a failing case, whose trainer is interrupted as by Ctrl-C."""
    root = project(script=SCRIPT)
    (root / "stopped.py").write_text(TRAINER)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setenv("HARNESS_TRAINER", "stopped:Stopped")
    (root / "data.json").write_text('[{"instruction": "Sing.", "output": "La."}]')
    pytester.runpytest("badcases")
    return root


def test_an_interrupted_fix_goes_on_with_the_command_that_it_names(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same options and --resume; pasted, it ends with a blessed version."""
    capsys.readouterr()
    assert main(["fix", "--failed", "--as", "v4.1", "--rounds", "2"]) == 130
    out, err = capsys.readouterr()
    assert err == "harness fix: interrupted\n"
    command = "harness fix --failed --as v4.1 --rounds 2 --resume"
    assert f"v4.1: interrupted; finished steps are kept. Continue with: {command}" in out
    monkeypatch.setenv("HARNESS_TRAINER", "scripted")
    assert main(shlex.split(command)[1:]) == 0
    assert read_manifest(interrupted / "adapters_manifest.toml").adapter("v4.1").status == "blessed"


def test_an_interrupted_training_names_the_version_that_it_was_making(
    interrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --as the name was chosen by the harness; the command must not choose another one."""
    capsys.readouterr()
    assert main(["train", "sft", "--data", "data.json"]) == 130
    assert "Continue with: harness train sft --data data.json --as v4.1 --resume" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "replace", "command"),
    [
        (["fix", "--failed"], [], "harness fix --failed --resume"),
        (["fix", "--failed", "--resume"], [], "harness fix --failed --resume"),
        (["fix", "--as", "v5", "--gpus=2"], [("--as", None), ("--run", "r")], "harness fix --gpus=2 --run r --resume"),
        (["fix", "--as=v5"], [("--as", "v6")], "harness fix --as v6 --resume"),
        (["train", "sft", "--data", "a b.json"], [], "harness train sft --data 'a b.json' --resume"),
    ],
)
def test_a_command_is_continued_with_its_own_words(
    words: list[str], replace: list[tuple[str, str | None]], command: str
) -> None:
    """Options that are replaced are left out with their values, in both forms."""
    assert resume_command(words, replace=replace) == command
