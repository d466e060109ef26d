"""A stored answer is used again only where a new one could not be another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.engines import engine_info
from harness.models.folder import model_digest
from harness.models.prompts import PromptRenderer
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.projects import make_model

FILES = {
    "config.json": '{"model_type": "llama", "rope_scaling": {"factor": 2}}',
    "generation_config.json": '{"eos_token_id": [2, 7]}',
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "special_tokens_map.json": "{}",
    "added_tokens.json": "{}",
    "vocab.json": "{}",
    "merges.txt": "a b",
    "tokenizer.model": "x",
    "qwen.tiktoken": "x",
    "chat_template.jinja": "x",
    "preprocessor_config.json": "{}",
    "model.safetensors": "x",
    "model-00001-of-00002.safetensors": "x",
    "model.safetensors.index.json": "{}",
    "modeling_custom.py": "x",
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_a_loader_reads_is_in_the_models_digest(tmp_path: Path, name: str) -> None:
    """I changed generation_config.json, which holds the end tokens, and old answers came back."""
    folder = make_model(tmp_path / "model")
    (folder / "model.safetensors").write_text("weights")
    with Store(tmp_path / "db") as store:
        before = model_digest(folder, store)
        (folder / name).write_text(FILES[name])
        assert model_digest(folder, store) != before


@pytest.mark.parametrize("name", ["README.md", "training_args.bin", "train.log", ".gitattributes"])
def test_a_file_that_no_loader_reads_costs_no_answers(tmp_path: Path, name: str) -> None:
    """A note beside the weights does not make a run of hours happen again."""
    folder = make_model(tmp_path / "model")
    (folder / "model.safetensors").write_text("weights")
    with Store(tmp_path / "db") as store:
        before = model_digest(folder, store)
        (folder / name).write_text("x")
        assert model_digest(folder, store) == before


def test_weights_without_safetensors_count(tmp_path: Path) -> None:
    """An old model folder holds pytorch_model.bin alone."""
    folder = make_model(tmp_path / "model")
    with Store(tmp_path / "db") as store:
        before = model_digest(folder, store)
        (folder / "pytorch_model.bin").write_text("x")
        assert model_digest(folder, store) != before


def test_a_file_with_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    """I copied other weights over the old ones with their time stamp, and the harness believed them."""
    path = tmp_path / "model.safetensors"
    path.write_text("aaaa")
    with Store(tmp_path / "db") as store:
        before = store.digest(path)
        status = path.stat()
        path.write_text("bbbb")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert store.digest(path) != before


@pytest.mark.parametrize(
    "options",
    [
        {"llm_options": {"quantization": "fp8"}},
        {"llm_options": {"hf_overrides": {"rope_scaling": {"factor": 4}}}},
        {"llm_options": {"kv_cache_dtype": "fp8"}},
        {"tensor_parallel_size": 2},
        {"n_best": 3},
        {"dtype": "float16"},
    ],
    ids=["quantization", "rope", "kv-cache-dtype", "tensor-parallel", "n-best", "dtype"],
)
@pytest.mark.parametrize("engine", ["vllm", "transformers", "tests.unit.engines.test_names:Own"])
def test_every_engine_option_that_may_change_an_answer_is_in_its_key(engine: str, options: dict[str, Any]) -> None:
    """I turned quantisation on, and the verdicts were those of the full model."""
    assert engine_info(engine, **options) != engine_info(engine)


@pytest.mark.parametrize("name", ["max_model_len", "max_num_seqs", "kv_cache_gib", "gpu_memory_utilization"])
def test_an_option_about_memory_costs_no_answers(name: str) -> None:
    """More memory for the same model gives the same answers."""
    assert engine_info("vllm", **{name: 1}) == engine_info("vllm")


def test_prompts_are_rendered_again_when_the_configuration_changes(tmp_path: Path) -> None:
    """config.json may name the tokenizer's class."""
    folder = make_model(tmp_path / "model")
    before = PromptRenderer(folder).digest
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    assert PromptRenderer(folder).digest != before


def test_after_a_change_of_the_end_tokens_all_is_generated_again(project: Make, pytester: pytest.Pytester) -> None:
    """The same, through pytest: the second run takes no stored answer."""
    root = project()
    pytester.runpytest("badcases")
    (root / "model" / "generation_config.json").write_text('{"eos_token_id": 7}')
    pytester.runpytest("badcases")
    with Store.existing(root / "reports" / "harness.sqlite") as store:
        for run in store.runs():
            assert not any(a.cached for r in store.results(run.id) for a in r.attempts)
