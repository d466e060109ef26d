"""``harness init``: from an empty folder to a project for one's own model."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.cli import main
from tests.support.adapters import lora
from tests.support.projects import CLEAN
from tests.support.trainings import tiny_model


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with a model and two adapters elsewhere."""
    tiny_model(tmp_path / "models" / "Tiny Llama")
    for name, fill in (("v4.0", 1.0), ("v4.1", 2.0)):
        (tmp_path / name).mkdir()
        lora(tmp_path / name, width=32, fill=fill, base_model_name_or_path="org/Other-7B")
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def init(*words: str) -> int:
    return main(["init", "--model", "../models/Tiny Llama", *words])


def test_a_project_for_ones_own_model_runs(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Model and adapters are registered, the doctor finds nothing wrong with them, and the suite runs."""
    assert init("--adapter", "../v4.0", "--adapter", "../v4.1") == 0
    manifest = tomllib.loads((empty / "adapters_manifest.toml").read_text())
    assert {n: a.get("parent") for n, a in manifest["adapters"].items()} == {
        "base": None, "v4.0": "base", "v4.1": "base",
    }  # fmt: skip
    assert set(manifest["models"]) == {"Tiny-Llama"}
    assert main(["adapters", "verify"]) == 0
    (empty / "script.json").write_text(json.dumps({"poem": CLEAN}))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "badcases", "--adapter", "base", "--engine", "scripted:script.json", "-q"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_it_says_what_the_model_is_and_what_comes_next(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Architecture, type, length and chat template are read; the README holds the next three commands."""
    assert init("--adapter", "../v4.1", "--name", "mine") == 0
    out = capsys.readouterr().out
    assert "model mine: LlamaForCausalLM, float32, up to 512 tokens" in out
    assert "chat template is in chat_template.jinja" in out
    assert "trained on org/Other-7B" in out
    page = (empty / "README.md").read_text()
    for command in ("harness doctor", "pytest badcases --adapter v4.1", "harness fix --failed"):
        assert command in page
        assert command in out.splitlines()[-1]


def test_its_settings_are_settings(empty: Path) -> None:
    """With every comment of the engine's options taken for a line, the file is TOML with those options."""
    init()
    text = (empty / "pyproject.toml").read_text()
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
    options = tomllib.loads("\n".join(lines))["tool"]["harness"]["engine_options"]
    assert options == {
        "max_model_len": 512, "tensor_parallel_size": 8, "pipeline_parallel_size": 2, "dtype": "float32",
        "gpu_memory_utilization": 0.9, "max_num_seqs": 256, "quantization": "fp8",
    }  # fmt: skip
    assert tomllib.loads(text)["tool"]["harness"]["adapter"] == "base"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "../nothing"], "no folder"),
        (["--model", ".."], "config.json"),
        (["--model", "../models/Tiny Llama", "--adapter", "../nothing"], "no folder"),
        (["--model", "../models/Tiny Llama", "--adapter", "../models"], "adapter_config.json"),
        (["--model", "../models/Tiny Llama", "--adapter", "../wide"], "belongs to another model"),
        (["--model", "../models/Tiny Llama", "--adapter", "../v4.0", "--adapter", "../v4.0/"], "two versions"),
        (["--model", "../models/Tiny Llama", "--name", "a b"], "name 'a b'"),
        (["--adapter", "../v4.0"], "need --model"),
    ],
    ids=["model", "no-config", "adapter", "no-adapter", "other-model", "twice", "name", "no-model"],
)
def test_a_wrong_path_is_one_line_and_writes_nothing(
    empty: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    """Everything is checked before the first file is written."""
    (empty.parent / "wide").mkdir()
    lora(empty.parent / "wide", width=8)
    assert main(["init", *words]) in (2, 3)
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert list(empty.iterdir()) == []


def test_a_manifest_that_is_there_is_not_touched(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second init for a model says what to do instead."""
    init()
    before = (empty / "adapters_manifest.toml").read_bytes()
    assert init("--adapter", "../v4.0") == 2
    assert "harness adapters add" in capsys.readouterr().err
    assert (empty / "adapters_manifest.toml").read_bytes() == before


def test_a_model_without_a_chat_template_is_told(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The manifest says where to name one."""
    (empty.parent / "models" / "Tiny Llama" / "chat_template.jinja").unlink()
    assert init() == 0
    assert "no chat template" in capsys.readouterr().out
    assert "chat_template =" in (empty / "adapters_manifest.toml").read_text()


def test_the_readme_is_in_the_readers_language(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Chinese locale gets a Chinese page and the same commands."""
    monkeypatch.setenv("HARNESS_LANGUAGE", "zh")
    assert init("--json") == 0
    page = (empty / "README.md").read_text()
    assert "坏例" in page
    assert "pytest badcases --adapter base" in page
    assert json.loads(capsys.readouterr().out)["model"]["max_length"] == 512
