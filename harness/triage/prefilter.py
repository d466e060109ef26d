"""Rejects answers that cannot be repeaters, at several times the speed at which answers are scored.

Every rule about repetition needs text that occurs twice. So the test looks for copies of six bytes or more, as the LZ4
compressor does: a small table remembers where a group of six bytes stood last, a match is followed to its end, and the
search goes on behind it. Digits count as one sign, so that "1. X 2. X" is a copy. An answer is suspect when one of
these values is reached:

    SHARE       copied bytes, as a share of the answer
    STRETCH     copied bytes of one stretch, less the bytes between its copies
    LONGEST     bytes of one copy
    TANDEM      bytes of a copy that follows its original without a gap
    TAIL        bytes of a copy that reaches the end
    DISTINCT    in a short text: fewer different groups of three bytes, in thousandths of its length

The values are chosen so that no repeater of the benchmark is missed (``make bench-triage``). Suspects are scored, so a
value that is too careful costs time and nothing else.

Trade-off: an answer that repeats an earlier turn of its conversation, and not itself, is not found.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, MutableSequence, Sequence
from functools import cache
from itertools import accumulate

from harness.metrics.kernels import COMPILE_AFTER

__all__ = ["MIN_CHARACTERS", "suspects"]

MIN_CHARACTERS = 16
"""Shorter answers cannot break a rule about repetition."""
SHARE = 0.33
STRETCH = 120
LONGEST = 90
TANDEM = 30
TAIL = 12
DISTINCT = 600
SHORT = 600
"""Bytes up to which the different groups of a text are counted."""
MIN_DISTINCT = 40
"""Bytes from which on."""
BYTE = 1 << 40
"""Weight of the last of six bytes."""
END = 8
"""Bytes from the end within which a copy reaches it."""
_SLOTS = 4096
_DIGITS = bytes(0x30 if 0x30 <= c <= 0x39 else c for c in range(256))


def suspects(texts: Sequence[str]) -> list[bool]:
    """For each text whether it has to be scored."""
    encoded = [text.encode("utf-8", "replace").translate(_DIGITS) for text in texts]
    bounds = [0, *accumulate(map(len, encoded))]
    data = b"".join(encoded)
    result = [0] * len(texts)
    if not data:
        return [False] * len(texts)
    if _compile_pays(len(data)):
        import numpy as np

        out = np.zeros(len(texts), dtype=np.int64)
        table = np.full(_SLOTS, -1, dtype=np.int64)
        _compiled()(np.frombuffer(data, dtype=np.uint8), np.array(bounds, dtype=np.int64), table, out)
        return [bool(value) for value in out]
    find_copies(data, bounds, [-1] * _SLOTS, result)
    return [bool(value) for value in result]


_seen = 0


def _compile_pays(size: int) -> bool:
    global _seen
    mode = os.environ.get("HARNESS_KERNELS", "")
    if mode in ("interpreted", "compiled"):
        return mode == "compiled"
    _seen += size
    return _seen >= COMPILE_AFTER and importlib.util.find_spec("numba") is not None


@cache
def _compiled() -> Callable[..., None]:
    from numba import njit

    kernel: Callable[..., None] = njit(cache=True, nogil=True)(find_copies)
    return kernel


def find_copies(
    data: Sequence[int], bounds: Sequence[int], table: MutableSequence[int], out: MutableSequence[int]
) -> None:
    """Decide for each text of a batch whether it is suspect.

    Args:
        data: the bytes of all texts.
        bounds: where each text begins, and the end of the last.
        table: scratch of 4,096 entries, all -1: where a group of bytes stood last.
        out: per text, 1 for a suspect.
    """
    for d in range(len(bounds) - 1):
        low = bounds[d]
        high = bounds[d + 1]
        i = low
        copied = 0
        stretch = 0
        suspect = False
        # Six bytes as one number, the first one lowest; 64 bits hold each step.
        key = 0
        for k in range(low, min(low + 5, high)):
            key = (key >> 8) + data[k] * BYTE
        while i + 6 <= high and not suspect:
            key = (key >> 8) + data[i + 5] * BYTE
            slot = (((key & 16777215) * 506832829 + (key >> 24) * 2654435761) >> 20) & 4095
            j = table[slot]
            table[slot] = i
            if (
                j >= low
                and data[j] == data[i]
                and data[j + 1] == data[i + 1]
                and data[j + 2] == data[i + 2]
                and data[j + 3] == data[i + 3]
                and data[j + 4] == data[i + 4]
                and data[j + 5] == data[i + 5]
            ):
                k = 6
                while i + k < high and data[i + k] == data[j + k]:
                    k += 1
                copied += k
                stretch += k
                suspect = (
                    stretch >= STRETCH
                    or k >= LONGEST
                    or (k >= TANDEM and k >= i - j)
                    or (k >= TAIL and i + k >= high - END)
                )
                i += k
                # The five bytes before the next one to come.
                key = 0
                for p in range(i, min(i + 5, high)):
                    key = (key >> 8) + data[p] * BYTE
            else:
                if stretch > 0:
                    stretch -= 1
                i += 1
        if not suspect:
            suspect = copied >= SHARE * (high - low) and copied > 0
        if not suspect and MIN_DISTINCT <= high - low <= SHORT:
            # Negative marks, which no place is: each text has its own.
            mark = -2 - d
            distinct = 0
            for p in range(low, high - 2):
                slot = ((data[p] * 33 + data[p + 1]) * 33 + data[p + 2]) & 4095
                if table[slot] != mark:
                    table[slot] = mark
                    distinct += 1
            suspect = distinct * 1000 < DISTINCT * (high - low)
        if suspect:
            out[d] = 1
