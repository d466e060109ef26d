"""Small adapter folders for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from harness.models.adapters.folder import CONFIG, WEIGHTS
from harness.models.adapters.tensors import write_tensors

__all__ = ["MODULE", "lora"]

MODULE = "base_model.model.model.layers.0.self_attn.q_proj"


def lora(folder: Path, *, rank: int = 2, width: int = 4, fill: float = 1.0, **config: object) -> Path:
    """A folder with one adapted layer."""
    write_tensors(
        folder / WEIGHTS,
        {
            f"{MODULE}.lora_A.weight": np.full((rank, width), 0.5, np.float32),
            f"{MODULE}.lora_B.weight": np.full((width, rank), fill, np.float32),
        },
    )
    values = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": ["q_proj"], **config}
    (folder / CONFIG).write_text(json.dumps(values), "utf-8")
    return folder
