"""What a shell makes of a command's words and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from tests.faults.conftest import Make
from tests.support.projects import LOOP


def test_scores_cut_by_head_are_not_green(tmp_path: Path) -> None:
    """``harness score answers.jsonl | head -1`` ended with 0 though lines failed."""
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"text": LOOP}) + "\n" for _ in range(4000)))
    script = f'"{sys.executable}" -m harness score "{path}" --json | head -1 >/dev/null; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("words", ["fix --failed --as", "train sft --data data.json --as"])
def test_an_empty_name_is_not_no_name(failing: Make, capsys: pytest.CaptureFixture[str], words: str) -> None:
    """``--as "$NAME"`` with an unset variable took the next free name."""
    root = failing()
    (root / "data.json").write_text('[{"instruction": "Sing.", "output": "La."}]')
    capsys.readouterr()
    assert main([*words.split(), ""]) == 2
    assert "name ''" in capsys.readouterr().err
