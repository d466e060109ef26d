"""Says of an answer that is still being written that it fails, as early as that is certain.

    watch = LoopWatch()
    for piece in stream:
        if watch.feed(piece):
            break

Certain is what the early end of a beam search rests on too: the answer holds a tandem run so long that the rule
``lasting`` fails it whatever follows (:func:`harness.judging.references.loop_units`). Other loops, which a longer
answer could still dilute, are left to the verdict on the whole. The last two units do not count, since the next piece
can still join them.

A look at the whole text costs a score, so a cheap test decides when to take one: the last characters must stand at some
distance before, and go on doing so for half the wanted length. The search's own test (engines/beam/proof.py) compares
tokens instead and takes a hundred times as long, which a step of a search does not notice and a server does.
``make bench-scores`` measures it. The object holds one answer and no lock: use one for each stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases.model import Case, Thresholds
from harness.engines.beam.proof import settled
from harness.errors import UsageError
from harness.judging.references import lone_case, loop_units
from harness.metrics.repetition import measure

__all__ = ["LoopWatch"]

_EVERY = 32
"""Characters between tests."""
_ANCHOR = 24
"""Characters at the end that must stand before."""
_UNFINISHED = "\ufffd"
"""What a tokenizer writes for a part of a character."""
_WINDOW = 8192
"""Characters in which they are looked for."""


class LoopWatch:
    """Watches one answer as it grows."""

    def __init__(self, case: Case | None = None, *, decode: Callable[[Sequence[int]], str] | None = None) -> None:
        """Watch for what fails ``case``, or any answer under the default thresholds.

        Args:
            case: its standard answer excuses runs of its own.
            decode: token ids to text, for :meth:`feed_tokens`.

        Raises:
            UsageError: the case's standard answer is itself a loop, so no answer can be judged.
        """
        units = loop_units(case or lone_case("stream", Thresholds()))
        if units is None:
            raise UsageError(f"{case.id if case else ''}: its standard answer is a loop; give a clean one")
        self.units = units
        """Units of a run that fails the answer."""
        self.failed = False
        """Whether the answer is certain to fail."""
        self._decode = decode
        self._ids: list[int] = []
        """The last tokens: those before ``_shown``, whose text is known, and those whose text is not yet whole."""
        self._shown = 0
        self._text = ""
        self._tested = 0
        self._look_at = 0

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._text

    def feed(self, piece: str) -> bool:
        """Take the next piece of text; returns whether the answer is now certain to fail."""
        self._text += piece
        return self._test()

    def feed_tokens(self, ids: Sequence[int]) -> bool:
        """Take the next token ids; returns whether the answer is now certain to fail.

        Raises:
            UsageError: no ``decode`` was given.
        """
        if self._decode is None:
            raise UsageError("LoopWatch.feed_tokens needs decode=, a function from token ids to text")
        # A token alone may be a part of a character, and its text may hang on the token before: only what the last
        # few tokens add to the text is decoded, as vLLM's detokenizer does.
        known = self._decode(self._ids[: self._shown])
        self._ids += ids
        text = self._decode(self._ids)
        # A part of a character is one such mark; two were written by the model.
        whole = not text.endswith(_UNFINISHED) or text.endswith(2 * _UNFINISHED)
        if len(text) > len(known) and whole:
            self._text += text[len(known) :]
            self._ids = self._ids[self._shown :]
            self._shown = len(self._ids)
        return self._test()

    def _test(self) -> bool:
        size = len(self._text)
        if self.failed or size - self._tested < _EVERY or size < self._look_at:
            return self.failed
        self._tested = size
        run = self._run()
        # A unit is a character at least, so a shorter run cannot do.
        if 2 * run >= self.units:
            (scores,) = measure([settled(self._text)])
            units = scores.values["lasting_units"]
            self.failed = units >= self.units
            # A run of u units in r characters reaches the wanted length after some r / u characters a missing unit.
            missing = (self.units - units) * run / max(units, 1.0)
            self._look_at = size + int(min(0.8 * missing, run))
        return self.failed

    def _run(self) -> int:
        """Characters at the end that stand at one distance before, with that distance; 0 for none."""
        text = self._text[-_WINDOW:]
        anchor = text[-_ANCHOR:]
        before = text.rfind(anchor, 0, len(text) - 1)
        if before < 0:
            return 0
        distance = len(text) - _ANCHOR - before
        low, high = 0, len(text) - distance
        # The longest end that equals what stands at that distance, by bisection over slices.
        while low < high:
            middle = (low + high + 1) // 2
            if text[-middle:] == text[-middle - distance : len(text) - distance]:
                low = middle
            else:
                high = middle - 1
        return low + distance
