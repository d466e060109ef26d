"""What a campaign of damaged files found in the inputs of trainings: each is told by its name, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import TrainerError
from harness.fix.training import kept_recipe
from tests.faults.conftest import Make

Capture = pytest.CaptureFixture[str]


def test_a_recipe_with_half_a_character_is_told_by_its_file(tmp_path: Path) -> None:
    """JSON can hold it, and the manifest, into which the recipe's name goes, cannot."""
    (tmp_path / "recipe.json").write_text('{"name": "dpo\\ud800"}')
    with pytest.raises(TrainerError, match=r"recipe\.json: is not a recipe"):
        kept_recipe(tmp_path)


def test_a_data_file_with_an_impossible_name_is_told_by_its_registry(
    project: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """No file system takes a name of 70,000 characters."""
    root = project()
    monkeypatch.chdir(root)
    columns = {"prompt": "instruction", "response": "output"}
    entry = {"file_name": "x" * 70_000, "formatting": "alpaca", "columns": columns}
    (root / "dataset_info.json").write_text(json.dumps({"d": entry}))
    assert main(["train", "sft", "--data", "dataset_info.json", "--dry-run"]) in (2, 3)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "dataset_info.json" in said
    assert "no file can have its file_name (File name too long)" in said


def test_a_file_without_an_example_is_named(project: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """With several files it is the list of them that has none."""
    root = project()
    monkeypatch.chdir(root)
    monkeypatch.setenv("HARNESS_TRAINER", "scripted")
    (root / "data.json").write_text("[]")
    assert main(["train", "sft", "--data", "data.json", "--as", "v5.0"]) in (2, 3)
    assert "data.json: no example to train on" in capsys.readouterr().err


def test_pairs_of_which_none_is_left_are_named(
    project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Whoever dropped all pairs on the page reads which file is empty."""
    root = project()
    monkeypatch.chdir(root)
    pytester.runpytest("badcases")
    (root / "pairs.json").write_text("[]")
    assert main(["fix", "--failed", "--pairs", "pairs.json"]) in (2, 3)
    assert "pairs.json: holds no pair to train on" in capsys.readouterr().err
