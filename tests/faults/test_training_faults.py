"""Whatever a trainer does wrong, no version is registered by it, and ``harness fix`` ends with an error of the harness.

What the processes of LLaMA-Factory do wrong is in tests/unit/trainers/test_processes.py and
tests/faults/test_deadlines.py; here a trainer of the project's own does it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import main
from harness.errors import TrainerError
from harness.models.adapters.folder import CONFIG, WEIGHTS
from harness.models.adapters.tensors import write_tensors
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.adapters import MODULE
from trainers.base import OnProgress, TrainRequest, TrainResult
from trainers.scripted import ScriptedTrainer

Spoil = Callable[[TrainResult], Any]


def tensors(fill_a: float, fill_b: float) -> Spoil:
    """Other weights in the folder."""

    def spoil(result: TrainResult) -> TrainResult:
        arrays = {"A": np.full((2, 8), fill_a, np.float32), "B": np.full((8, 2), fill_b, np.float32)}
        write_tensors(result.adapter / WEIGHTS, {f"{MODULE}.lora_{side}.weight": a for side, a in arrays.items()})
        return result

    return spoil


def without(name: str) -> Spoil:
    def spoil(result: TrainResult) -> TrainResult:
        (result.adapter / name).unlink()
        return result

    return spoil


def cut_off(result: TrainResult) -> TrainResult:
    weights = result.adapter / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-64])
    return result


def of_another_kind(result: TrainResult) -> TrainResult:
    values = json.loads((result.adapter / CONFIG).read_text("utf-8"))
    (result.adapter / CONFIG).write_text(json.dumps({**values, "use_dora": True, "peft_type": "VERA"}), "utf-8")
    return result


def gone(result: TrainResult) -> TrainResult:
    shutil.rmtree(result.adapter)
    return result


def linked(result: TrainResult) -> TrainResult:
    weights = result.adapter / WEIGHTS
    elsewhere = weights.rename(result.adapter.parent / "elsewhere.safetensors")
    weights.symlink_to(elsewhere)
    return result


RESULTS: dict[str, Spoil] = {
    "not_finite": tensors(np.nan, 1.0),
    "no_update": tensors(0.5, 0.0),
    "no_weights": without(WEIGHTS),
    "no_configuration": without(CONFIG),
    "cut_off": cut_off,
    "of_another_kind": of_another_kind,
    "folder_gone": gone,
    "a_link": linked,
    "nothing": lambda _: None,
    "a_path": lambda result: result.adapter,
}
ERRORS: dict[str, BaseException] = {
    "fails": TrainerError("the loss is not finite at step 3; log: train.log"),
    "bug": ValueError("a bug of the trainer"),
    "memory": MemoryError(),
    "disk": OSError(28, "No space left on device"),
    "exits": SystemExit(0),
}


def trainer(name: str) -> Callable[[Path], Any]:
    class Faulty:
        def __init__(self, _root: Path) -> None:
            """Nothing is needed."""

        def check(self) -> None:
            """Nothing is needed."""

        def train(self, request: TrainRequest, on_progress: OnProgress) -> Any:
            if name in ERRORS:
                raise ERRORS[name]
            return RESULTS[name](ScriptedTrainer(steps=1).train(request, on_progress))

    return Faulty


globals().update({name: trainer(name) for name in (*RESULTS, *ERRORS)})


@pytest.mark.parametrize("fault", [*RESULTS, *ERRORS])
def test_a_trainers_fault_registers_nothing(failing: Make, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    """The error is one line; the manifest and the adapters' folder are as they were."""
    root = failing(settings=f'trainer = "tests.faults.test_training_faults:{fault}"')
    before = (root / "adapters_manifest.toml").read_bytes()
    capsys.readouterr()
    assert main(["fix", "--failed"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("harness fix: ")
    assert len(told.splitlines()) == 1
    assert (root / "adapters_manifest.toml").read_bytes() == before
    assert not list(root.glob("adapters/*"))
    with Store(root / "reports" / "harness.sqlite") as store:
        assert {t.status for t in store.trainings()} <= {"started", "failed", "trained"}
