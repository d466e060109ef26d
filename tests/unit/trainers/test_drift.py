"""Drift is the divergence from the model before, over the whole vocabulary, on texts that are not trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.builders import case, result
from tests.support.llama import llama_with_lora
from trainers import WatchedText
from trainers.worker import drift, packed_pairs

TEXTS = [
    {"kind": "guard", "prompt": [5, 6], "answer": [7, 8, 9]},
    {"kind": "ordinary", "prompt": [3], "answer": [4] * 70},
    {"kind": "ordinary", "prompt": [9], "answer": [2, 1]},
]


@pytest.fixture(scope="module")
def model() -> Any:
    """A random Llama with a LoRA that does something."""
    return llama_with_lora(["q_proj", "up_proj"], vocabulary=40, std=0.5)


def expected(model: Any, kind: str) -> dict[str, float]:
    """The same one text at a time."""
    kl = was = now = tokens = 0.0
    for text in (t for t in TEXTS if t["kind"] == kind):
        ids = torch.tensor([[*text["prompt"], *text["answer"]]])
        start = len(text["prompt"]) - 1
        with torch.no_grad():
            q = model(input_ids=ids).logits[0, start:-1].log_softmax(-1)
            with model.disable_adapter():
                p = model(input_ids=ids).logits[0, start:-1].log_softmax(-1)
        answer = torch.tensor(text["answer"])[:, None]
        kl += float((p.exp() * (p - q)).sum())
        was, now = was + float(p.gather(1, answer).sum()), now + float(q.gather(1, answer).sum())
        tokens += len(answer)
    return {"kl": kl / tokens, "before": was / tokens, "now": now / tokens, "tokens": tokens}


def test_drift_is_the_divergence_of_each_token(model: Any) -> None:
    """Batches, padding and blocks change nothing."""
    measured = drift.measure(model, TEXTS)
    assert measured is not None
    for kind in ("guard", "ordinary"):
        assert measured[kind] == pytest.approx(expected(model, kind), rel=1e-3, abs=1e-5)
        assert measured[kind]["kl"] > 0


def test_packed_attention_is_put_aside_for_the_measurement(model: Any) -> None:
    """Watched texts are no pairs; the training goes on with its own attention afterwards."""
    base = model.get_base_model()
    base.set_attn_implementation(packed_pairs.ATTENTION)
    model.train()
    measured = drift.measure(model, TEXTS)
    assert base.config._attn_implementation == packed_pairs.ATTENTION
    assert model.training
    base.set_attn_implementation("sdpa")
    assert measured is not None
    assert measured["guard"] == pytest.approx(expected(model, "guard"), rel=1e-3, abs=1e-5)


def test_without_the_model_before_nothing_is_measured(model: Any) -> None:
    """Full tuning leaves nothing to compare with."""
    assert drift.measure(torch.nn.Linear(2, 2), TEXTS) is None
    assert drift.measure(model, []) is None


def test_watched_texts_are_read_as_they_were_written(tmp_path: Path) -> None:
    """One object a line."""
    path = tmp_path / "watched.jsonl"
    path.write_text("".join(json.dumps(t) + "\n" for t in TEXTS))
    assert drift.read_texts(path) == TEXTS


class Letters:
    """A renderer whose ids are code points."""

    def prompt_ids(self, messages: Any, _kwargs: Any = None) -> tuple[int, ...]:
        return (1, *map(ord, messages[-1].content))

    def answer_ids(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))


def test_guards_that_pass_and_ordinary_texts_are_watched() -> None:
    """No case that is trained on, and no answer that failed."""
    from harness.fix.watched import MAX_GUARDS, MAX_TOKENS, ORDINARY_TEXTS, watched_texts

    guards = [result(case(f"badcase1/g{i}", role="guard"), "Fine. " * 40) for i in range(30)]
    texts = watched_texts([*guards, result(case("badcase1/f"), "Not watched.")], Letters())  # type: ignore[arg-type]
    by_kind = {kind: [t for t in texts if t.kind == kind] for kind in ("guard", "ordinary")}
    assert len(by_kind["guard"]) == MAX_GUARDS
    assert len(by_kind["ordinary"]) == len(ORDINARY_TEXTS)
    assert all(isinstance(t, WatchedText) and t.prompt and 0 < len(t.answer) <= MAX_TOKENS for t in texts)
