"""What commands write: JSON alone where it was asked for, silence where it was asked for, colour where it is wanted."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from harness.cli import main
from tests.integration.conftest import Make
from tests.support.adapters import lora
from tests.support.projects import CLEAN, LOOP

COMMANDS = (
    "gate", "compare v3.9 v4.0", "baseline write v4.0", "noise --runs 2", "fix --failed --dry-run", "pairs --failed",
    "fix --failed", "history", "report", "probe --failed", "bisect badcase1/sea", "adapters list", "adapters show v4.0",
    "adapters verify", "adapters export v4.1", "adapters add v5.0 mine", "adapters bless v4.0", "init new", "doctor",
    "train sft --data data.json --as v6.0", "train sft --data data.json --as v6.0 --dry-run", "score answers.jsonl",
)  # fmt: skip
SCRIPT = {
    "sea": {"": LOOP, "v4.1": CLEAN},
    "hill": {"": CLEAN, "v4.1": CLEAN + " Yes."},
    "calm": {"": CLEAN, "v4.1": CLEAN + " No."},
}


@pytest.fixture
def here(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which every command of the table has something to report."""
    root = project(script=SCRIPT, settings='trainer = "scripted"')
    monkeypatch.chdir(root)
    pytester.runpytest("badcases", "--adapter", "v3.9", "--adapter", "v4.0")
    (root / "answers.jsonl").write_text(json.dumps({"text": LOOP}) + "\n")
    (root / "data.json").write_text('[{"instruction": "Sing.", "output": "La."}]')
    (root / "mine").mkdir()
    lora(root / "mine")
    return root


def test_json_and_quiet_hold_for_all_commands(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json standard output is JSON and nothing else; with --quiet nothing is on standard error."""
    main(["fix", "--failed"])
    for command in COMMANDS:
        capsys.readouterr()
        code = main([*shlex.split(command), "--json", "--quiet"])
        out, err = capsys.readouterr()
        if code in (0, 1):
            assert err == "", command
            json.loads(out)
        else:
            assert out == "" or json.loads(out), command
