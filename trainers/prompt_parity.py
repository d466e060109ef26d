"""Proves that a test and a training see the same ids, for one model, before and after every training.

Dialogues of every shape are rendered by the harness (as in a test run) and put into the job. The trainer's environment,
with its own version of transformers, renders them with the model's tokenizer before it trains, and with the tokenizer
that it wrote beside the adapter afterwards. The data on disk are compared with what was asked for. One differing id
stops the training, and the message shows both sides where they differ. A shape that the template refuses on the
harness's side (some take no system turn) is left out, since no case of that shape could run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cases.model import Message
from harness.errors import HarnessError
from trainers.examples import PairLike, Renderer

__all__ = ["Probe", "probes"]

_TEXT = "Zähle bis 3:\n1, 2 … 诗经，关关雎鸠。 \tx == y  (don't stop)"
_ANSWER = " 一 two III\n\n- end."


@dataclass(frozen=True, slots=True)
class Probe:
    """One dialogue with the ids that the tests' renderer makes of it."""

    messages: tuple[Message, ...]
    prompt_ids: tuple[int, ...]
    answer: str
    answer_ids: tuple[int, ...]
    """With the end-of-turn id."""
    chat_template: str | None = None
    """A template that takes the place of the tokenizer's own."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, object]:
        """As plain data, for the job."""
        return {
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            "prompt": list(self.prompt_ids), "answer": self.answer, "answer_ids": list(self.answer_ids),
            "chat_template": self.chat_template, "chat_template_kwargs": dict(self.chat_template_kwargs),
        }  # fmt: skip


def probes(renderer: Renderer, extra: Sequence[PairLike] = ()) -> tuple[Probe, ...]:
    """Dialogues of four shapes (and the prompts of ``extra`` pairs), rendered; at least one shape must be possible.

    Raises:
        HarnessError: the renderer refuses even a single user turn.
    """
    user, again = Message("user", _TEXT), Message("user", "And now?")
    system, reply = Message("system", "Be brief. 简短。"), Message("assistant", "1, 2, 3.")
    shapes: list[tuple[tuple[Message, ...], Mapping[str, Any]]] = [
        (shape, {}) for shape in ((user,), (system, user), (user, reply, again), (system, user, reply, again))
    ]
    shapes += [(pair.messages, pair.chat_template_kwargs) for pair in extra]
    answer = (*renderer.answer_ids(_ANSWER), renderer.end_of_turn)

    def probe(messages: tuple[Message, ...], kwargs: Mapping[str, Any]) -> Probe:
        return Probe(
            messages, tuple(renderer.prompt_ids(messages, kwargs)), _ANSWER, answer,
            renderer.chat_template, {**renderer.chat_template_kwargs, **kwargs},
        )  # fmt: skip

    results = [probe(*shapes[0])]
    for shape in shapes[1:]:
        with contextlib.suppress(HarnessError):
            results.append(probe(*shape))
    return tuple(results)
