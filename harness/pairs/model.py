"""One preference pair, with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.cases.model import Message

__all__ = ["Origin", "Pair"]

Origin = Literal["standard", "own", "branch", "end", "replay", "hand-made"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A conversation with a preferred and a rejected answer."""

    case_id: str
    """The case that it was made from."""
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    origin: Origin
    """``standard``: chosen is the standard answer; ``own``: a clean answer of the model's own; ``branch``: the rejected
    answer up to where its loop begins, then a clean continuation; ``end``: the beginning of an answer of the model's
    own that was cut off, ended, against its going on; ``replay``: a good answer of the model's
    own against its looped copy or its early end; ``hand-made``: written by a person."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Arguments of the chat template for the prompt, as the case has them."""
    rejected_finished: bool = False
    """Whether the model itself ended the rejected answer. A cut-off answer has no end-of-turn token, and training that
    token down after a loop would teach the model to go on looping."""

    fault_at: int = 0
    """Characters of the rejected answer before its fault: a loop's second copy, a forbidden word. Only what follows is
    unlearned, since what comes before it is as sound as any answer's beginning. 0: the whole answer is at fault."""

    chosen_from: int = 0
    """Characters of the chosen answer that are not learnt: of an ``end`` all of them, so that only the end itself is.
    0: the whole answer is learnt."""

    @property
    def prompt(self) -> str:
        """The last user turn."""
        return self.messages[-1].content
