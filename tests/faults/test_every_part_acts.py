"""verify --engine proves every kind of module's update; an engine that drops one in silence is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from harness.models.adapters.folder import CONFIG, WEIGHTS
from harness.models.adapters.groups import parts
from harness.models.adapters.lora import Lora
from harness.models.adapters.tensors import write_tensors
from tests.faults.conftest import Make
from tests.support.trainings import tiny_model

Capture = pytest.CaptureFixture[str]


def adapter(folder: Path, *, dead: tuple[str, ...] = ()) -> Path:
    """A LoRA on four kinds of modules in two layers; the update of the ``dead`` ones is zero."""
    draw = np.random.default_rng(0)
    tensors = {}
    for layer in range(2):
        for kind, (inputs, outputs) in {"q_proj": (32, 32), "v_proj": (32, 32), "o_proj": (32, 32)}.items():
            name = f"base_model.model.model.layers.{layer}.self_attn.{kind}"
            scale = 0.0 if kind in dead else 3.0
            tensors[f"{name}.lora_A.weight"] = draw.standard_normal((2, inputs)).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = (scale * draw.standard_normal((outputs, 2))).astype(np.float32)
    write_tensors(folder / WEIGHTS, tensors)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj", "o_proj"]}
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


@pytest.fixture
def real(project: Make) -> Path:
    """A project on a tiny model with weights, answered by transformers and peft."""
    root = project()
    shutil.rmtree(root / "model")
    tiny_model(root / "model")
    settings = (root / "pyproject.toml").read_text()
    line = next(line for line in settings.splitlines() if line.startswith("engine ="))
    (root / "pyproject.toml").write_text(settings.replace(line, 'engine = "transformers"'))
    return root


def test_a_part_without_effect_is_named(real: Path, capsys: Capture) -> None:
    """The adapter as a whole had an effect, and the canary was content."""
    main(["adapters", "add", "v5.0", str(adapter(real / "good"))])
    main(["adapters", "add", "v5.1", str(adapter(real / "bad", dead=("v_proj",)))])
    capsys.readouterr()
    assert main(["adapters", "verify", "v5.1"]) == 0
    assert main(["adapters", "verify", "v5.0", "v5.1", "--engine"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok    v5.0") for line in lines)
    (wrong,) = [line for line in lines if line.startswith("WRONG v5.1")]
    assert "v_proj: " in wrong
    assert "q_proj: " not in wrong


def test_the_parts_together_are_the_adapter(tmp_path: Path) -> None:
    """Every matrix is in one part, with its scale."""
    whole = Lora(adapter(tmp_path / "adapter"))
    written = dict(parts(whole, tmp_path / "parts"))
    assert sorted(written) == ["o_proj", "q_proj", "v_proj"]
    for kind, weights in written.items():
        part = Lora(weights.path)
        assert all(module.endswith(kind) for module in part.modules)
        for module in part.modules:
            (a, b), (c, d) = part.matrices(module), whole.matrices(module)
            assert np.allclose(b @ a, d @ c)
