"""The sound early FAIL: every hypothesis that can still win already holds a loop that no continuation can undo.

The proven fact is monotone in the prefix: "the answer holds a tandem run (three copies or more of one period, without a
gap) of at least so many units". Text grows only at its end, a run inside it stays, and the longest run of the whole
text is at least as long. Once the fact is true of a prefix, it is true of every answer with that prefix. The winner is
the best finished hypothesis or descends from a live one that can still beat it (``BeamSearch.contenders``). When the
fact is true of all of these, it is true of the winner. A share of the text is no such fact: clean text can follow a
loop and dilute it.

The measure is the scorer's own (harness/metrics), on the text that would be scored. The last two units and any numerals
before them do not count, because the next token can still join them. A cheap test on the tokens decides when to measure
at all. It may miss a loop, which costs time and never changes a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.engines.beam.search import BeamSearch, Hypothesis
from harness.metrics.kernels import unit_bounds
from harness.metrics.repetition import measure
from harness.metrics.units import DRAWABLE

__all__ = ["LoopProof", "settled", "tail_run"]

_EVERY = 8
"""Steps between looks; a cut comes that much late at most."""
_WINDOW = 1024
"""Tokens at the end of a hypothesis that a look takes in."""
_MIN_TOKENS = 12
"""Shortest run of tokens, and of units, that is looked at: the scorer knows no shorter ones."""
_NUMERALS = frozenset("〇零一二三四五六七八九十百千第" + DRAWABLE)
"""What the scorer joins to one number, or to one drawn line, or not, as the text after it has it."""


def tail_run(tokens: Sequence[int]) -> int:
    """Length of the longest run of three copies or more that ends with the last token; 0: none. Linear time."""
    back = tokens[::-1]
    n = len(back)
    # Z-algorithm (Gusfield 1997, 1.4): z[p] is how far back[p:] agrees with back, so p + z[p] tokens have period p.
    z = [0] * n
    left = right = best = 0
    for p in range(1, n):
        length = min(right - p, z[p - left]) if p < right else 0
        while p + length < n and back[length] == back[p + length]:
            length += 1
        z[p] = length
        if p + length > right:
            left, right = p, p + length
        if length >= 2 * p and p + length > best:
            best = p + length
    return best


def settled(text: str) -> str:
    """The part of an unfinished text whose units are the same in every text that begins with it."""
    text = text.rstrip("\ufffd")
    bounds = unit_bounds(text)
    kept = len(bounds) - 2
    # Only what touches its follower can still be joined to it.
    while kept > 0 and text[bounds[kept - 1][0]] in _NUMERALS and bounds[kept - 1][1] == bounds[kept][0]:
        kept -= 1
    return text[: bounds[kept - 1][1]] if kept > 0 else ""


class LoopProof:
    """Decides whether FAIL is certain. One per request."""

    def __init__(self, units: float, text: Callable[[Sequence[int]], str]) -> None:
        """Prove runs of at least ``units`` mixed units.

        Args:
            units: length of a run that the verdict fails whatever follows.
            text: what the scorer would be given for these generated ids.
        """
        self._units = units
        self._text = text

    def __call__(self, search: BeamSearch) -> bool:
        """Whether every possible winner of ``search`` fails; looks at every eighth step only."""
        return search.steps % _EVERY == 0 and all(map(self._proven, search.contenders()))

    def of(self, ids: Sequence[int]) -> bool:
        """Whether every answer that begins with these generated ids fails."""
        return self._measured(ids) >= self._units

    def of_growing(self, ids: Sequence[int]) -> bool:
        """:meth:`of` for an answer that grows by one token a call: looks rarely, and only where a loop ends it."""
        return len(ids) % _EVERY == 0 and self._suspicious(ids[-_WINDOW:]) > 0 and self.of(ids)

    def _suspicious(self, tail: Sequence[int]) -> int:
        run = tail_run(tail)
        return run if run >= max(_MIN_TOKENS, self._units / 2) else 0

    def _proven(self, hypothesis: Hypothesis) -> bool:
        if hypothesis.proven:
            return True
        if hypothesis.length < hypothesis.look_at:
            return False
        run = self._suspicious(hypothesis.last(_WINDOW))
        if not run:
            return False
        units = self._measured(hypothesis.tokens())
        hypothesis.proven = units >= self._units
        # A run of u units in r tokens reaches the wanted length after some r/u tokens a missing unit.
        missing = (self._units - units) * run / max(units, 1.0)
        hypothesis.look_at = hypothesis.length + int(min(0.8 * missing, run))
        return hypothesis.proven

    def _measured(self, ids: Sequence[int]) -> float:
        """Units of the longest run in the settled text."""
        (scores,) = measure([settled(self._text(ids))])
        return scores.values["lasting_units"]
