"""Stop strings for a search over tokens: whether the newest token completes one.

Invariant: asked about every token in turn, it answers True exactly at the first token with which the generated text
(special tokens included, the prompt excluded) contains a stop string. Only tokens that could end a stop string are
decoded, because a search asks about every candidate of every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.engines.beam.search import Hypothesis

__all__ = ["StopStrings", "cut_at"]

_BROKEN = "\ufffd"
"""What a decoder shows for a token that is only a part of a character."""


class StopStrings:
    """Callable on a :class:`Hypothesis`; holds the text of the tokens that it has seen."""

    def __init__(self, stops: Sequence[str], decode: Callable[[list[int]], str]) -> None:
        """Watch for ``stops`` in what ``decode`` makes of token ids (it must keep special tokens)."""
        self._stops = tuple(stops)
        self._decode = decode
        self._lasts = frozenset(stop[-1] for stop in stops)
        # A token is at least one byte of text, and up to three bytes may lead into the first whole character.
        self._window = max(len(stop.encode()) for stop in stops) + 4
        self._able: dict[int, bool] = {}

    def __call__(self, hypothesis: Hypothesis) -> bool:
        if not self._may_end(hypothesis.token):
            return False
        text = self._decode(hypothesis.last(self._window))
        return any(stop in text for stop in self._stops)

    def _may_end(self, token: int) -> bool:
        able = self._able.get(token)
        if able is None:
            piece = self._decode([token])
            # Decoders may drop a space at either end, so a piece says nothing about stops that end in white space.
            able = _BROKEN in piece or any(last.isspace() or last in piece for last in self._lasts)
            self._able[token] = able
        return able


def cut_at(text: str, stops: Sequence[str]) -> str:
    """``text`` up to the earliest stop string."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
