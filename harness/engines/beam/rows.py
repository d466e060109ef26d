"""The top of one next-token distribution, in one fixed order.

Invariant: a row is sorted by log-probability, highest first, and equal ones by token id. A search over rows therefore
never depends on the order in which an engine lists ties (``torch.topk`` promises none).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Row", "make_row"]


class Row(NamedTuple):
    """The likeliest next tokens after one prefix."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Nats, one per token, falling."""


def make_row(pairs: Iterable[tuple[int, float]], width: int) -> Row:
    """The ``width`` best of (token, log-probability) ``pairs`` in the fixed order; a token given twice counts once."""
    best = sorted(dict(pairs).items(), key=lambda pair: (-pair[1], pair[0]))[:width]
    return Row(tuple(token for token, _ in best), tuple(logprob for _, logprob in best))
