"""The real LLaMA-Factory on a tiny random Llama: every stage, every launch, and what happens when it breaks.

The model has 40 thousand weights, so a training takes as long as its imports; everything else is as with a real one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cases.model import Message
from harness.errors import AdapterError, TrainerError
from harness.models.adapters.folder import check
from harness.models.adapters.lineage import check_lineage, read_lineage
from harness.models.adapters.lora import Lora
from harness.models.adapters.merge import merge
from harness.models.adapters.stack import can_stack, stack
from harness.models.prompts import PromptRenderer
from tests.support.trainings import pairs, tiny_model
from trainers import TrainProgress, TrainRequest, TrainResult, WatchedText, open_trainer
from trainers.attempt import last_checkpoint, trainer_state
from trainers.examples import PairExample
from trainers.formats import TrainingRecord
from trainers.launch import Launch
from trainers.prompt_parity import probes
from trainers.recipe import Recipe
from trainers.rendering import render_records

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
BASE = {
    "lora_rank": 2, "learning_rate": 5e-3, "epochs": 2.0, "batch_size": 2, "cutoff_len": 256, "save_steps": 2,
    "pref_ftx": 0.1, "gradient_checkpointing": False, "precision": "fp32",
}  # fmt: skip
Train = Callable[..., TrainResult]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model."""
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def request(model: Path, output: Path, stage: str = "dpo", **more: Any) -> TrainRequest:
    """Six examples of a stage; further words go into the recipe unless they are a request's own."""
    own = {k: more.pop(k) for k in ("parents", "resume", "launch", "probes") if k in more}
    values = {k: v for k, v in BASE.items() if stage != "sft" or k != "pref_ftx"} | more
    renderer = PromptRenderer(model)
    records = [
        TrainingRecord(
            source=p.case_id,
            messages=p.messages if stage != "sft" else (*p.messages, Message("assistant", p.chosen)),
            chosen=p.chosen if stage == "dpo" or i % 2 else p.rejected,
            rejected=p.rejected,
            rejected_finished=p.rejected_finished,
            label=bool(i % 2) if stage == "kto" else None,
        )
        for i, p in enumerate(pairs())
    ]
    made = TrainRequest(
        stage=stage,  # type: ignore[arg-type]
        model_path=model,
        examples=list(render_records(records, renderer, stage)),
        recipe=Recipe.from_mapping(values),
        output=output,
        probes=probes(renderer),
    )
    return replace(made, **own)


def train(asked: TrainRequest, on_progress: Callable[[TrainProgress], object] = lambda _: None) -> TrainResult:
    """With the real trainer."""
    return open_trainer("llamafactory", ROOT).train(asked, on_progress)


@pytest.fixture(scope="module")
def sft(model: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """An SFT LoRA on the model."""
    return train(request(model, tmp_path_factory.mktemp("sft"), "sft"))


@pytest.fixture(scope="module")
def chained(model: Path, sft: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A DPO LoRA on top of the SFT LoRA."""
    return train(request(model, tmp_path_factory.mktemp("dpo"), parents=(sft.adapter,)))


@pytest.mark.parametrize("unlikelihood", [0.0, 0.5], ids=["preference", "and unlikelihood"])
def test_the_fast_step_trains_as_llamafactory_does(model: Path, tmp_path: Path, unlikelihood: float) -> None:
    """Packed pairs, fused layers and a remembered reference: the same losses, step for step."""
    losses = {}
    for fast in (True, False):
        asked = request(
            model,
            tmp_path / str(fast),
            pack_pairs=fast,
            cache_reference=fast,
            unlikelihood=unlikelihood,
            end_apart=True,
        )
        examples = [replace(e, sound=2) for e in asked.examples if isinstance(e, PairExample)]
        trained = train(replace(asked, examples=examples))
        losses[fast] = [loss for _, loss in trained.losses]
        assert any("pairs are packed" in note for note in trained.notes) is fast
    assert losses[True] == pytest.approx(losses[False], rel=1e-3)


def test_every_checkpoint_is_compared_with_the_model_before(model: Path, tmp_path: Path) -> None:
    """A training moves the model away from where it began, and says how far."""
    texts = tuple(WatchedText(kind=kind, prompt=(5, 6), answer=(7, 8, 9)) for kind in ("guard", "ordinary"))
    trained = train(replace(request(model, tmp_path), watched=texts))
    assert len(trained.checkpoints) > 1
    for checkpoint in trained.checkpoints:
        assert [d.kind for d in checkpoint.drift] == ["guard", "ordinary"]
        assert all(d.kl > 0 and d.tokens == 3 for d in checkpoint.drift)
    assert len({d.before for c in trained.checkpoints for d in c.drift if d.kind == "guard"}) == 1


def test_sft_learns(sft: TrainResult) -> None:
    """The loss falls, every step is told, the plot is drawn."""
    assert sft.losses[-1][1] < sft.losses[0][1]
    assert [step for step, _ in sft.losses] == list(range(1, sft.steps + 1))
    assert sft.folder is not None
    assert (sft.folder / "output" / "training_loss.png").is_file()


def test_dpo_on_a_parent_begins_at_the_parent(model: Path, sft: TrainResult, chained: TrainResult) -> None:
    """The reference is base + SFT: no margin at the first step, a growing one after it."""
    assert chained.margins[0][1] == pytest.approx(0.0, abs=1e-4)
    assert chained.margins[-1][1] > 0.01
    lineage = read_lineage(chained.adapter)
    assert lineage is not None
    assert lineage.parents == (sft.digest,)
    check_lineage(model, [sft.adapter, chained.adapter])
    with pytest.raises(AdapterError, match="bare model"):
        check_lineage(model, [chained.adapter])


def test_checkpoints_can_be_evaluated(chained: TrainResult) -> None:
    """Each is an adapter like any other; the last is the result."""
    assert [c.step for c in chained.checkpoints] == [2, 4, 6]
    assert len({check(c.path).digest for c in chained.checkpoints}) == 3
    assert chained.checkpoints[-1].path == chained.adapter


def test_continuing_a_parent_has_the_parent_for_reference(model: Path, sft: TrainResult, tmp_path: Path) -> None:
    """Not the bare model, which LLaMA-Factory would take; the new weights then stand alone."""
    result = train(request(model, tmp_path, parents=(sft.adapter,), parent="continue"))
    assert result.margins[0][1] == pytest.approx(0.0, abs=1e-4)
    check_lineage(model, [result.adapter])
    # The parent's own update is part of the weights.
    name = Lora(result.adapter).modules[0]
    old, new = (b @ a for a, b in (Lora(p).matrices(name) for p in (sft.adapter, result.adapter)))
    assert np.abs(new - old).max() < np.abs(new).max()


def logits(model: Path, folders: list[Path]) -> Any:
    """What transformers (with peft) answers to a prompt, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)
    for folder in folders:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, str(folder)).merge_and_unload()
    ids = torch.tensor([PromptRenderer(model).prompt_ids((Message("user", "Tell me 3"),))])
    with torch.no_grad():
        return loaded(ids).logits.numpy()


def test_a_chain_is_the_same_stacked_merged_and_by_peft(
    model: Path, sft: TrainResult, chained: TrainResult, tmp_path: Path
) -> None:
    """Three ways to one model; and none of them is the bare one."""
    chain = [sft.adapter, chained.adapter]
    stack(chain, tmp_path / "stacked")
    merge(model, chain, tmp_path / "merged")
    wanted = logits(model, chain)
    assert np.allclose(logits(model, [tmp_path / "stacked"]), wanted, atol=1e-4)
    assert np.allclose(logits(tmp_path / "merged", []), wanted, atol=1e-4)
    assert np.abs(logits(model, []) - wanted).max() > 1e-2


def test_a_resized_vocabulary_is_evaluated_merged(tmp_path: Path) -> None:
    """Rows for tokens that had none, both ends trained whole: one merged model answers as peft does."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    small = tiny_model(tmp_path / "model", missing=3)
    both = ["embed_tokens", "lm_head"]
    result = train(request(small, tmp_path / "out", "sft", resize_vocab=True, additional_targets=both))
    facts = check(result.adapter)
    assert facts.extras == ("lm_head.weight", "model.embed_tokens.weight")
    assert not can_stack([result.adapter])
    merge(small, [result.adapter], tmp_path / "merged")
    loaded = AutoModelForCausalLM.from_pretrained(str(small), dtype=torch.float32)
    loaded.resize_token_embeddings(320)
    wanted = PeftModel.from_pretrained(loaded, str(result.adapter))
    ids = torch.tensor([PromptRenderer(small).prompt_ids((Message("user", "Tell me 3"),))])
    with torch.no_grad():
        found = wanted(ids).logits.numpy()
    assert found.shape[-1] == 320
    assert np.allclose(logits(tmp_path / "merged", []), found, atol=1e-4)


def test_kto_trains_on_single_answers(model: Path, tmp_path: Path) -> None:
    """Liked and disliked ones, without pairs."""
    result = train(request(model, tmp_path, "kto"))
    assert result.steps == 6
    assert check(result.adapter).rank == 2


def test_a_held_back_set_is_evaluated(model: Path, tmp_path: Path) -> None:
    """By prompt, in a file of its own."""
    result = train(request(model, tmp_path, val_size=0.4, epochs=1.0))
    assert result.folder is not None
    state = trainer_state(result.folder / "output")
    assert state is not None
    assert any("eval_loss" in row for row in state["log_history"])


def test_an_interrupted_training_goes_on_where_it_stopped(model: Path, tmp_path: Path) -> None:
    """From the last complete checkpoint to the very weights that an uninterrupted one has."""

    def interrupt(progress: TrainProgress) -> None:
        if progress.step >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(request(model, tmp_path / "a", epochs=8.0), interrupt)
    stopped = last_checkpoint(tmp_path / "a")
    assert stopped is not None
    resumed = train(request(model, tmp_path / "a", epochs=8.0, resume=True))
    whole = train(request(model, tmp_path / "b", epochs=8.0))
    assert resumed.steps == whole.steps
    assert resumed.losses[0][0] > int(stopped.name.rpartition("-")[2])
    assert resumed.losses[-1][1] == pytest.approx(whole.losses[-1][1], rel=1e-4)
    for name in Lora(whole.adapter).modules:
        first, second = (b @ a for a, b in (Lora(r.adapter).matrices(name) for r in (resumed, whole)))
        assert np.allclose(first, second, atol=1e-4)


def test_a_model_with_nan_is_told_at_the_first_step(tmp_path: Path) -> None:
    """LLaMA-Factory would go on and log 0."""
    spoilt = tiny_model(tmp_path / "model", spoilt=True)
    with pytest.raises(TrainerError, match="diverged") as error:
        train(request(spoilt, tmp_path / "out"))
    assert "step 1" in str(error.value)


def test_a_training_that_would_see_other_prompts_is_refused(model: Path, tmp_path: Path) -> None:
    """With both sides where they part."""
    asked = request(model, tmp_path)
    first = asked.probes[0]
    other = replace(first, prompt_ids=(*first.prompt_ids[:5], 99, *first.prompt_ids[6:]))
    with pytest.raises(TrainerError, match="at token 5: tests") as error:
        train(replace(asked, probes=(other,)))
    assert "training" in str(error.value)


def test_two_processes_train_one_model(model: Path, tmp_path: Path) -> None:
    """torchrun on two CPU ranks: as many steps as on one, each rank with half of the examples; one adapter."""
    result = train(request(model, tmp_path, launch=Launch(cpu_processes=2)))
    assert result.steps == 6
    assert result.margins[-1][1] > 0


def test_kill_9_of_the_harness_leaves_no_worker(model: Path, tmp_path: Path) -> None:
    """torchrun's workers live in sessions of their own, and die all the same."""
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        "from tests.e2e.test_trainers_real import request, train\nfrom trainers.launch import Launch\n"
        f"model, place, launch = Path({str(model)!r}), Path({str(tmp_path)!r}), Launch(cpu_processes=2)\n"
        "train(request(model, place, epochs=500.0, launch=launch))\n",
        "utf-8",
    )
    process = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)})
    progress = tmp_path / "attempt-1" / "progress.jsonl"
    until = time.monotonic() + 120
    while not (progress.exists() and '"loss"' in progress.read_text("utf-8")) and time.monotonic() < until:
        time.sleep(0.2)
    assert _workers(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 15
    while _workers(tmp_path) and time.monotonic() < until:
        time.sleep(0.2)
    assert _workers(tmp_path) == []


def _workers(place: Path) -> list[int]:
    """Processes whose words name the training's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if f"{place}/attempt-1/job.json".encode() in words:
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_eight_processes_train_one_model(model: Path, tmp_path: Path) -> None:
    """As many as a machine with eight GPUs has."""
    result = train(request(model, tmp_path, batch_size=1, epochs=4.0, launch=Launch(cpu_processes=8)))
    assert result.steps == 4


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["zero2", "zero3", "zero2-offload", "zero3-offload"])
def test_deepspeed_trains_on_two_processes(model: Path, tmp_path: Path, stage: str) -> None:
    """ZeRO-2 and ZeRO-3, with offload and without, on the CPU accelerator (the first run builds what they need)."""
    launch = Launch(cpu_processes=2, deepspeed=True)
    result = train(request(model, tmp_path, deepspeed=stage, launch=launch))
    assert result.steps == 6
    assert result.margins[-1][1] > 0


@pytest.mark.slow
def test_zero3_on_a_parent_begins_at_the_parent(model: Path, sft: TrainResult, tmp_path: Path) -> None:
    """LLaMA-Factory would train the parent itself without a word; so the parents are merged for it."""
    launch = Launch(cpu_processes=2, deepspeed=True)
    asked = request(model, tmp_path / "v2", parents=(sft.adapter,), deepspeed="zero3", launch=launch)
    result = train(asked)
    assert result.margins[0][1] == pytest.approx(0.0, abs=1e-3)
    assert list((tmp_path / "merged").rglob("*.safetensors")) == []
    check_lineage(model, [sft.adapter, result.adapter])


@pytest.mark.slow
def test_full_tuning_leaves_a_whole_model(model: Path, tmp_path: Path) -> None:
    """Which transformers loads, and which is no adapter."""
    result = train(request(model, tmp_path, "sft", tuning="full", learning_rate=1e-3))
    assert json.loads((result.adapter / "config.json").read_text("utf-8"))["model_type"] == "llama"
    assert np.abs(logits(result.adapter, []) - logits(model, [])).max() > 1e-3
