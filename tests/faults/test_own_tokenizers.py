"""An adapter that was trained with another tokenizer or chat template is asked as it was trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.cases.model import Message
from harness.cli import main
from harness.models.adapters.tensors import read_header, write_tensors
from harness.models.target import resolve_target
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.adapters import lora
from tests.support.trainings import tiny_model

Capture = pytest.CaptureFixture[str]
OTHER = "{% for m in messages %}### {{ m.role }}: {{ m.content }}\n{% endfor %}### assistant:"


@pytest.fixture
def place(project: Make) -> Path:
    """A project on a model with weights, and a trainer's output with copies of the model's tokenizer."""
    root = project()
    shutil.rmtree(root / "model")
    tiny_model(root / "model")
    output = lora(root / "saves", width=32)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(root / "model" / name, output / name)
    return root


def prompt(root: Path, version: str) -> str:
    with Store(root / "reports" / "harness.sqlite") as store:
        target = resolve_target(version, read_manifest(root / "adapters_manifest.toml"), read_settings(root), store)
        return str(target.renderer.tokenizer.decode(list(target.renderer.prompt_ids((Message("user", "Hi"),)))))


def test_a_copy_of_the_models_tokenizer_is_not_kept(place: Path) -> None:
    """Every trainer leaves one; written by another version of transformers, it differs in bytes only."""
    config = place / "saves" / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"processor_class": None}, indent=4))
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 0
    assert not (place / "adapters" / "v5.0.tokenizer").exists()
    assert read_manifest(place / "adapters_manifest.toml").adapter("v5.0").tokenizer is None


@pytest.mark.parametrize("copied", [True, False], ids=["copied", "in place"])
def test_another_chat_template_is_used(place: Path, capsys: Capture, copied: bool) -> None:
    """The tests rendered with the base's, which the adapter has never seen."""
    (place / "saves" / "chat_template.jinja").write_text(OTHER)
    assert main(["adapters", "add", "v5.0", str(place / "saves"), *(["--copy"] if copied else [])]) == 0
    assert "its own tokenizer is used: another chat template" in capsys.readouterr().out
    assert prompt(place, "v5.0") == "### user: Hi\n### assistant:"
    assert "<|im_start|>user" in prompt(place, "v4.0")


def test_a_folder_with_a_template_alone_extends_the_models_tokenizer(place: Path) -> None:
    """Some tools leave only what differs."""
    (place / "saves" / "tokenizer.json").unlink()
    (place / "saves" / "tokenizer_config.json").write_text("{}")
    (place / "saves" / "chat_template.jinja").write_text(OTHER)
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 0
    assert prompt(place, "v5.0") == "### user: Hi\n### assistant:"


def test_tokens_without_an_embedding_are_refused(place: Path, capsys: Capture) -> None:
    """It was trained with a larger vocabulary, and its rows were not saved."""
    (place / "saves" / "tokenizer.json").unlink()
    (place / "saves" / "added_tokens.json").write_text('{"<think>": 259, "</think>": 260}')
    capsys.readouterr()
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 3
    assert "its tokenizer has token 260, and there are 259 rows" in capsys.readouterr().err
    assert "v5.0" not in read_manifest(place / "adapters_manifest.toml").adapters
    assert not (place / "adapters" / "v5.0.tokenizer").exists()


def test_a_resized_vocabulary_goes_into_the_merged_model(place: Path) -> None:
    """export --merge wrote the base's tokenizer beside the larger embedding."""
    (place / "saves" / "tokenizer.json").unlink()
    (place / "saves" / "added_tokens.json").write_text('{"<think>": 259, "</think>": 260}')
    weights = place / "saves" / "adapter_model.safetensors"
    rows = np.ones((261, 32), np.float32)
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    write_tensors(weights, {
        f"{module}.lora_A.weight": np.full((2, 32), 0.5, np.float32),
        f"{module}.lora_B.weight": np.ones((32, 2), np.float32),
        "base_model.model.model.embed_tokens.weight": rows, "base_model.model.lm_head.weight": rows,
    })  # fmt: skip
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 0
    assert main(["adapters", "export", "v5.0", "--merge"]) == 0
    merged = place / "exports" / "v5.0-merged"
    assert read_header(merged / "model.safetensors")["model.embed_tokens.weight"].shape == (261, 32)
    assert "<think>" in (merged / "tokenizer.json").read_text()
    assert "<|im_start|>user" in prompt(place, "v5.0")


def test_a_changed_tokenizer_is_found(place: Path, capsys: Capture) -> None:
    """A template is code: the manifest names it with a digest."""
    (place / "saves" / "chat_template.jinja").write_text(OTHER)
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 0
    (place / "adapters" / "v5.0.tokenizer" / "chat_template.jinja").write_text("{{ 7 * 7 }}")
    capsys.readouterr()
    assert main(["adapters", "verify", "v5.0"]) == 3
    assert "its tokenizer is missing or was changed" in capsys.readouterr().out


def test_a_tokenizer_that_cannot_be_loaded_is_noted(place: Path, capsys: Capture) -> None:
    """The weights are good; the model's own tokenizer is used, and the user is told."""
    (place / "saves" / "tokenizer.json").write_text("{}")
    capsys.readouterr()
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 0
    assert "the model's tokenizer is used" in capsys.readouterr().out


def test_training_on_it_says_what_to_do(place: Path, tmp_path: Path, capsys: Capture) -> None:
    """A trainer takes the model's tokenizer."""
    (place / "saves" / "chat_template.jinja").write_text(OTHER)
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 0
    (tmp_path / "pairs.json").write_text(json.dumps([{"instruction": "a", "chosen": "b", "rejected": "c"}]))
    capsys.readouterr()
    assert main(["train", "dpo", "--adapter", "v5.0", "--data", str(tmp_path / "pairs.json")]) == 2
    assert "v5.0 has a tokenizer of its own" in capsys.readouterr().err


def test_a_quantised_base_is_no_other_model(place: Path, capsys: Capture) -> None:
    """Its packed weights have other shapes; merging says why it cannot be done."""
    model = place / "model" / "model.safetensors"
    header = read_header(model)
    raw = model.read_bytes()
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors = {n: (i.dtype, list(i.shape), raw[i.start : i.end]) for n, i in header.items()}
    tensors[name] = ("U8", [512, 1], bytes(512))
    entries: dict[str, object] = {}
    data = b""
    for key, (dtype, shape, content) in tensors.items():
        entries[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    head = json.dumps(entries).encode()
    model.write_bytes(len(head).to_bytes(8, "little") + head + data)
    assert main(["adapters", "add", "v5.0", str(place / "saves")]) == 0
    capsys.readouterr()
    assert main(["adapters", "verify", "v5.0"]) == 0
    assert "serve: as one LoRA; merge: no (" in capsys.readouterr().out
    assert main(["adapters", "export", "v5.0", "--merge"]) == 3
    assert "is quantised" in capsys.readouterr().err
