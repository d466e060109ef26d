"""The few parts of vLLM's outputs and tokenizer that a beam run reads, for runs without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Entry", "Output", "Words"]


@dataclass(slots=True)
class Entry:
    """A token's log-probability (nats)."""

    logprob: float


@dataclass(slots=True)
class Output:
    """vLLM's CompletionOutput: the tokens that came, and the row of each."""

    token_ids: list[int]
    logprobs: list[dict[int, Entry]]
    finish_reason: str | None = "length"


class Words:
    """A tokenizer that writes ids as numbers."""

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return " ".join(map(str, token_ids))
