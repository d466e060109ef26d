"""An adapter in parts, one for each kind of module: q_proj alone, v_proj alone ...

With the parts, an engine can be asked whether every part of an update acts: one that drops the matrices of one kind in
silence still answers differently with the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from harness.models.adapters.folder import CONFIG, FILES, WEIGHTS
from harness.models.adapters.lora import Lora
from harness.models.adapters.tensors import write_tensors
from harness.models.weights import AdapterWeights
from harness.safe.files import digest_folder, write_text

__all__ = ["parts"]


def parts(lora: Lora, folder: Path) -> Iterator[tuple[str, AdapterWeights]]:
    """Write a LoRA for each kind of module below ``folder``; yields kind and weights."""
    kinds = sorted({module.rpartition(".")[2] for module in lora.modules})
    for kind in kinds:
        place = folder / kind
        tensors = {}
        for module in lora.modules:
            if module.rpartition(".")[2] == kind:
                a, b = lora.matrices(module)
                tensors[f"base_model.model.{module}.lora_A.weight"] = a
                tensors[f"base_model.model.{module}.lora_B.weight"] = b
        ranks = {a.shape[0] for name, a in tensors.items() if ".lora_A." in name}
        config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": True, "bias": "none",
            "base_model_name_or_path": lora.facts.base, "r": max(ranks), "lora_alpha": max(ranks), "lora_dropout": 0.0,
            "target_modules": [kind],
            # The scale is in the matrices already.
            "rank_pattern": {} if len(ranks) == 1 else {m: lora.matrices(m)[0].shape[0] for m in lora.modules},
            "alpha_pattern": {} if len(ranks) == 1 else {m: lora.matrices(m)[0].shape[0] for m in lora.modules},
        }  # fmt: skip
        write_tensors(place / WEIGHTS, tensors)
        write_text(place / CONFIG, json.dumps(config) + "\n")
        yield kind, AdapterWeights(f"{lora.facts.digest[:12]}-{kind}", place, digest_folder(place, FILES))
