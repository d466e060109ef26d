"""Cuts an answer into parts that a person can read: what is new, what repeats, what was folded away.

Two copies and a count describe a loop of 4,096 tokens. Every report shows answers through this module, so terminal and
HTML mark the same places. Invariant: nothing is reordered or invented. The parts that hold the answer's own text are
slices of it, in order, and a fold says how much it hides.

Not supported: exact borders between copies of inexact loops. Copies differ in length there, and the first copy's length
is used throughout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.language import tr
from harness.metrics.types import Loop, LoopKind

__all__ = ["Part", "PartKind", "count_units", "describe_loop", "split_answer"]

PartKind = Literal["plain", "first", "repeat", "fold", "cut"]

_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_VISIBLE = re.compile(r"\S")
_REPEAT_NOTES: dict[LoopKind, str] = {
    "exact": "the same {unit}",
    "characters": "the same {unit}",
    "numbered": "the same {unit} with other numbers",
    "templated": "nearly the same {unit}",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an answer."""

    kind: PartKind
    """``plain``; ``first`` copy of a loop; ``repeat``; ``fold``: copies left out; ``cut``: other text left out."""
    text: str
    """The answer's own characters; for ``fold`` and ``cut`` the note that stands for what was left out."""
    hidden: int = 0
    """Characters left out (``fold`` and ``cut`` only)."""


def split_answer(
    answer: str, loops: Sequence[Loop], *, fold_over: int = 320, cut_over: int | None = None
) -> tuple[Part, ...]:
    """Cut ``answer`` at its loops; where loops overlap, the one named first wins.

    Args:
        answer: the whole answer.
        loops: as measured; offsets outside the answer are clamped.
        fold_over: repeated stretches longer than this many characters are folded, their first and last piece shown.
        cut_over: plain stretches longer than this lose their middle; None keeps them whole.
    """
    parts: list[Part] = []
    position = 0
    for start, end, loop in _apart(loops, len(answer)):
        again = start + loop.period
        parts += _plain(answer[position:start], cut_over)
        # A first copy of pages would bury the rest as surely as the loop itself.
        parts += [Part("first" if p.kind == "plain" else p.kind, p.text, p.hidden)
                  for p in _plain(answer[start:again], cut_over)]  # fmt: skip
        parts += _repeats(answer[again:end], loop, fold_over)
        position = end
    parts += _plain(answer[position:], cut_over)
    return tuple(parts)


def describe_loop(answer: str, loop: Loop) -> str:
    """One line: how long one copy is and how often it stands there, such as ``14 words, 23.5 times``."""
    copies = f"{loop.copies:.1f}".removesuffix(".0")
    unit = count_units(answer[loop.start : loop.start + loop.period], loop.kind)
    return tr("{unit}, {copies} times", unit=unit, copies=copies)


def count_units(text: str, kind: LoopKind = "exact") -> str:
    """The length of a text in words, or in characters where words are not separated by spaces."""
    visible = len(_VISIBLE.findall(text))
    if kind == "characters" or len(_WIDE.findall(text)) * 2 >= visible:
        number = visible or len(text)
        return tr("1 character") if number == 1 else tr("{n} characters", n=f"{number:,}")
    number = len(text.split())
    return tr("1 word") if number == 1 else tr("{n} words", n=f"{number:,}")


def _apart(loops: Sequence[Loop], length: int) -> list[tuple[int, int, Loop]]:
    kept: list[tuple[int, int, Loop]] = []
    for loop in loops:
        start, end = max(loop.start, 0), min(loop.end, length)
        if loop.period > 0 and start + loop.period < end and all(end <= s or start >= e for s, e, _ in kept):
            kept.append((start, end, loop))
    return sorted(kept, key=lambda k: k[0])


def _plain(text: str, cut_over: int | None) -> list[Part]:
    if not text:
        return []
    if cut_over is None or len(text) <= cut_over:
        return [Part("plain", text)]
    edge = max(cut_over // 2, 1)
    hidden = len(text) - 2 * edge
    if hidden <= 0:
        return [Part("plain", text)]
    note = tr("{n} characters not shown", n=f"{hidden:,}")
    return [Part("plain", text[:edge]), Part("cut", note, hidden), Part("plain", text[-edge:])]


def _repeats(text: str, loop: Loop, fold_over: int) -> list[Part]:
    period = loop.period
    head = text[:period] if period <= fold_over else ""
    rest = len(text) - len(head)
    last = rest % period or (period if loop.kind not in ("exact", "characters") else 0)
    tail = text[len(text) - min(last, rest, fold_over) :] if last else ""
    hidden = rest - len(tail)
    times = max(round(hidden / period), 1)
    if len(text) <= fold_over or hidden < period:
        return [Part("repeat", text)]
    copy = count_units(text[:period], loop.kind)
    same = tr(_REPEAT_NOTES[loop.kind], unit=copy)
    note = tr("{same} 1 more time", same=same) if times == 1 else tr("{same} {n} more times", same=same, n=f"{times:,}")
    kept = [Part("repeat", head)] if head else []
    return [*kept, Part("fold", note, hidden), *([Part("repeat", tail)] if tail else [])]
