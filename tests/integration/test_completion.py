"""``harness completion``: a script that a real shell takes, and that completes in it."""

from __future__ import annotations

import os
import shutil
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


def _command(root: Path) -> Path:
    """A folder with a command ``harness`` that runs this checkout."""
    command = root / "bin" / "harness"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    command.chmod(0o755)
    return command.parent


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
    env = {**os.environ, "PATH": f"{_command(root)}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", str(script), *words], cwd=root, env=env, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert set(done.stdout.split()) == expected, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_get_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the commands."""
    assert main(["completion", shell]) == 0
    assert "history" in capsys.readouterr().out


def test_fish_gets_verbs_options_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is for one command, adapter names are asked at completion, and quotes in a help are escaped."""
    assert main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "complete -c harness -n '__harness_exactly adapters' -a 'show' -d" in "\n".join(lines)
    assert any(x.startswith("complete -c harness -n '__harness_under fix' -l 'adapter' -xa '(__harness") for x in lines)
    assert any("-d 'write a run\\'s reports again'" in line for line in lines)
    assert any("-xa 'bash zsh fish tcsh'" in line for line in lines)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("harness hist", {"history"}),
        ("harness adapters sh", {"show"}),
        ("harness fix --adap", {"--adapter"}),
        ("harness fix --adapter v", {"v3.9", "v4.0"}),
        ("harness compare v4", {"v4.0"}),
    ],
    ids=["command", "verb", "option", "adapter", "version"],
)
def test_fish_completes(
    project: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, expected: set[str]
) -> None:
    """fish takes the script and completes in it."""
    root = project()
    monkeypatch.setenv("PATH", f"{_command(root)}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(root))
    assert main(["completion", "fish"]) == 0
    script = root / "harness.fish"
    script.write_text(capsys.readouterr().out)
    words = f"source {script}; complete -C '{line}'"
    done = subprocess.run(["fish", "-c", words], cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert {row.split("\t")[0] for row in done.stdout.splitlines()} == expected, done.stderr


def test_without_a_project_there_are_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A completion never writes an error between the words of a command line."""
    monkeypatch.chdir(tmp_path)
    assert main(["completion", "--adapters"]) == 0
    assert capsys.readouterr() == ("", "")
