"""Several LoRAs as one, exactly: their ranks side by side.

    W + s1 B1 A1 + s2 B2 A2  =  W + [s1 B1 | s2 B2] [A1 over A2]

A chain (base -> SFT LoRA -> DPO LoRA) is so served as one adapter on the unmerged model, without a merged copy on disk,
since an engine takes one LoRA for a request. The result is exact except for the order in which floats are summed. A
layer that only some of the adapters touch is padded with zeros, because engines expect one rank. Not supported: DoRA
and modules saved whole, which are no sums; merge those (:mod:`harness.models.adapters.merge`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import AdapterError
from harness.models.adapters.folder import CONFIG, WEIGHTS, AdapterFacts, check
from harness.models.adapters.lineage import parts_of, stack_notes
from harness.models.adapters.lora import Lora, open_all
from harness.models.adapters.tensors import write_tensors
from harness.safe.files import new_folder, write_text

__all__ = ["can_stack", "stack"]

_PREFIX = "base_model.model."
MAX_STACKED_RANK = 512
"""vLLM's largest max_lora_rank."""


def can_stack(adapters: Sequence[Path | Lora]) -> bool:
    """Whether an engine can load the adapters as one LoRA; otherwise they must be merged into the model."""
    facts = [lora.facts for lora in open_all(adapters)]
    return not any(f.extras for f in facts) and sum(f.rank for f in facts) <= MAX_STACKED_RANK


def stack(adapters: Sequence[Path | Lora], destination: Path) -> AdapterFacts:
    """Write one LoRA that does what ``adapters`` do together, into a folder that must not exist.

    When two calls make the same folder at once, the first wins and both succeed.

    Args:
        adapters: oldest first: folders, or adapters that are open already.
        destination: folder of the new adapter.

    Raises:
        AdapterError: fewer than one folder, an adapter that is no sum, or layers of different shapes.
    """
    if not adapters:
        raise AdapterError("there is no adapter to stack")
    parts = open_all(adapters)
    for part in parts:
        if part.whole:
            raise AdapterError(
                f"{part.folder}: also holds whole modules ({', '.join(part.whole[:3])}), which cannot be added up; "
                "merge it: harness adapters export NAME --merge"
            )
    digests = [digest for part in parts for digest in parts_of(part)]
    rank = sum(part.facts.rank for part in parts)
    if rank > MAX_STACKED_RANK:
        raise AdapterError(
            f"{destination.name}: the chain has rank {rank} together, engines take {MAX_STACKED_RANK} at most; "
            "merge it: harness adapters export NAME --merge"
        )
    try:
        with new_folder(destination) as temporary:
            write_tensors(temporary / WEIGHTS, _stacked(parts, rank), stack_notes(digests))
            write_text(temporary / CONFIG, json.dumps(_config(parts, rank), indent=2) + "\n")
            facts = check(temporary)
    except OSError as error:
        if not (destination / WEIGHTS).is_file():
            raise AdapterError(f"cannot write {destination}: {error.strerror or error}") from error
    return facts


def _stacked(parts: Sequence[Lora], rank: int) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for module in sorted({m for part in parts for m in part.modules}):
        shapes = {part.shape(module) for part in parts if module in part.modules}
        if len(shapes) != 1:
            raise AdapterError(f"{module}: the adapters were made for layers of different shapes: {sorted(shapes)}")
        (outputs, inputs) = shapes.pop()
        a, b, row = np.zeros((rank, inputs), np.float32), np.zeros((outputs, rank), np.float32), 0
        for part in parts:
            if module in part.modules:
                first, second = part.matrices(module)
                a[row : row + len(first)], b[:, row : row + len(first)] = first, second
                row += len(first)
        tensors[f"{_PREFIX}{module}.lora_A.weight"], tensors[f"{_PREFIX}{module}.lora_B.weight"] = a, b
    return tensors


def _config(parts: Sequence[Lora], rank: int) -> dict[str, Any]:
    """Scale 1: every adapter's own is in its B."""
    return {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": True, "bias": "none",
        "base_model_name_or_path": parts[0].facts.base, "r": rank, "lora_alpha": rank, "lora_dropout": 0.0,
        "use_rslora": False, "use_dora": False, "fan_in_fan_out": False, "modules_to_save": None,
        "target_modules": sorted({t for part in parts for t in part.facts.targets}),
    }  # fmt: skip
