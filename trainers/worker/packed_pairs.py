"""Preference pairs in one row of tokens: what two answers share is computed once, and nothing but attention is padded.

    prompt and shared beginning | rest of the chosen answer | rest of the rejected answer | the next pair ...

All layers but attention work on tokens one by one, so the row saves them the second copy of the prompt and the padding
(arXiv 2410.20305 shares prompts of pairs, with a mask over the row). Attention gets the answers apart, each behind its
own copy of the shared part, and is causal, so it needs no mask and may use a flash kernel. Logits are computed at
answer tokens only, and their log-softmax a block of rows at a time: no float32 copy of all logits ever exists.

Trade-off: the attention of a model is replaced by this module's, so only models that let it be replaced, and whose
layers all attend to the whole text, are packed (:func:`packable`); the caller trains others as they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

__all__ = ["ATTENTION", "Packed", "attend_to", "pack", "packable", "token_log_probs"]

IGNORED = -100
"""Label of a token that is not counted."""
ATTENTION = "packed_pairs"
"""Name of this module's attention among those of transformers."""
_BLOCK = 64
"""Rows of logits whose log-softmax is computed at once: 64 x 50,000 in float32 stay in a processor's cache."""
_MULTIPLE = 128
"""Sizes are padded to a multiple of this. On a CPU kernels are compiled for each new shape, and blocks of memory of
ever new sizes leave gaps between them that no later one fits into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Pairs in one row of ``n`` tokens, of which ``m`` log-probabilities count."""

    ids: torch.Tensor
    """[1, n]"""
    positions: torch.Tensor
    """[1, n]"""
    rows: torch.Tensor
    """[m]: places in the row whose logits predict the targets."""
    targets: torch.Tensor
    """[m]: token ids."""
    owners: torch.Tensor
    """[m]: the answer that a target belongs to: chosen answers by number, then the rejected ones; what fills up belongs
    to none, and has the number after them."""
    used: int
    """Tokens of the row that are not padding, which is at its end."""
    spread: torch.Tensor
    """[answers, length]: where each answer's tokens are in the row; padding repeats its first token."""
    home: torch.Tensor
    """[n]: where each token of the row is in ``spread``, flattened; a shared one in the chosen answer."""
    shared: torch.Tensor
    """[s]: places in the row of the tokens that both answers have."""
    second: torch.Tensor
    """[s]: where these are in the rejected answers of ``spread``, flattened."""

    def to(self, device: Any) -> Packed:
        """The same on a device."""
        moved = {f.name: v.to(device) for f in fields(self) if isinstance(v := getattr(self, f.name), torch.Tensor)}
        return replace(self, **moved)


Answer = tuple[Sequence[int], Sequence[int]]
"""Ids with the prompt, and a label for each; -100 is not counted."""


def pack(chosen: Sequence[Answer], rejected: Sequence[Answer]) -> Packed:
    """Pack pairs into one row, filled up with id 0."""
    ids: list[int] = []
    positions: list[int] = []
    counted: list[tuple[int, int, int]] = []
    places: list[list[int]] = [[] for _ in range(2 * len(chosen))]
    shared: list[int] = []
    for number, ((good, good_labels), (bad, bad_labels)) in enumerate(zip(chosen, rejected, strict=True)):
        start, common = len(ids), _common(good, bad)
        ids += [*good, *bad[common:]]
        positions += [*range(len(good)), *range(common, len(bad))]
        first = list(range(start, start + len(good)))
        other = [*first[:common], *range(start + len(good), len(ids))]
        for owner, labels, where in ((number, good_labels, first), (number + len(chosen), bad_labels, other)):
            places[owner] = where
            counted += [(where[i - 1], labels[i], owner) for i in range(1, len(labels)) if labels[i] != IGNORED]
        shared += first[:common]
    used = len(ids)
    row = _rounded(used)
    length = _rounded(max(map(len, places)))
    spread = torch.zeros(len(places), length, dtype=torch.long)
    for number, where in enumerate(places):
        spread[number, : len(where)] = torch.tensor(where)
        spread[number, len(where) :] = where[0]
    home = torch.zeros(row, dtype=torch.long)
    both = torch.tensor(shared, dtype=torch.long)
    second = torch.zeros(row, dtype=torch.long)
    # Rejected answers first: a shared token's home is in the chosen one.
    for number in reversed(range(len(places))):
        where = torch.tensor(places[number])
        flat = number * length + torch.arange(len(where))
        home[where] = flat
        if number >= len(chosen):
            second[where] = flat
    # What fills up is computed and dropped.
    counted += [(0, 0, len(places))] * (_rounded(len(counted)) - len(counted))
    rows, targets, owners = zip(*counted, strict=True) if counted else ((), (), ())
    return Packed(
        ids=torch.tensor([ids + [0] * (row - used)]),
        positions=torch.tensor([positions + [0] * (row - used)]),
        rows=torch.tensor(rows, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        owners=torch.tensor(owners, dtype=torch.long),
        used=used,
        spread=spread,
        home=home,
        shared=both,
        second=second[both],
    )


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning; at least one token of each answer is left."""
    most = min(len(one), len(other)) - 1
    return next((i for i in range(most) if one[i] != other[i]), most)


def _rounded(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def packable(model: Any) -> bool:
    """Whether a model's attention can be replaced, and every layer attends to the whole text."""
    config = model.config
    kinds = getattr(config, "layer_types", None) or ()
    whole = all(k == "full_attention" for k in kinds) if kinds else not getattr(config, "sliding_window", None)
    return whole and bool(getattr(model, "_supports_attention_backend", False))


_current: list[Packed] = []
"""The pairs that the next forward pass is about. A recomputation in the backward pass is about the same ones."""


def attend_to(packed: Packed) -> None:
    """Say which pairs the model's next forward pass, and the backward pass after it, are about."""
    _current[:] = [packed]


def attention(
    _module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _mask: Any, *,
    scaling: float | None = None, dropout: float = 0.0, **_: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Transformers' attention interface: [1, heads, n, size] in, [1, n, heads, size] out.

    Raises:
        ValueError: the row is not that of :func:`attend_to`, or the model asks for what packed rows do not have.
    """
    (packed,) = _current
    if dropout or query.shape[0] != 1 or query.shape[2] != len(packed.home):
        raise ValueError("packed pairs: attention without dropout over the row that was announced, and nothing else")
    heads = query.shape[1]
    parts = [_apart(t, packed) for t in (query, key, value)]
    answers = torch.nn.functional.scaled_dot_product_attention(
        *parts, is_causal=True, scale=scaling, enable_gqa=key.shape[1] != heads
    )
    flat = answers.transpose(1, 2).reshape(-1, heads * answers.shape[-1])
    return flat.index_select(0, packed.home).view(1, len(packed.home), heads, -1), None


def _apart(states: torch.Tensor, packed: Packed) -> torch.Tensor:
    """[1, heads, n, size] to [answers, heads, length, size]."""
    _, heads, length, size = states.shape
    row = states.transpose(1, 2).reshape(length, heads * size)
    apart = _Spread.apply(row, packed)
    return apart.view(*packed.spread.shape, heads, size).transpose(1, 2)


class _Spread(torch.autograd.Function):  # type: ignore[misc]
    """``row[spread]``, whose gradient is gathered and not scattered: a token is in two answers at most."""

    @staticmethod
    def forward(ctx: Any, row: torch.Tensor, packed: Packed) -> torch.Tensor:
        ctx.packed = packed
        return row.index_select(0, packed.spread.flatten())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        packed: Packed = ctx.packed
        total = gradient.index_select(0, packed.home)
        total[packed.used :] = 0
        total[packed.shared] += gradient.index_select(0, packed.second)
        return total, None


def token_log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probability of each row's target.

    Args:
        logits: [m, vocabulary], of any float type.
        targets: [m]

    Returns:
        [m], float32
    """
    return _TokenLogProbs.apply(logits, targets)


class _TokenLogProbs(torch.autograd.Function):  # type: ignore[misc]
    """``log_softmax(logits)[i, targets[i]]``, with one block of rows in float32 at a time."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        found, norms = [], []
        for start in range(0, len(targets), _BLOCK):
            block = logits[start : start + _BLOCK].float()
            norms.append(torch.logsumexp(block, -1))
            found.append(block.gather(1, targets[start : start + _BLOCK, None])[:, 0] - norms[-1])
        empty = logits.new_zeros(0, dtype=torch.float32)
        ctx.save_for_backward(logits, targets, torch.cat(norms) if norms else empty)
        return torch.cat(found) if found else empty

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, targets, norms = ctx.saved_tensors
        result = torch.empty_like(logits)
        for start in range(0, len(targets), _BLOCK):
            stop = start + _BLOCK
            weight = gradient[start:stop, None].float()
            block = torch.exp(logits[start:stop].float() - norms[start:stop, None]).mul_(-weight)
            result[start:stop] = block.scatter_add_(1, targets[start:stop, None], weight)
        return result, None
