"""A conversation with a model and its adapter, over the same seam as the tests: same prompt, same weights, any engine.

Engines return whole answers, and a chat shows them as they grow. So an answer is requested in slices of a few tokens,
each continuing from the ids so far. With prefix caching a slice costs little more than its tokens, and under greedy
decoding the slices are the tokens of one long answer. Not supported: beam search, which has no answer before its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.cases.decoding import Decoding
from harness.cases.model import Message
from harness.engines.base import Engine, Failure, Request
from harness.errors import EngineError
from harness.models.prompts import PromptRenderer
from harness.models.weights import AdapterWeights

__all__ = ["Chat", "Voice"]

_SLICE = 24
_UNFINISHED = "\ufffd"
"""What a tokenizer makes of bytes that the next token completes."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who answers: a name to show, and the weights on the model."""

    name: str
    weights: AdapterWeights | None


class Chat:
    """Holds the history; every answer is given by one voice and remembered."""

    def __init__(
        self, engine: Engine, renderer: PromptRenderer, voice: Voice, *, decoding: Decoding, system: str = ""
    ) -> None:
        """``decoding`` must be ``greedy`` or ``sample``; its ``max_tokens`` bounds one answer."""
        self.voice = voice
        self.history: list[Message] = []
        self.cut_off = False
        """Whether the last answer ended at its limit instead of by itself."""
        self._engine = engine
        self._renderer = renderer
        self._decoding = decoding
        self._system = system
        self._requests = 0

    def ask(self, text: str) -> Iterator[str]:
        """Put a question and yield the answer in pieces; both are part of the history once it is given whole."""
        question = Message("user", text)
        answer = ""
        for piece in self._answer([*self.history, question], self.voice):
            answer += piece
            yield piece
        self.history += [question, Message("assistant", answer)]

    def again(self, voice: Voice) -> str:
        """The answer of another voice to the last question, after the same history; not added to the history.

        Raises:
            LookupError: nothing was asked yet.
        """
        if not self.history:
            raise LookupError("nothing was asked yet")
        return "".join(self._answer(self.history[:-1], voice))

    def forget(self) -> None:
        """Clear the history."""
        self.history.clear()

    def _answer(self, turns: Sequence[Message], voice: Voice) -> Iterator[str]:
        system = [Message("system", self._system)] if self._system else []
        prompt = self._renderer.prompt_ids([*system, *turns])
        ids: list[int] = []
        shown, done = "", False
        while len(ids) < self._decoding.max_tokens:
            length = min(_SLICE, self._decoding.max_tokens - len(ids))
            # Another seed for every slice: the same one would draw the same numbers again.
            decoding = replace(self._decoding, max_tokens=length, seed=self._decoding.seed + self._requests)
            self._requests += 1
            request = Request(id=self._requests, prompt_ids=(*prompt, *ids), decoding=decoding, adapter=voice.weights)
            outcome = next(iter(self._engine.generate([request])))
            if isinstance(outcome, Failure):
                raise EngineError(f"no answer: {outcome.message}")
            first = not ids
            ids += outcome.token_ids
            done = outcome.finish_reason != "length" or not outcome.token_ids
            # A whole answer in one slice is the engine's own text; several are only right decoded together.
            text = outcome.text if first and done else self._renderer.tokenizer.decode(ids, skip_special_tokens=True)
            if not done:
                text = text.rstrip(_UNFINISHED)
            if text.startswith(shown):
                yield text[len(shown) :]
                shown = text
            if done:
                break
        self.cut_off = not done
