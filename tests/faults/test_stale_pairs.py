"""An intermediate result is used because its inputs are the same, not because it is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.project.manifest import read_manifest
from tests.faults.conftest import Make

ONE = [{"instruction": "List four fruits.", "chosen": "Apple, pear.", "rejected": "Apple, apple, apple, apple"}]
DATASET = "generalized_dpo_preference_dataset.json"


def folder_of(root: Path) -> Path:
    (folder,) = (root / "reports" / "trainings").iterdir()
    return folder


def count(root: Path) -> int:
    return len(json.loads((folder_of(root) / DATASET).read_text("utf-8")))


def test_a_dry_run_with_other_pairs_does_not_decide_the_fix(failing: Make) -> None:
    """I tried ``--pairs one.json --dry-run``, and the next plain fix trained on that one pair."""
    root = failing()
    assert main(["fix", "--failed", "--dry-run"]) == 0
    made = count(root)
    (root / "one.json").write_text(json.dumps(ONE), "utf-8")
    assert main(["fix", "--failed", "--pairs", "one.json", "--dry-run"]) == 0
    assert count(root) == 1
    assert main(["fix", "--failed"]) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").facts["pairs"] == made > 1


def test_a_pair_written_by_hand_after_a_dry_run_is_trained_on(failing: Make) -> None:
    """I added a pair to my case's folder after looking at the plan, and the fix did not see it."""
    root = failing()
    assert main(["fix", "--failed", "--dry-run"]) == 0
    made = count(root)
    (root / "badcases" / "badcase1" / DATASET).write_text(json.dumps(ONE), "utf-8")
    assert main(["fix", "--failed"]) == 0
    assert count(root) == made + 1


def test_my_edits_are_neither_lost_nor_mixed_with_other_failures(
    failing: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """I edited the pairs, then my cases changed: the fix asks me instead of deciding."""
    root = failing()
    assert main(["fix", "--failed", "--dry-run"]) == 0
    path = folder_of(root) / DATASET
    edited = json.loads(path.read_text("utf-8"))[:1]
    path.write_text(json.dumps(edited), "utf-8")
    (root / "badcases" / "badcase1" / DATASET).write_text(json.dumps(ONE), "utf-8")
    assert main(["fix", "--failed"]) == 2
    assert "was edited" in capsys.readouterr().err
    assert json.loads(path.read_text("utf-8")) == edited
    assert main(["fix", "--failed", "--pairs", str(path)]) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").facts["pairs"] == 1
