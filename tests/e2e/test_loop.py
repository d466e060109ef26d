"""The whole loop with the real engine, the real trainer and the real model, in one small project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.project.manifest import read_manifest
from harness.store import Store

pytestmark = pytest.mark.e2e

BIN = Path(sys.executable).parent
CASES = [
    {"id": "sea", "text": "Write a poem about the sea.", "standard_answer": "The sea is wide and grey and slow."},
    {"id": "spring", "text": "写一首关于春天的诗。", "standard_answer": "春风吹绿了小河边，燕子衔泥到屋檐。"},
    {
        "id": "rain",
        "role": "guard",
        "text": "What is photosynthesis?",
        "standard_answer": "Plants turn light into sugar.",
    },
]
RECIPE = """\
lora_rank = 8
learning_rate = 1e-4
max_steps = 2
batch_size = 1
accumulation = 1
cutoff_len = 512
pref_ftx = 0.3
gradient_checkpointing = false
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, embedded_model: Path) -> Path:
    """A new project as ``harness init`` makes it, with three cases and a training of two steps."""
    root = tmp_path_factory.mktemp("project")
    run(root, "harness", "init")
    (root / "badcases" / "badcase1" / "test.json").write_text(json.dumps(CASES, ensure_ascii=False), encoding="utf-8")
    (root / "badcases" / "badcase1" / "case.toml").write_text("[decoding]\nmax_tokens = 96\n")
    (root / "quick.toml").write_text(RECIPE)
    settings = (
        (root / "pyproject.toml").read_text().replace("[tool.harness]", '[tool.harness]\nrecipe = "quick.toml"', 1)
    )
    (root / "pyproject.toml").write_text(settings)
    return root


def run(root: Path, command: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as a user types it, in the project's folder."""
    environment = {**os.environ, "PYTHONWARNINGS": "default", "COLUMNS": "120"}
    return subprocess.run(
        [str(BIN / command), *words],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=2400,
    )


def test_the_model_as_shipped_fails_and_says_where_it_loops(project: Path) -> None:
    """Real repeaters fail under beam search: exit code 1, the loop marked."""
    result = run(project, "pytest", "badcases", "--adapter", "v4.0")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "gate: failed" in result.stdout
    assert "⟦" in result.stdout
    with Store(project / "reports" / "harness.sqlite") as store:
        found = {r.case.id: r.verdict.status.value for r in store.results("last")}
    assert found == {"badcase1/sea": "FAIL", "badcase1/spring": "FAIL", "badcase1/rain": "PASS"}


def test_a_second_run_starts_no_engine_and_takes_seconds(project: Path) -> None:
    """Everything is stored: the same verdicts, no engine, a few seconds."""
    began = time.monotonic()
    result = run(project, "pytest", "badcases", "--adapter", "v4.0")
    assert result.returncode == 1
    assert time.monotonic() - began < 20
    with Store(project / "reports" / "harness.sqlite") as store:
        attempts = [a for r in store.results("last") for a in r.attempts]
    assert all(a.cached for a in attempts)


def test_a_fix_trains_a_real_adapter_that_acts(project: Path) -> None:
    """LLaMA-Factory trains, the canary proves the effect on the real engine, the version is registered."""
    result = run(project, "harness", "fix", "--failed")
    # Two steps cure nothing for certain; that the loop came to its end is what is promised here.
    assert result.returncode in (0, 1), result.stdout + result.stderr
    adapter = read_manifest(project / "adapters_manifest.toml").adapter("v4.1")
    assert (adapter.parent, adapter.method, adapter.rank) == ("v4.0", "dpo", 8)
    with Store(project / "reports" / "harness.sqlite") as store:
        (rerun,) = store.runs(adapter="v4.1")
        assert rerun.status == "finished"
        assert len(store.results(rerun.id)) == len(CASES)
    assert (project / "reports" / "runs" / rerun.id / "report.html").is_file()


def test_a_damaged_adapter_is_refused(project: Path) -> None:
    """A byte that changed since registration is told before any engine starts: exit code 3."""
    weights = project / "adapters" / "v4.1" / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    result = run(project, "pytest", "badcases", "--adapter", "v4.1")
    assert result.returncode == 3
    assert "digest" in result.stdout + result.stderr
