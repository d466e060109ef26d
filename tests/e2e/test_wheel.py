"""A wheel in a fresh folder gives what a checkout gives: two commands install it, and the real engine answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.e2e


def test_a_wheel_is_no_dead_end(tmp_path: Path) -> None:
    """``pip install`` and ``harness setup``; it installed no engine, and named none."""
    # Without what this checkout's environment adds, so that nothing of it is found by chance.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "HARNESS_TRAINER_PYTHON")}

    def call(*words: str | Path, expected: int | tuple[int, ...] = 0, folder: Path = tmp_path) -> str:
        done = subprocess.run(
            [str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        allowed = expected if isinstance(expected, tuple) else (expected,)
        assert done.returncode in allowed, f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    # Not uv: a set-up that found one elsewhere leaves none here.
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", folder=ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    call(sys.executable, "-m", "venv", ".venv")
    call(".venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    harness = tmp_path / ".venv" / "bin" / "harness"
    call(harness, "init")
    findings = {f["what"]: f for f in json.loads(call(harness, "doctor", "--json", expected=3))["findings"]}
    assert findings["engine vllm"]["remedy"] == "harness setup"
    # An engine of one's own needs the package that renders prompts, and says so with exit code 3.
    said = call(".venv/bin/pytest", "badcases", "--engine", "json:loads", expected=3)
    assert "rendering prompts needs transformers; run: harness setup" in said
    call(harness, "setup")
    assert json.loads(call(harness, "doctor", "--json"))["good"] is True
    (tmp_path / "badcases" / "badcase1" / "case.toml").write_text("[decoding]\nbeam_width = 2\nmax_tokens = 24\n")
    call(".venv/bin/pytest", "badcases", "--adapter", "v4.0", expected=(0, 1))
    # The first run was of an engine that could not be asked.
    *_, report = sorted(tmp_path.glob("reports/runs/*/report.json"))
    (result,) = json.loads(report.read_text())["adapters"][0]["results"]
    assert result["verdict"]["status"] in ("PASS", "FAIL")
    assert result["attempts"][0]["tokens"] > 0
