"""A model with its parents merged into it: counted before it is made, shared while it is read, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import TrainerError
from harness.models.prompts import PromptRenderer
from harness.project.slurm import Slurm
from tests.support.adapters import lora
from tests.support.trainings import fake_python, left_weights, pairs, sparse_model, tiny_model
from trainers import TrainProgress, TrainRequest
from trainers.job import prepare
from trainers.launch import Launch
from trainers.llamafactory_trainer import LlamaFactory
from trainers.merged_parent import release, with_merged_parents
from trainers.recipe import Recipe


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, a parent adapter, and weights that a training could leave."""
    tiny_model(tmp_path / "model")
    lora(tmp_path / "parent", width=32)
    left_weights(tmp_path / "adapter")
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(tmp_path / "python"))
    return tmp_path


def request(place: Path, *, output: str = "trainings/v2", **fields: object) -> TrainRequest:
    """A training in ZeRO-3 on a parent, which LLaMA-Factory cannot merge itself."""
    asked = TrainRequest.from_pairs(
        stage="dpo", model_path=place / "model", pairs=pairs(), renderer=PromptRenderer(place / "model"),
        recipe=Recipe.from_mapping({"cutoff_len": 256, "deepspeed": "zero3"}), output=place / output,
        parents=(place / "parent",), launch=Launch(cpu_processes=2, deepspeed=True),
    )  # fmt: skip
    return replace(asked, **fields)  # type: ignore[arg-type]


def merged(place: Path) -> list[Path]:
    return list((place / "trainings" / "merged").glob("*/model.safetensors"))


SEES = "merged = pathlib.Path(job['arguments']['model_name_or_path'])\nassert merged.parent.name == 'merged'\n"


@pytest.mark.parametrize("body", ["leave()", "sys.exit(1)"], ids=["ended well", "failed"])
def test_it_goes_with_the_training(place: Path, body: str) -> None:
    """It is there while the training runs, and gone afterwards, also after a failed one."""
    fake_python(place / "python", f"{SEES}(output.parent / 'there').write_text(str(merged.is_dir()))\n{body}")
    with contextlib.suppress(TrainerError):
        LlamaFactory(place).train(request(place), lambda _: None)
    assert (place / "trainings" / "v2" / "attempt-1" / "there").read_text() == "True"
    assert merged(place) == []


def test_an_interrupted_training_keeps_it_for_the_resumed_one(place: Path) -> None:
    """Ctrl-C is no end: --resume goes on with the same model, and takes it away at last."""
    fake_python(place / "python", "say(phase='training', step=1)\ntime.sleep(60)")

    def interrupt(progress: TrainProgress) -> None:
        if progress.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LlamaFactory(place).train(request(place), interrupt)
    (kept,) = merged(place)
    made = kept.stat().st_mtime_ns
    same = f"import os\n{SEES}assert os.stat(merged / 'model.safetensors').st_mtime_ns == {made}\nleave()"
    fake_python(place / "python", same)
    LlamaFactory(place).train(request(place, resume=True), lambda _: None)
    assert merged(place) == []


def test_it_stays_while_another_training_reads_it(place: Path) -> None:
    """Two versions on one parent share it; the last one takes it away."""
    first, second = (prepare(request(place, output=f"trainings/{name}")) for name in ("v2", "v3"))
    for each in (first, second):
        with_merged_parents(each.request, each.folder, owned=True)
    release(first.folder)
    assert len(merged(place)) == 1
    release(second.folder)
    assert merged(place) == []


def test_one_that_a_killed_training_has_left_goes_with_the_next(place: Path) -> None:
    """Its process is gone, so it reads nothing any more."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.unit.trainers.test_merged_parent import prepare, request, "
        "with_merged_parents\nmade = prepare(request(Path(sys.argv[1]), output='trainings/killed'))\n"
        "with_merged_parents(made.request, made.folder, owned=True)\n"
    )
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", script, str(place)], env=os.environ | {"PYTHONPATH": root}, check=True)
    assert len(merged(place)) == 1
    fake_python(place / "python", "leave()")
    LlamaFactory(place).train(request(place), lambda _: None)
    assert merged(place) == []


def test_it_is_counted_against_the_disk_before_it_is_made(place: Path) -> None:
    """With free and needed bytes, what takes them, and what helps; nothing is left."""
    fields = {"num_hidden_layers": 6000, "hidden_size": 8192, "intermediate_size": 29568, "num_attention_heads": 64,
              "num_key_value_heads": 8, "vocab_size": 1000}  # fmt: skip
    sparse_model(place / "huge", **fields)
    lora(place / "large", width=8192)
    # GPUs of other machines: their memory is not known here, and so nothing is refused for it.
    launch = Launch(devices=tuple(range(8)), nodes=2, slurm=Slurm())
    asked = request(place, model_path=place / "huge", parents=(place / "large",), launch=launch)
    with pytest.raises(TrainerError) as caught:
        prepare(asked)
    text = str(caught.value)
    assert "GiB free, this training takes about" in text
    assert "the model with its parents merged into it 99" in text
    assert "without ZeRO-3" in text
    assert not list((place / "trainings" / "v2").iterdir())


def test_states_of_a_full_training_are_counted_too(place: Path) -> None:
    """A checkpoint of a LoRA is small; one of all weights with their moments is many times the model."""
    sparse_model(place / "huge", num_hidden_layers=3000, hidden_size=8192, intermediate_size=29568,
                 num_attention_heads=64, num_key_value_heads=8, vocab_size=1000)  # fmt: skip
    launch = Launch(devices=tuple(range(8)), nodes=2, slurm=Slurm())
    recipe = Recipe(tuning="full", deepspeed="zero3", cutoff_len=256)
    with pytest.raises(TrainerError, match=r"checkpoints [0-9]{6}.*keep_checkpoints = 1"):
        prepare(request(place, model_path=place / "huge", parents=(), launch=launch, recipe=recipe))
    lora_recipe = replace(recipe, tuning="lora", lora_rank=1, lora_targets=("q_proj",), keep_checkpoints=1)
    prepare(request(place, model_path=place / "huge", parents=(), launch=launch, recipe=lora_recipe))
