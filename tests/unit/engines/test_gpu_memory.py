"""A model that does not fit the GPUs is told with the arithmetic, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.engines.gpu_memory import fit, need_of
from harness.errors import EngineError
from harness.setup.gpus import Gpu, gpus_with_memory, visible_gpus

GIB = 1024**3
H100 = Gpu(name="H100", total=80 * GIB)
QWEN_72B = {
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "hidden_size": 8192,
    "intermediate_size": 29568, "dtype": "bfloat16",
}  # fmt: skip


def model(folder: Path, gigabytes: float, **config: Any) -> Path:
    """A model's folder whose weights are a sparse file of that size."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**QWEN_72B, **config}))
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(int(gigabytes * 1e9))
    return folder


@pytest.mark.parametrize(
    ("gigabytes", "gpus", "expected"),
    [
        pytest.param(15, 8, None, id="7b-on-one"),
        pytest.param(65, 8, 2, id="32b-on-two"),
        pytest.param(145, 8, 4, id="72b-on-four"),
        pytest.param(145, 4, 4, id="72b-on-all-four"),
    ],
)
def test_a_model_gets_as_many_gpus_as_it_needs(
    tmp_path: Path, gigabytes: float, gpus: int, expected: int | None
) -> None:
    """And no more, so that others are left for something else."""
    options = fit(model(tmp_path / "m", gigabytes), {"max_model_len": 8192}, [H100] * gpus)
    assert options.get("tensor_parallel_size") == expected


def test_a_model_that_fits_nowhere_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    """What it needs, what there is, and what helps."""
    with pytest.raises(EngineError) as caught:
        fit(model(tmp_path / "m", 145), {"max_model_len": 8192}, [H100])
    text = str(caught.value)
    assert "weights 135.0" in text
    assert "leaves 72.0" in text
    assert "quantised" in text


def test_a_length_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """The cache of one long sequence alone may be too much."""
    long = {"max_model_len": 1_000_000, "tensor_parallel_size": 4}
    with pytest.raises(EngineError, match="a smaller max_model_len than 1000000"):
        fit(model(tmp_path / "m", 145), long, [H100] * 4)


def test_lora_slots_are_counted(tmp_path: Path) -> None:
    """Dozens of versions of a large rank fill a GPU."""
    folder = model(tmp_path / "m", 145)
    few = need_of(folder, {"max_loras": 1, "max_lora_rank": 16}, tensor=8, pipeline=1)
    many = need_of(folder, {"max_loras": 40, "max_lora_rank": 64}, tensor=8, pipeline=1)
    assert few is not None
    assert many is not None
    assert many.lora == 160 * few.lora


def test_a_number_that_does_not_divide_the_heads_is_refused(tmp_path: Path) -> None:
    """vLLM would refuse it after it has started its processes."""
    with pytest.raises(EngineError, match="does not divide the model's 64 attention heads"):
        fit(model(tmp_path / "m", 15), {"tensor_parallel_size": 3}, [H100] * 4)


def test_more_gpus_than_there_are_is_refused(tmp_path: Path) -> None:
    """Unless a pipeline goes over machines."""
    folder = model(tmp_path / "m", 145)
    with pytest.raises(EngineError, match="2 GPUs are visible here"):
        fit(folder, {"tensor_parallel_size": 8}, [H100] * 2)
    assert fit(folder, {"tensor_parallel_size": 8, "pipeline_parallel_size": 2}, [H100] * 8)


def test_a_pipeline_shares_the_layers(tmp_path: Path) -> None:
    """Half of the weights and of the cache on each GPU."""
    folder = model(tmp_path / "m", 145)
    one = need_of(folder, {"max_model_len": 8192}, tensor=4, pipeline=1)
    two = need_of(folder, {"max_model_len": 8192}, tensor=4, pipeline=2)
    assert one is not None
    assert two is not None
    assert (two.weights, two.kv_cache) == (one.weights // 2, one.kv_cache // 2)


def test_weights_in_another_precision_are_counted_in_it(tmp_path: Path) -> None:
    """A model in float32 takes twice what its files do."""
    folder = model(tmp_path / "m", 15)
    need = need_of(folder, {"dtype": "float32"}, tensor=1, pipeline=1)
    assert need is not None
    assert need.weights == 30 * 10**9


@pytest.mark.parametrize(
    "config", [{"num_hidden_layers": None}, {"hidden_size": "8192"}, {"num_attention_heads": -1}], ids=str
)
def test_a_configuration_that_does_not_say_is_not_judged(tmp_path: Path, config: dict[str, Any]) -> None:
    """vLLM then says itself whether it fits."""
    assert fit(model(tmp_path / "m", 900, **config), {"dtype": "auto"}, [H100]) == {"dtype": "auto"}


def test_without_gpus_nothing_is_checked(tmp_path: Path) -> None:
    """The tool of the driver may be missing where GPUs are not."""
    assert fit(model(tmp_path / "m", 900), {}, []) == {}


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        pytest.param(None, ["A", "B"], id="all"),
        pytest.param("1", ["B"], id="one"),
        pytest.param("GPU-aa", ["A"], id="by-uuid"),
        pytest.param("", [], id="none"),
        pytest.param("7", [], id="unknown"),
    ],
)
def test_only_visible_gpus_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, names: list[str]
) -> None:
    """Others belong to somebody else."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, A, 81559'\necho '1, GPU-bb, B, 81559'\necho garbage\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert [gpu.name for gpu in gpus_with_memory(environment)] == names


def test_a_training_sees_the_gpus_that_an_engine_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of UUIDs, which schedulers set, names GPUs like a list of numbers."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, A, 81559'\necho '1, GPU-bb, B, 81559'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-bb,GPU-aa"}) == (1, 0)
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
