"""``harness completion``: a script that a real shell takes, and that completes in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from tests.integration.conftest import Make

ROOT = Path(__file__).parents[2]
COMPLETE = """
source "$1"; shift
words=("$@"); last=$((${#words[@]} - 1))
COMP_WORDS=("${words[@]}"); COMP_CWORD=$last; COMPREPLY=()
_shtab_harness harness "${words[$last]}" "${words[$((last - 1))]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The script for bash."""
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "harness.bash"
    path.write_text(capsys.readouterr().out)
    return path


def test_bash_takes_the_script(script: Path) -> None:
    """``bash -n`` finds no error in it."""
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["harness", "hist"], {"history"}),
        (["harness", "adapters", "sh"], {"show"}),
        (["harness", "fix", "--adap"], {"--adapter"}),
        (["harness", "fix", "--adapter", ""], {"v3.9", "v4.0"}),
        (["harness", "compare", "v4"], {"v4.0"}),
        (["harness", "train", ""], {"sft", "dpo", "kto"}),
    ],
    ids=["command", "verb", "option", "adapter", "version", "choice"],
)
def test_bash_completes(script: Path, project: Make, words: list[str], expected: set[str]) -> None:
    """Commands, verbs, options, choices, and the names in the project's manifest."""
    root = project()
    (root / "bin").mkdir()
    command = root / "bin" / "harness"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", str(script), *words], cwd=root, env=env, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert set(done.stdout.split()) == expected, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the commands."""
    assert main(["completion", shell]) == 0
    assert "history" in capsys.readouterr().out


def test_without_a_project_there_are_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A completion never writes an error between the words of a command line."""
    monkeypatch.chdir(tmp_path)
    assert main(["completion", "--adapters"]) == 0
    assert capsys.readouterr() == ("", "")
