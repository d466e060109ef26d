"""Several LoRAs as one, and LoRAs put into the model: the same product, whichever way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import AdapterError
from harness.models.adapters.folder import CONFIG, WEIGHTS, check, publish
from harness.models.adapters.lineage import Lineage, check_lineage, fingerprint, parts_of, read_lineage
from harness.models.adapters.lora import Lora
from harness.models.adapters.merge import merge
from harness.models.adapters.stack import can_stack, stack
from harness.models.adapters.tensors import TensorFile, write_tensors

LAYERS = {"model.layers.0.self_attn.q_proj": (6, 4), "model.layers.0.mlp.down_proj": (4, 10)}
Array = NDArray[np.float32]


def model(folder: Path, seed: int = 0) -> Path:
    """A folder that looks like a model's: two shards, a layer in each, and a norm that no LoRA touches."""
    draw = np.random.default_rng(seed)
    for number, (name, shape) in enumerate(LAYERS.items(), 1):
        write_tensors(
            folder / f"model-0000{number}-of-00002.safetensors",
            {f"{name}.weight": draw.standard_normal(shape).astype(np.float32), f"norm{number}": np.ones(3, np.float32)},
        )
    (folder / "config.json").write_text('{"model_type": "tiny"}', "utf-8")
    (folder / "chat_template.jinja").write_text("{{ messages }}", "utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    return folder


def lora(
    folder: Path, rank: int = 2, seed: int = 1, layers: Mapping[str, tuple[int, int]] = LAYERS, **config: Any
) -> Path:
    """A LoRA with random matrices on some layers."""
    draw = np.random.default_rng(seed)
    tensors: dict[str, Array] = {}
    for name, (outputs, inputs) in layers.items():
        r = dict(config.get("rank_pattern") or {}).get(name.rpartition(".")[2], rank)
        tensors[f"base_model.model.{name}.lora_A.weight"] = draw.standard_normal((r, inputs)).astype(np.float32)
        tensors[f"base_model.model.{name}.lora_B.weight"] = draw.standard_normal((outputs, r)).astype(np.float32)
    write_tensors(folder / WEIGHTS, tensors)
    values = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"], **config}
    (folder / CONFIG).write_text(json.dumps(values), "utf-8")
    return folder


def update(folder: Path, name: str) -> Array:
    """What an adapter adds to a layer."""
    opened = Lora(folder)
    if name not in opened.modules:
        return np.zeros(LAYERS[name], np.float32)
    a, b = opened.matrices(name)
    return b @ a


@settings(deadline=None, max_examples=25)
@given(ranks=st.lists(st.integers(1, 5), min_size=1, max_size=4), alpha=st.floats(0.5, 64), seed=st.integers(0, 2**16))
def test_a_stack_does_what_its_parts_do_together(
    tmp_path_factory: pytest.TempPathFactory, ranks: list[int], alpha: float, seed: int
) -> None:
    """The sum of the updates, layer by layer, and the sum of the ranks."""
    tmp_path = tmp_path_factory.mktemp("stack")
    parts = [lora(tmp_path / str(i), rank, seed + i, lora_alpha=alpha) for i, rank in enumerate(ranks)]
    facts = stack(parts, tmp_path / "all")
    assert facts.rank == sum(ranks)
    for name in LAYERS:
        wanted = sum((update(p, name) for p in parts), np.zeros(LAYERS[name], np.float32))
        assert np.allclose(update(tmp_path / "all", name), wanted, rtol=1e-4, atol=1e-4)


def test_layers_that_only_one_part_touches_keep_its_update(tmp_path: Path) -> None:
    """Others add nothing there."""
    q, down = LAYERS
    first = lora(tmp_path / "a", 2, 1, {q: LAYERS[q]})
    second = lora(tmp_path / "b", 3, 2, {down: LAYERS[down]})
    stack([first, second], tmp_path / "all")
    assert np.allclose(update(tmp_path / "all", q), update(first, q), rtol=1e-5)
    assert np.allclose(update(tmp_path / "all", down), update(second, down), rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 8}, 4.0),
        ({"lora_alpha": 8, "use_rslora": True}, 8 / math.sqrt(2)),
        ({"lora_alpha": 8, "alpha_pattern": {"q_proj": 2}}, 1.0),
        ({"lora_alpha": 8, "rank_pattern": {"q_proj": 4}}, 2.0),
    ],
    ids=["alpha over rank", "rank-stabilised", "alpha of the layer", "rank of the layer"],
)
def test_the_scale_is_pefts(tmp_path: Path, config: dict[str, Any], scale: float) -> None:
    """alpha / r, alpha / sqrt(r), and a layer's own values over both."""
    opened = Lora(lora(tmp_path / "a", 2, **config))
    name = "model.layers.0.self_attn.q_proj"
    rank = opened.matrices(name)[0].shape[0]
    assert opened.scale(name, rank) == pytest.approx(scale)


@pytest.mark.parametrize(
    ("config", "tensors", "word"),
    [({"use_dora": True}, {}, "DoRA"), ({}, {"base_model.model.lm_head.weight": (3, 3)}, "whole modules")],
    ids=["dora", "modules to save"],
)
def test_adapters_that_are_no_sum_are_not_stacked(
    tmp_path: Path, config: dict[str, Any], tensors: dict[str, tuple[int, int]], word: str
) -> None:
    """A wrong sum would be loaded without a word."""
    folder = lora(tmp_path / "a", **config)
    opened = TensorFile(folder / WEIGHTS)
    whole = {n: opened.array(n) for n in opened.tensors} | {n: np.ones(s, np.float32) for n, s in tensors.items()}
    write_tensors(folder / WEIGHTS, whole)
    with pytest.raises(AdapterError, match=word):
        stack([folder], tmp_path / "all")


def test_a_merge_adds_every_update_once(tmp_path: Path) -> None:
    """base + first + second, in the base's files; everything else as it was, and no pickle copied."""
    base, parts = model(tmp_path / "base"), [lora(tmp_path / "a"), lora(tmp_path / "b", 3, 2)]
    merged = merge(base, parts, tmp_path / "merged")
    for path in sorted(base.glob("*.safetensors")):
        before, after = TensorFile(path), TensorFile(merged / path.name)
        assert before.tensors == after.tensors
        for name in before.tensors:
            layer = name.removesuffix(".weight")
            added = sum(update(p, layer) for p in parts) if layer in LAYERS else 0
            assert np.allclose(after.array(name), before.array(name) + added, rtol=1e-5, atol=1e-6)
    copied = {p.name for p in merged.iterdir()}
    assert {"config.json", "chat_template.jinja"} <= copied
    assert "pytorch_model.bin" not in copied


def whole(folder: Path, **tensors: Array) -> Path:
    """A LoRA that also holds modules whole; a double underscore stands for a dot."""
    made = lora(folder)
    opened = TensorFile(made / WEIGHTS)
    extra = {f"base_model.model.{n.replace('__', '.')}.weight": a for n, a in tensors.items()}
    write_tensors(made / WEIGHTS, {n: opened.array(n) for n in opened.tensors} | extra)
    return made


def tied(folder: Path, *, head: bool = False) -> Path:
    """The model with an embedding of five rows, and with an output layer of its own or not."""
    made = model(folder)
    names = {"model.embed_tokens.weight"} | ({"lm_head.weight"} if head else set())
    write_tensors(made / "model-00003-of-00003.safetensors", {n: np.zeros((5, 4), np.float32) for n in names})
    (made / "config.json").write_text('{"vocab_size": 5, "tie_word_embeddings": true}', "utf-8")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model-00003-of-00003.safetensors")}
    (made / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return made


@pytest.mark.parametrize("head", [False, True], ids=["tied", "untied"])
def test_modules_held_whole_take_the_models_place(tmp_path: Path, head: bool) -> None:
    """With more rows after a resize; a tied output layer becomes one of its own; the newest adapter's counts."""
    base, rows = tied(tmp_path / "base", head=head), np.arange(32, dtype=np.float32).reshape(8, 4)
    first = whole(tmp_path / "a", model__embed_tokens=rows + 7, lm_head=rows + 9)
    second = whole(tmp_path / "b", model__embed_tokens=rows, lm_head=-rows)
    merged = merge(base, [first, second], tmp_path / "merged")
    opened = TensorFile(merged / "model-00003-of-00003.safetensors")
    assert np.array_equal(opened.array("model.embed_tokens.weight"), rows)
    assert np.array_equal(opened.array("lm_head.weight"), -rows)
    config = json.loads((merged / "config.json").read_text("utf-8"))
    assert (config["vocab_size"], config["tie_word_embeddings"]) == (8, False)
    places = json.loads((merged / "model.safetensors.index.json").read_text("utf-8"))["weight_map"]
    assert places["lm_head.weight"] == "model-00003-of-00003.safetensors"
    layer = next(iter(LAYERS))
    before, after = (
        TensorFile(p / "model-00001-of-00002.safetensors").array(f"{layer}.weight") for p in (base, merged)
    )
    assert np.allclose(after, before + update(first, layer) + update(second, layer), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"model__embed_tokens": 5}, "ties its output layer"),
        ({"lm_head": 4}, "holds lm_head.weight of"),
        ({"model__norm9": 4}, "no such tensor"),
        ({"model__embed_tokens": 8, "lm_head": 5}, "numbers of rows"),
    ],
    ids=["embedding alone", "fewer rows", "unknown", "different rows"],
)  # fmt: skip
def test_modules_that_do_not_fit_are_not_merged(tmp_path: Path, rows: dict[str, int], says: str) -> None:
    """A model of them would answer, and nobody trained it."""
    tensors = {name: np.zeros((count, 4), np.float32) for name, count in rows.items()}
    with pytest.raises(AdapterError, match=says):
        merge(tied(tmp_path / "base"), [whole(tmp_path / "a", **tensors)], tmp_path / "merged")


def test_what_an_engine_cannot_take_as_one_lora_is_known(tmp_path: Path) -> None:
    """Modules held whole, and ranks beyond an engine's limit."""
    assert can_stack([lora(tmp_path / "a", 256), lora(tmp_path / "b", 256)])
    assert not can_stack([lora(tmp_path / "a", 256), lora(tmp_path / "c", 257)])
    assert not can_stack([whole(tmp_path / "d", lm_head=np.ones((5, 4), np.float32))])


def test_a_layer_that_the_model_does_not_have_stops_the_merge(tmp_path: Path) -> None:
    """Nothing is left behind."""
    base = model(tmp_path / "base")
    stray = lora(tmp_path / "a", layers={"model.layers.7.mlp.up_proj": (4, 4)})
    with pytest.raises(AdapterError, match=r"layers\.7"):
        merge(base, [stray], tmp_path / "out" / "merged")
    assert not list((tmp_path).glob("out/*"))


def test_a_fingerprint_does_not_depend_on_the_split(tmp_path: Path) -> None:
    """The same weights in one file are the same model; other weights are not."""
    base = model(tmp_path / "base")
    whole: dict[str, Array] = {}
    for path in base.glob("*.safetensors"):
        opened = TensorFile(path)
        whole |= {n: opened.array(n) for n in opened.tensors}
    write_tensors(tmp_path / "one" / "model.safetensors", whole)
    assert fingerprint(tmp_path / "one") == fingerprint(base)
    assert fingerprint(model(tmp_path / "other", seed=9)) != fingerprint(base)


def chain(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A model, an adapter on it, and one that was trained on both."""
    base = model(tmp_path / "base")
    publish(lora(tmp_path / "x1"), tmp_path / "sft", Lineage(fingerprint(base)).notes())
    notes = Lineage(fingerprint(base), (check(tmp_path / "sft").digest,)).notes()
    publish(lora(tmp_path / "x2", 3, 5), tmp_path / "dpo", notes)
    return base, tmp_path / "sft", tmp_path / "dpo"


def test_an_adapter_says_what_it_grew_from(tmp_path: Path) -> None:
    """In its own file, so that it survives a copy without the manifest; one from elsewhere says nothing."""
    base, sft, dpo = chain(tmp_path)
    assert read_lineage(dpo) == Lineage(fingerprint(base), (check(sft).digest,))
    assert read_lineage(lora(tmp_path / "elsewhere")) is None


def test_a_whole_chain_passes(tmp_path: Path) -> None:
    """As it was trained, so it is loaded; a stack of it counts as its parts."""
    base, sft, dpo = chain(tmp_path)
    check_lineage(base, [sft, dpo])
    stack([sft, dpo], tmp_path / "stacked")
    assert parts_of(tmp_path / "stacked") == (check(sft).digest, check(dpo).digest)


def test_a_dpo_adapter_on_the_bare_base_is_refused(tmp_path: Path) -> None:
    """The classic silent error: trained on base + SFT, loaded on base."""
    base, _, dpo = chain(tmp_path)
    with pytest.raises(AdapterError, match="would be loaded on top of the bare model"):
        check_lineage(base, [dpo])


def test_an_adapter_on_another_model_is_refused(tmp_path: Path) -> None:
    """The same shapes do not make it the same model."""
    _, sft, _ = chain(tmp_path)
    with pytest.raises(AdapterError, match="another model"):
        check_lineage(model(tmp_path / "other", seed=9), [sft])


def test_an_adapter_of_other_shapes_is_refused(tmp_path: Path) -> None:
    """Also when it does not say what it grew from."""
    base = model(tmp_path / "base")
    stray = lora(tmp_path / "a", layers={"model.layers.0.self_attn.q_proj": (6, 5)})
    with pytest.raises(AdapterError, match="belongs to another model"):
        check_lineage(base, [stray])
