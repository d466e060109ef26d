"""With ``language = "zh"`` the terminal speaks Chinese, and what programs read stays as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.cli import main
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP

SCRIPT = {"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": {"": CLEAN, "v4.1": CLEAN + " Yes."}}
SENTENCE = re.compile(r"[A-Za-z]+(?: [A-Za-z]+){3,}")
"""Four English words in a row: a sentence that nobody translated. Answers and commands of a test are told apart."""


@pytest.fixture
def chinese(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in Chinese."""
    root = project(script=SCRIPT, settings='language = "zh"\ntrainer = "scripted"')
    monkeypatch.chdir(root)
    return root


def test_the_summary_and_the_gate_are_chinese(chinese: Path, pytester: pytest.Pytester) -> None:
    """The end of a run says in Chinese what failed, by which limit, and where the report is."""
    result = pytester.runpytest("badcases", "--max-repetition", "0.05")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["门禁：失败：重复分 *，要求 <= 0.05", "运行 *，报告：*report.html"])


def test_commands_are_chinese(chinese: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    """Fix, gate, compare, history and doctor write no English sentence."""
    pytester.runpytest("badcases")
    for command in ("fix --failed", "gate", "compare v4.0 v4.1", "history", "doctor"):
        capsys.readouterr()
        main(command.split())
        lines = [line for line in capsys.readouterr().out.splitlines() if "harness " not in line]
        left = [
            line for line in lines if SENTENCE.search(line) and not re.search("The sea is calm|evening light", line)
        ]
        assert left == [], command


def test_an_error_begins_in_chinese(chinese: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command and the fact of an error are Chinese; its text, which is searched for and quoted, is not."""
    assert main(["gate"]) == 3
    assert capsys.readouterr().err.startswith("harness gate 出错：no run is recorded")


def test_outcomes_for_programs_stay_english(
    chinese: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """--json has the outcome by its name."""
    pytester.runpytest("badcases")
    capsys.readouterr()
    main(["gate", "--json"])
    assert json.loads(capsys.readouterr().out)["gates"]["v4.0"]["outcome"] == "failed"
