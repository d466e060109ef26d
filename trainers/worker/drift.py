"""How far a training has moved the model on texts that it was not trained on, at every checkpoint.

    kl       mean over the tokens of KL(before || now): sum over the vocabulary of p (log p - log q), in nats a token
    before   mean log-probability of the texts' tokens by the model that the training began with
    now      the same by the model as it is

The model before is the model with its new LoRA switched off, so both are at hand in the training's own process, and the
sum runs over the whole vocabulary. Not supported: full tuning, and training a parent's own LoRA further; the model
before is gone there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

__all__ = ["measure", "read_texts"]

_TEXTS = 4
"""Texts in one forward pass."""
_BLOCK = 64
"""Rows of logits that are compared at once."""
Text = dict[str, Any]
"""``kind``, ``prompt`` and ``answer``: ids; only the answer is measured."""


def read_texts(path: Path) -> list[Text]:
    """One JSON object a line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def measure(model: Any, texts: Sequence[Text]) -> dict[str, dict[str, float]] | None:
    """``kl``, ``before``, ``now`` and ``tokens`` by the texts' kind; None where the model before is not at hand.

    All processes of a training call it together: a forward pass may need every one of them.
    """
    off: Callable[[], Any] | None = getattr(model, "disable_adapter", None)
    if off is None or not texts:
        return None
    training = model.training
    model.eval()
    sums: dict[str, list[float]] = {}
    try:
        with torch.no_grad(), _own_attention(model):
            # Texts of like length together: padding is computed for nothing.
            ordered = sorted(texts, key=lambda t: len(t["prompt"]) + len(t["answer"]))
            for start in range(0, len(ordered), _TEXTS):
                some = ordered[start : start + _TEXTS]
                with off():
                    before = _logits(model, some)
                for text, old, new in zip(some, before, _logits(model, some), strict=True):
                    total = sums.setdefault(text["kind"], [0.0, 0.0, 0.0, 0.0])
                    for i, value in enumerate(_compare(old, new, text["answer"])):
                        total[i] += value
    finally:
        model.train(training)
    return {
        kind: {"kl": kl / n, "before": was / n, "now": now / n, "tokens": n} for kind, (kl, was, now, n) in sums.items()
    }


def _logits(model: Any, texts: Sequence[Text]) -> list[torch.Tensor]:
    """[answer's length, vocabulary] for each text."""
    rows = [[*t["prompt"], *t["answer"]] for t in texts]
    length = max(map(len, rows))
    device = next(model.parameters()).device
    ids = torch.tensor([r + [0] * (length - len(r)) for r in rows], device=device)
    mask = torch.tensor([[1] * len(r) + [0] * (length - len(r)) for r in rows], device=device)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, return_dict=True).logits
    spans = [(len(t["prompt"]) - 1, len(t["prompt"]) + len(t["answer"]) - 1) for t in texts]
    return [row[start:end] for row, (start, end) in zip(logits, spans, strict=True)]


def _compare(old: torch.Tensor, new: torch.Tensor, answer: Sequence[int]) -> tuple[float, float, float, float]:
    """Sums over an answer's tokens: divergence, log-probability before and now, and their number."""
    targets = torch.tensor(answer, device=old.device)
    kl = was = now = 0.0
    for part in _blocks(len(answer)):
        p, q = (side[part].float().log_softmax(-1) for side in (old, new))
        kl += float((p.exp() * (p - q)).sum())
        was += float(p.gather(1, targets[part, None]).sum())
        now += float(q.gather(1, targets[part, None]).sum())
    return kl, was, now, float(len(answer))


def _blocks(length: int) -> Iterator[slice]:
    for start in range(0, length, _BLOCK):
        yield slice(start, start + _BLOCK)


def _own_attention(model: Any) -> Any:
    """The model's attention as it came, where packed pairs have replaced it."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    name = getattr(base.config, "_attn_implementation", "")
    # The name is packed_pairs.ATTENTION; the modules here are loaded one by one and import none of the others.
    return _Swapped(base, name) if name == "packed_pairs" else nullcontext()


class _Swapped:
    def __init__(self, base: Any, name: str) -> None:
        self._base, self._name = base, name

    def __enter__(self) -> None:
        self._base.set_attn_implementation("sdpa")

    def __exit__(self, *_: object) -> None:
        self._base.set_attn_implementation(self._name)
