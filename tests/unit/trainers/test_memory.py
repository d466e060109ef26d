"""What a training takes on each GPU, against values that were computed by hand, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import TrainerError
from harness.project.slurm import Slurm
from harness.setup.gpus import Gpu
from tests.support.trainings import sparse_model, tiny_model
from trainers.launch import Launch
from trainers.memory import GIB, Need, Parts, model_size, need_of, trained_parameters
from trainers.out_of_memory import advice
from trainers.placement import Placement, place
from trainers.recipe import Recipe, named_recipe

QWEN_72B = {
    "num_hidden_layers": 80, "hidden_size": 8192, "intermediate_size": 29568, "num_attention_heads": 64,
    "num_key_value_heads": 8, "vocab_size": 152064,
}  # fmt: skip
QWEN_7B = {
    "num_hidden_layers": 28, "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064,
}  # fmt: skip
SMOL_135M = {
    "num_hidden_layers": 30, "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True,
}  # fmt: skip
EIGHT = tuple(range(8))


def gpus(count: int, gigabytes: int = 80) -> tuple[Gpu, ...]:
    return tuple(Gpu(name="H100", total=gigabytes * GIB, index=number) for number in range(count))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of three models whose weights are holes."""
    place = tmp_path_factory.mktemp("models")
    shapes: dict[str, dict[str, Any]] = {"72b": QWEN_72B, "7b": QWEN_7B, "135m": SMOL_135M}
    return {name: sparse_model(place / name, **config) for name, config in shapes.items()}


def need(model: Path, recipe: Recipe, stage: str, launch: Launch, longest: int) -> Need:
    size = model_size(model)
    assert size is not None
    return need_of(size, recipe, stage, launch, longest)


@pytest.mark.parametrize(
    ("name", "parameters", "trained"),
    [
        # 2 x 152064 x 8192 + 80 x (2 x 8192^2 + 2 x 1024 x 8192 + 3 x 29568 x 8192 + 2 x 8192) + 8192
        # 80 x 8 x (2 x 16384 + 2 x 9216 + 3 x 37760)
        pytest.param("72b", 72_705_384_448, 105_267_200, id="72b"),
        pytest.param("7b", 7_615_487_488, 20_185_088, id="7b"),
        pytest.param("135m", 134_515_008, 2_442_240, id="135m"),
    ],
)
def test_parameters_are_counted_from_the_files(
    models: dict[str, Path], name: str, parameters: int, trained: int
) -> None:
    """All of them, and those of a LoRA of rank 8 on every linear layer."""
    size = model_size(models[name])
    assert size is not None
    assert (size.parameters, trained_parameters(size, Recipe())) == (parameters, trained)


@pytest.mark.parametrize(
    ("targets", "whole", "trained"),
    [
        # 30 layers x 8 x (576 + 576) for q_proj alone
        (("q_proj",), (), 276_480),
        # and 30 x 8 x (576 + 1536) for mlp.down_proj
        (("q_proj", "mlp.down_proj"), (), 783_360),
        # and 49152 x 576 for the embedding, which is trained whole
        (("q_proj",), ("embed_tokens",), 28_588_032),
    ],
    ids=["one", "two", "whole"],
)
def test_only_what_the_recipe_names_is_trained(
    models: dict[str, Path], targets: tuple[str, ...], whole: tuple[str, ...], trained: int
) -> None:
    """Modules by their names, as peft finds them."""
    size = model_size(models["135m"])
    assert size is not None
    assert trained_parameters(size, Recipe(lora_targets=targets, additional_targets=whole)) == trained


def test_72b_with_zero3_on_eight_gpus(models: dict[str, Path]) -> None:
    """DPO on pairs of 4,096 tokens, a pair on each GPU, gradient checkpointing; every part by hand."""
    counted = need(models["72b"], named_recipe("production"), "dpo", Launch(devices=EIGHT, deepspeed=True), 4096)
    assert counted.each == Parts(
        # 2 x (72,705,384,448 + 105,267,200) / 8
        weights=18_202_662_912,
        # 2 x the embedding, which is larger than 10^9
        gathered=2_491_416_576,
        # 2 x 105,267,200 / 8, and 12 x as much
        gradients=26_316_800,
        optimizer=157_900_800,
        # 80 x 8192 x 2 x 8192 + 8192 x (8 x 8192 + 2 x (2 x 8192 + 2 x 8192 + 2 x 1024 + 4 x 29568))
        activations=13_782_482_944,
        # 16 x 8192 x 152064
        logits=19_931_332_608,
        rest=3 * GIB,
    )
    assert counted.each.total == 57_813_338_112
    assert counted.host == 0


def test_72b_with_offload_needs_the_machines_memory(models: dict[str, Path]) -> None:
    """All weights and 12 bytes for each trained one, on all of a machine's processes together."""
    recipe = replace(named_recipe("production"), deepspeed="zero3-offload")
    counted = need(models["72b"], recipe, "dpo", Launch(devices=EIGHT, deepspeed=True), 4096)
    assert (counted.each.weights, counted.each.optimizer) == (0, 0)
    assert counted.host == 2 * 72_705_384_448 + 12 * 105_267_200


def test_7b_on_one_gpu_without_checkpointing(models: dict[str, Path]) -> None:
    """SFT on two examples of 2,048 tokens; every part by hand."""
    counted = need(models["7b"], named_recipe("sft"), "sft", Launch(devices=(0,)), 2048)
    assert counted.each == Parts(
        # 2 x 7,615,487,488 + 4 x 20,185,088
        weights=15_311_715_328,
        gathered=0,
        gradients=80_740_352,
        optimizer=161_480_704,
        # 28 x 4096 x (8 x 3584 + 2 x (2 x 3584 + 2 x 3584 + 2 x 512 + 4 x 18944))
        activations=24_192_745_472,
        # 14 x 4096 x 152064
        logits=8_719_958_016,
        rest=3 * GIB,
    )


def test_135m_on_a_cpu_in_float32(models: dict[str, Path]) -> None:
    """DPO on four pairs of 512 tokens; every part by hand."""
    recipe = replace(named_recipe("fix"), precision="fp32")
    counted = need(models["135m"], recipe, "dpo", Launch(), 512)
    assert counted.each == Parts(
        weights=547_828_992, gathered=0, gradients=9_768_960, optimizer=19_537_920,
        # 30 x 4096 x (8 x 576 + 4 x (2 x 576 + 2 x 576 + 2 x 192 + 4 x 1536))
        activations=4_907_335_680,
        logits=3_221_225_472, rest=0,
    )  # fmt: skip


def test_zero2_leaves_every_gpu_all_weights(models: dict[str, Path]) -> None:
    """It divides gradients and optimizer states alone; ZeRO-3 divides the weights."""
    launch = Launch(devices=EIGHT, deepspeed=True)
    two, three = (need(models["7b"], Recipe(deepspeed=stage), "sft", launch, 1024).each for stage in ("zero2", "zero3"))
    assert two.weights == 8 * three.weights
    assert two.optimizer == three.optimizer == 12 * 20_185_088 // 8


def test_full_tuning_has_gradients_and_moments_of_all_weights(models: dict[str, Path]) -> None:
    """Six bytes a weight with the copy of the step, four of its gradient, eight of Adam's moments."""
    counted = need(models["135m"], Recipe(tuning="full"), "sft", Launch(devices=(0,)), 128).each
    p = 134_515_008
    assert (counted.weights, counted.gradients, counted.optimizer) == (6 * p, 4 * p, 8 * p)


@pytest.mark.parametrize(
    ("stage", "recipe", "parents", "second"),
    [
        ("dpo", {}, 1, False),
        ("dpo", {"parent": "continue"}, 1, True),
        ("dpo", {"parent": "continue", "pref_loss": "simpo"}, 1, False),
        ("sft", {"parent": "continue"}, 1, False),
        ("dpo", {"tuning": "full"}, 0, True),
        ("kto", {"tuning": "full"}, 0, True),
    ],
    ids=["new on a parent", "continued", "no reference", "sft", "full dpo", "full kto"],
)
def test_a_reference_of_its_own_is_a_second_model(
    models: dict[str, Path], stage: str, recipe: dict[str, Any], parents: int, second: bool
) -> None:
    """LLaMA-Factory loads it where the new weights cannot be switched off."""
    size = model_size(models["7b"])
    assert size is not None
    made = Recipe.from_mapping(recipe)
    counted = need_of(size, made, stage, Launch(devices=(0,)), 128, parents=parents).each
    assert counted.reference == (2 * 7_615_487_488 if second else 0)


def test_a_quantised_model_holds_its_linear_layers_in_four_bits(models: dict[str, Path]) -> None:
    """The rest stays in bfloat16, and so does the LoRA's float32."""
    counted = need(models["7b"], Recipe(quantization=4), "sft", Launch(devices=(0,)), 128).each
    linear = 28 * (2 * 3584 * 3584 + 2 * 512 * 3584 + 3 * 18944 * 3584)
    assert counted.weights == int(linear * 4.127 / 8) + 2 * (7_615_487_488 - linear) + 4 * 20_185_088


def test_attention_that_is_not_fused_grows_with_the_square(models: dict[str, Path]) -> None:
    """5 x heads x tokens x tokens a layer; fused kernels hold no such matrix."""
    fused, plain = (
        need(models["135m"], Recipe(attention=kind, gradient_checkpointing=False), "sft", Launch(devices=(0,)), 2048)
        for kind in ("auto", "disabled")
    )
    assert plain.each.activations - fused.each.activations == 30 * 5 * 9 * 2048 * 2048


@pytest.mark.parametrize("missing", ["vocab_size", "num_attention_heads", "quantization_config"])
def test_a_model_that_does_not_say_its_shape_is_not_judged(tmp_path: Path, missing: str) -> None:
    """Nor one whose files are quantised: a wrong figure would be worse than none."""
    folder = sparse_model(tmp_path / "m", **SMOL_135M)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config.pop(missing, None)
    if missing == "quantization_config":
        config[missing] = {"quant_method": "gptq"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    assert model_size(folder) is None
    assert place(folder, Recipe(), "sft", Launch(devices=(0,)), 4096, gpus=gpus(1)).need is None


def placed(model: Path, recipe: Recipe, *, count: int, gigabytes: int = 80, longest: int = 4096) -> Placement:
    """As ``harness fix`` places a training whose call names as many GPUs as the recipe does."""
    visible = gpus(count, gigabytes)
    launch = Launch.on_gpus(recipe.gpus, deepspeed=recipe.deepspeed, available=tuple(g.index for g in visible))
    return place(model, recipe, "dpo", launch, longest, gpus=visible)


def test_a_small_model_stays_as_the_recipe_says(models: dict[str, Path]) -> None:
    """One GPU, no DeepSpeed, nothing to tell."""
    found = placed(models["135m"], named_recipe("fix"), count=8)
    assert (found.recipe, found.launch.devices, found.notes) == (named_recipe("fix"), (0,), ())


def test_72b_never_starts_as_plain_data_parallelism(models: dict[str, Path]) -> None:
    """The recipe for small models names no stage; ZeRO-3 and gradient checkpointing follow from the arithmetic."""
    found = placed(models["72b"], named_recipe("fix", gpus="8"), count=8)
    assert (found.recipe.deepspeed, found.recipe.gradient_checkpointing) == ("zero3", True)
    assert found.launch.deepspeed
    assert found.recipe.per_update == named_recipe("fix").per_update
    assert 'deepspeed = "zero3", gradient_checkpointing = true' in found.notes[0]


@pytest.mark.parametrize("recipe", ["fix", "production"])
def test_as_many_gpus_as_are_needed_where_none_are_named(models: dict[str, Path], recipe: str) -> None:
    """Four of eight hold 72 billion parameters; the others are left for something else."""
    found = placed(models["72b"], named_recipe(recipe), count=8)
    assert found.launch.devices == (0, 1, 2, 3)
    assert "4 GPUs" in found.notes[0]


def test_a_batch_is_split_before_another_gpu_is_taken(models: dict[str, Path]) -> None:
    """With as many more of them an update, so that it stays the same training."""
    found = placed(models["7b"], named_recipe("fix"), count=8)
    assert (found.launch.devices, found.recipe.batch_size, found.recipe.accumulation) == ((0,), 2, 2)


def test_what_a_recipe_names_is_refused_where_it_does_not_fit(models: dict[str, Path]) -> None:
    """With the numbers, and with what would fit."""
    with pytest.raises(TrainerError) as caught:
        placed(models["72b"], Recipe(deepspeed="zero2", gpus="8"), count=8)
    text = str(caught.value)
    assert "does not fit 8 x H100 of 80 GiB: each needs weights 135.6" in text
    assert 'what would fit: deepspeed = "zero3"' in text


def test_no_deepspeed_is_a_choice_of_its_own(models: dict[str, Path]) -> None:
    """It is taken as it is, like a stage that is named."""
    recipe = Recipe.from_mapping({"deepspeed": "none", "gpus": "8"})
    with pytest.raises(TrainerError, match="no DeepSpeed"):
        placed(models["72b"], recipe, count=8)
    assert placed(models["135m"], recipe, count=8, longest=512).launch.deepspeed is False


def test_a_refusal_counts_more_gpus_or_shorter_examples(models: dict[str, Path]) -> None:
    """Where no single change is enough, the first set of changes that is."""
    with pytest.raises(TrainerError, match=r"what would fit: 16 GPUs, .*cutoff_len = 2048"):
        placed(models["72b"], named_recipe("production", gpus="8"), count=8, gigabytes=24)


def test_gpus_of_other_machines_are_assumed_and_nothing_is_refused(models: dict[str, Path]) -> None:
    """A login node has no GPU; the stage is chosen by 80 GiB, and the table says so."""
    launch = Launch(devices=EIGHT, nodes=2, slurm=Slurm())
    found = place(models["72b"], named_recipe("fix"), "dpo", launch, 4096, gpus=())
    assert (found.recipe.deepspeed, found.assumed) == ("zero3", True)
    assert ("memory of each GPU, assumed", "80.0") in found.rows()
    tight = place(models["72b"], named_recipe("fix"), "dpo", replace(launch, devices=(0,)), 65536, gpus=())
    assert tight.need is not None
    assert tight.need.each.total > tight.room


def test_the_memory_of_other_machines_gpus_can_be_said(models: dict[str, Path]) -> None:
    """Then it is counted as if they were here."""
    launch = Launch(devices=EIGHT, nodes=2, slurm=Slurm(gpu_memory=16))
    with pytest.raises(TrainerError, match="of 16 GiB"):
        place(models["72b"], named_recipe("production"), "dpo", launch, 4096, gpus=())


def test_a_parent_that_is_trained_further_is_not_put_into_zero3(models: dict[str, Path]) -> None:
    """LLaMA-Factory would train it with a wrong reference, so the refusal does not suggest it either."""
    recipe = Recipe(parent="continue", gpus="8")
    with pytest.raises(TrainerError) as caught:
        place(models["72b"], recipe, "dpo", Launch(devices=EIGHT), 4096, parents=1, gpus=gpus(8))
    assert "zero3" not in str(caught.value)


def test_on_a_cpu_weights_beyond_the_memory_are_refused(tmp_path: Path) -> None:
    """They cannot be loaded at all; more than what is free now is a note."""
    huge = sparse_model(tmp_path / "huge", **{**QWEN_72B, "num_hidden_layers": 8000})
    with pytest.raises(TrainerError, match="weights do not fit this machine's memory"):
        place(huge, named_recipe("fix"), "dpo", Launch(), 128)
    small = place(tiny_model(tmp_path / "m"), named_recipe("fix"), "dpo", Launch(), 10**7)
    assert "may not fit this machine's memory" in small.notes[0]


@pytest.mark.parametrize(
    ("model", "recipe", "devices", "words"),
    [
        ("72b", {"deepspeed": "zero2"}, 8, 'deepspeed = "zero3" (ZeRO-2 does not divide the weights)'),
        ("72b", {}, 1, 'deepspeed = "zero3" on several GPUs'),
        ("72b", {"deepspeed": "zero3"}, 2, "more GPUs"),
        ("72b", {"deepspeed": "zero3"}, 2, "quantization = 4"),
        ("7b", {"batch_size": 8}, 1, "batch_size = 4, accumulation = 2"),
        ("7b", {"batch_size": 8, "gradient_checkpointing": False}, 1, "gradient_checkpointing = true"),
        ("7b", {"batch_size": 1}, 1, "cutoff_len = 2048"),
    ],
    ids=["zero2", "plain", "zero3", "quantised", "batch", "checkpointing", "length"],
)
def test_advice_depends_on_what_takes_the_memory(
    models: dict[str, Path], model: str, recipe: dict[str, Any], devices: int, words: str
) -> None:
    """Smaller batches for examples; ZeRO-3, more GPUs or fewer bits for weights."""
    made = Recipe.from_mapping(recipe)
    launch = Launch(devices=tuple(range(devices))).with_deepspeed(made.deepspeed)
    said = advice(models[model], made, "dpo", launch, 4096, killed=False)
    assert words in said
    assert ("batch_size = 4" in said) == (made.batch_size == 8)


def test_a_killed_process_is_about_the_machines_memory(models: dict[str, Path]) -> None:
    """The system kills for its own memory, and never for a GPU's."""
    launch = Launch(devices=EIGHT, deepspeed=True)
    said = advice(models["72b"], Recipe(deepspeed="zero3-offload"), "dpo", launch, 4096, killed=True)
    assert "the machine's memory ran out" in said
    assert 'deepspeed = "zero3", which offloads nothing' in said
