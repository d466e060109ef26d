"""A trainer that trains nothing: a tiny valid adapter at once, or a fault on request. Shipped for users' own tests.

It keeps the whole contract of a trainer (reads every example, reports every phase, leaves a folder that
:func:`harness.models.adapters.folder.check` accepts), so a loop that works with it meets the real one's behaviour.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import TrainerError
from harness.models.adapters.folder import CONFIG, WEIGHTS, check
from harness.models.adapters.tensors import read_header, write_tensors
from harness.safe.files import write_text
from trainers.attempt import new_attempt
from trainers.base import Checkpoint, OnProgress, TrainProgress, TrainRequest, TrainResult
from trainers.examples import write_examples

__all__ = ["ScriptedTrainer"]


@dataclass(frozen=True, slots=True)
class ScriptedTrainer:
    """Trains ``steps`` pretended steps."""

    steps: int = 3
    fail_at: int | None = None
    """Raise :class:`~harness.errors.TrainerError` at this step."""
    interrupt_at: int | None = None
    """Raise ``KeyboardInterrupt`` at this step."""
    keep: tuple[int, ...] = ()
    """Earlier steps whose checkpoints are left, with other weights."""

    def check(self) -> None:
        """Nothing is needed."""

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        """See :meth:`trainers.base.Trainer.train`."""
        began = time.monotonic()
        folder = new_attempt(request.output)
        on_progress(TrainProgress(phase="preparing"))
        data = write_examples(request.examples, folder, request.recipe)
        losses = []
        for step in range(1, self.steps + 1):
            if step == self.fail_at:
                raise TrainerError(f"scripted: the training failed at step {step}; log: {folder}")
            if step == self.interrupt_at:
                raise KeyboardInterrupt
            losses.append((step, 0.7 / step))
            on_progress(
                TrainProgress(
                    phase="training",
                    step=step,
                    total_steps=self.steps,
                    loss=0.7 / step,
                    margin=0.1 * step,
                    accuracy=1.0,
                )
            )
        earlier = tuple(Checkpoint(n, folder / "checkpoints" / f"step-{n}") for n in self.keep)
        adapter = folder / "adapter"
        for checkpoint in (*earlier, Checkpoint(self.steps, adapter)):
            # Different examples, different weights: versions are identified by content.
            _write(checkpoint.path, request, data.tokens + request.recipe.seed + self.steps - checkpoint.step)
        on_progress(TrainProgress(phase="saving", step=self.steps, total_steps=self.steps))
        return TrainResult(
            adapter=adapter,
            digest=check(adapter).digest,
            steps=self.steps,
            seconds=time.monotonic() - began,
            losses=tuple(losses),
            checkpoints=(*earlier, Checkpoint(self.steps, adapter)),
            folder=folder,
            examples=data.rows,
            notes=data.notes,
        )


def _write(adapter: Path, request: TrainRequest, seed: int) -> None:
    layer, (outputs, inputs) = _layer(request.model_path)
    module = f"base_model.model.{layer}"
    rank = request.recipe.lora_rank
    values = np.random.default_rng(seed)
    write_tensors(adapter / WEIGHTS, {
        f"{module}.lora_A.weight": values.standard_normal((rank, inputs)).astype(np.float32),
        f"{module}.lora_B.weight": values.standard_normal((outputs, rank)).astype(np.float32),
    })  # fmt: skip
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": request.recipe.lora_alpha, "target_modules": ["q_proj"],
              "base_model_name_or_path": str(request.model_path), "bias": "none"}  # fmt: skip
    write_text(adapter / CONFIG, json.dumps(config, indent=2) + "\n")


def _layer(model: Path) -> tuple[str, tuple[int, int]]:
    """A layer that the model really has, outputs x inputs; a made-up one where the model has no weights."""
    for path in sorted(model.glob("*.safetensors")):
        for name, info in read_header(path).items():
            if name.endswith(".q_proj.weight"):
                return name.removesuffix(".weight"), (info.shape[0], info.shape[1])
    return "model.layers.0.self_attn.q_proj", (8, 8)
