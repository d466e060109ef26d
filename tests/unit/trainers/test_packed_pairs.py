"""Pairs packed into one row, and LoRA layers in one step, give what each answer alone and peft's own layers give."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.llama import llama_with_lora
from trainers.worker import dpo_step, lora_linear, packed_pairs
from trainers.worker.packed_pairs import IGNORED, attend_to, pack, packable, token_log_probs

Pair = tuple[list[int], list[int], list[int]]
"""Prompt, chosen, rejected."""
PAIRS: list[Pair] = [
    ([5, 6, 7], [8, 9, 10, 2], [11, 12]),
    ([5], [8, 9, 9, 9, 2], [8, 9, 9, 7, 7, 7, 7]),
    ([3, 4, 5, 6], [1], [2]),
]


@pytest.fixture(scope="module")
def model() -> Any:
    """A random Llama of two layers with grouped heads, with a LoRA on every linear layer."""
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return llama_with_lora(targets).train()


def answers(pairs: Sequence[Pair]) -> tuple[list[Any], list[Any]]:
    def side(number: int) -> list[Any]:
        return [([*p[0], *p[number]], [IGNORED] * len(p[0]) + p[number]) for p in pairs]

    return side(1), side(2)


def packed_sums(model: Any, pairs: Sequence[Pair]) -> torch.Tensor:
    """Log-probability of each answer by the packed row; chosen ones first."""
    row = pack(*answers(pairs))
    attend_to(row)
    model.get_base_model().set_attn_implementation(packed_pairs.ATTENTION)
    logits = model(input_ids=row.ids, position_ids=row.positions, logits_to_keep=row.rows, use_cache=False).logits[0]
    return torch.zeros(2 * len(pairs) + 1).index_add(0, row.owners, token_log_probs(logits, row.targets))[:-1]


def single_sums(model: Any, pairs: Sequence[Pair]) -> torch.Tensor:
    """The same with every answer alone, by transformers' own attention."""
    model.get_base_model().set_attn_implementation("sdpa")
    sums = []
    for ids, labels in (a for side in answers(pairs) for a in side):
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1].float()
        wanted = torch.tensor(labels[1:])
        each = logits.log_softmax(-1).gather(1, wanted.clamp(min=0)[:, None])[:, 0]
        sums.append((each * (wanted != IGNORED)).sum())
    return torch.stack(sums)


def gradients(model: Any, sums: torch.Tensor) -> torch.Tensor:
    half = len(sums) // 2
    model.zero_grad()
    (sums[:half].sum() - 0.5 * sums[half:].sum()).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("pairs", [PAIRS[:1], PAIRS[1:2], PAIRS], ids=["one pair", "shared beginning", "three pairs"])
def test_packed_answers_have_the_log_probabilities_of_answers_alone(model: Any, pairs: list[Pair]) -> None:
    """Packing changes no log-probability."""
    torch.testing.assert_close(packed_sums(model, pairs), single_sums(model, pairs), rtol=1e-4, atol=1e-4)


def test_packed_answers_have_the_gradients_of_answers_alone(model: Any) -> None:
    """Neither padding nor the second copy of what is shared leaks into a gradient."""
    wanted = gradients(model, single_sums(model, PAIRS))
    torch.testing.assert_close(gradients(model, packed_sums(model, PAIRS)), wanted, rtol=1e-3, atol=1e-4)


def test_fused_lora_layers_have_the_results_and_gradients_of_peft(model: Any) -> None:
    """A layer and its LoRA in one step are the same function."""
    wanted = single_sums(model, PAIRS)
    slopes = gradients(model, wanted)
    fused = copy.deepcopy(model)
    assert lora_linear.fuse(fused) == 14
    actual = single_sums(fused, PAIRS)
    torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradients(fused, actual), slopes, rtol=1e-3, atol=1e-4)


def test_a_disabled_adapter_stays_disabled_in_fused_layers(model: Any) -> None:
    """The reference is the model without its LoRA, whatever was fused."""
    fused = copy.deepcopy(model)
    lora_linear.fuse(fused)
    with torch.no_grad(), fused.disable_adapter(), model.disable_adapter():
        torch.testing.assert_close(single_sums(fused, PAIRS), single_sums(model, PAIRS))


def test_parted_layers_are_peft_layers_again(model: Any) -> None:
    """Undoing the fusion leaves no trace on the modules."""
    fused = copy.deepcopy(model)
    lora_linear.fuse(fused)
    lora_linear.part(fused)
    assert not [m for m in fused.modules() if "forward" in m.__dict__]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.lists(st.integers(1, 6), min_size=1, max_size=9))
@settings(deadline=None, max_examples=60)
def test_every_token_of_both_answers_is_counted_once(good: list[int], bad: list[int]) -> None:
    """Targets are the answers' tokens in order, and the row holds a shared beginning once."""
    row = pack(*answers([([7, 8], good, bad)]))
    assert row.targets[row.owners == 0].tolist() == good
    assert row.targets[row.owners == 1].tolist() == bad
    common = next((i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b), min(len(good), len(bad)))
    assert row.used == 2 + len(good) + len(bad) - min(common, len(good) - 1, len(bad) - 1)


def test_the_gradient_of_log_probabilities_is_that_of_log_softmax() -> None:
    """The blockwise function is log_softmax and gather, in the type of its input."""
    logits = torch.randn(150, 30, requires_grad=True)
    targets = torch.randint(0, 30, (150,))
    weights = torch.randn(150)
    (token_log_probs(logits, targets) * weights).sum().backward()
    actual, logits.grad = logits.grad, None
    (logits.log_softmax(-1).gather(1, targets[:, None])[:, 0] * weights).sum().backward()
    torch.testing.assert_close(actual, logits.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "supported", "expected"),
    [
        ({}, True, True),
        ({"layer_types": ["full_attention"]}, True, True),
        ({"layer_types": ["full_attention", "linear_attention"]}, True, False),
        ({"sliding_window": 4096}, True, False),
        ({}, False, False),
    ],
    ids=["plain", "named layers", "a linear layer", "a sliding window", "fixed attention"],
)
def test_only_models_whose_layers_see_the_whole_text_are_packed(
    config: dict[str, Any], supported: bool, expected: bool
) -> None:
    """Other architectures are trained as they come."""
    model = SimpleNamespace(config=SimpleNamespace(**config), _supports_attention_backend=supported)
    assert packable(model) is expected


class Trainer:
    """The parts of LLaMA-Factory's preference trainer that are replaced, with a forward pass that may be off."""

    ref_model = None
    loss_type = "sigmoid"
    repeated: Sequence[torch.Tensor] = ()
    is_fsdp_enabled = False

    def __init__(self, error: float = 0.0) -> None:
        self.error = error
        self.accelerator = SimpleNamespace(unwrap_model=lambda m: m, state=SimpleNamespace(deepspeed_plugin=None))

    def concatenated_forward(self, model: Any, batch: dict[str, Any], is_ref_model: bool = False) -> dict[str, Any]:
        sums = single_sums(model, PAIRS) + self.error
        chosen, rejected = sums.split(len(PAIRS))
        return {"chosen_logps": chosen, "rejected_logps": rejected, "own": True}

    def compute_reference_log_probs(self, model: Any, batch: dict[str, Any]) -> None: ...

    def get_batch_loss_metrics(self, model: Any, batch: dict[str, Any], train_eval: str = "train") -> Any: ...


def batch() -> dict[str, Any]:
    rows = [a for side in answers(PAIRS) for a in side]
    length = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [IGNORED] * (length - len(ids)) for ids, labels in rows]),
    }


@pytest.mark.parametrize(
    ("error", "said"), [(0.0, "pairs are packed"), (1.0, "pairs are not packed")], ids=["equal", "different"]
)
def test_the_fast_step_is_taken_only_where_it_proves_itself(model: Any, error: float, said: str) -> None:
    """The first batch goes both ways; a difference leaves LLaMA-Factory's own step in place, and says so."""
    kind = type("Own", (Trainer,), {"concatenated_forward": Trainer.concatenated_forward})
    notes: list[str] = []
    parts = {"packed_pairs": packed_pairs, "lora_linear": lora_linear}
    dpo_step.install(kind, parts, packed=True, cache=False, say=notes.append)
    whole = copy.deepcopy(model)
    whole.get_base_model().set_attn_implementation("sdpa")
    result = kind(error).concatenated_forward(whole, batch())
    assert said in notes[0]
    assert ("own" in result) is bool(error)
    wanted = single_sums(model, PAIRS) + error
    torch.testing.assert_close(
        torch.cat([result["chosen_logps"], result["rejected_logps"]]), wanted, rtol=1e-4, atol=1e-3
    )


def test_a_trainer_with_other_methods_is_left_alone() -> None:
    """A later LLaMA-Factory trains in its own way, with a note."""
    notes: list[str] = []
    dpo_step.install(object, {}, packed=True, cache=True, say=notes.append)
    assert "its own way" in notes[0]


class OwnLogits(Trainer):
    """A trainer whose own forward pass gives logits, as LLaMA-Factory's does."""

    def concatenated_forward(self, model: Any, batch: dict[str, Any], is_ref_model: bool = False) -> dict[str, Any]:
        labels = batch["labels"]
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()
        each = logits[:, :-1].log_softmax(-1).gather(2, labels[:, 1:].clamp(min=0)[..., None])[..., 0]
        sums = (each * (labels[:, 1:] != IGNORED)).sum(-1)
        half = len(labels) // 2
        return {
            "chosen_logps": sums[:half],
            "rejected_logps": sums[half:],
            "rejected_logits": logits[half:],
            "chosen_logits": logits[:half],
        }

    def get_batch_loss_metrics(self, model: Any, batch: dict[str, Any], train_eval: str = "train") -> Any:
        self.concatenated_forward(model, batch)
        return torch.zeros(()), {}


def late(labels: torch.Tensor) -> torch.Tensor:
    """The labels with the first token of the second pair's rejected answer not counted."""
    changed = labels.clone()
    row = changed[len(PAIRS) + 1]
    row[int((row != IGNORED).int().argmax())] = IGNORED
    return changed


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "as it comes"])
def test_unlikelihood_is_that_of_the_counted_tokens_of_a_fault(model: Any, packed: bool) -> None:
    """Only answers whose beginning is not counted are unlearned so, and both ways of computing agree."""

    kind = type("Own", (OwnLogits,), {"concatenated_forward": OwnLogits.concatenated_forward})
    whole = copy.deepcopy(model)
    whole.get_base_model().set_attn_implementation("sdpa")
    parts = {"packed_pairs": packed_pairs, "lora_linear": lora_linear}
    dpo_step.install(kind, parts, packed=packed, cache=False, say=lambda _: None, unlikelihood=2.0)
    pairs = batch() | {"labels": late(batch()["labels"])}
    loss, metrics = kind().get_batch_loss_metrics(whole, pairs)
    prompt, _, rejected = PAIRS[1]
    model.get_base_model().set_attn_implementation("sdpa")
    every = model(input_ids=torch.tensor([[*prompt, *rejected]])).logits[0, :-1].log_softmax(-1)
    each = every.gather(1, torch.tensor([*prompt, *rejected])[1:, None])[len(prompt) :, 0]
    wanted = float(-torch.log1p(-each.detach().exp()).mean() / len(PAIRS))
    assert metrics["unlikelihood"] == pytest.approx(wanted, rel=1e-3)
    assert float(loss.detach()) == pytest.approx(2.0 * wanted, rel=1e-3)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "as it comes"])
def test_an_end_without_a_counterpart_is_no_part_of_the_preference(model: Any, packed: bool) -> None:
    """The chosen answer's end counts where the rejected one ended too or nothing else is learnt, and not where that was
    cut off."""
    kind = type("Own", (OwnLogits,), {"concatenated_forward": OwnLogits.concatenated_forward})
    parts = {"packed_pairs": packed_pairs, "lora_linear": lora_linear}
    dpo_step.install(kind, parts, packed=packed, cache=False, say=lambda _: None, end_apart=True)
    whole = copy.deepcopy(model)
    whole.get_base_model().set_attn_implementation("sdpa")
    with torch.no_grad():
        actual = kind().concatenated_forward(whole, batch())["chosen_logps"]
        wanted = single_sums(model, PAIRS)[: len(PAIRS)]
        for number, (prompt, chosen, rejected) in enumerate(PAIRS):
            if len(chosen) > 1 and chosen[-1] != rejected[-1]:
                logits = model(input_ids=torch.tensor([[*prompt, *chosen]])).logits[0, -2]
                wanted[number] -= logits.log_softmax(-1)[chosen[-1]]
    torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-3)
