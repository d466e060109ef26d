"""Runs the counting kernels on batches of texts: interpreted for a few texts, compiled for many, with equal results.

The kernels (units, ngrams, tandem, templates) are plain Python on integer arrays. On lists they need 2 to 8 ms
a page, at once; numba compiles the same source to some 60 us a page, after a second from its cache or four seconds
the first time. So a process starts interpreted and changes over when it has seen ``COMPILE_AFTER`` characters.
Invariant: which one ran is invisible in the numbers. Each kernel file is compiled on its own, because numba's cache
looks only at the time stamp of the file that a function is in.

Without numba everything works, slowly. ``HARNESS_KERNELS=interpreted`` or ``compiled`` decides it instead.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, cast

from harness.metrics import ngrams, tandem, templates, units

__all__ = ["BATCH", "COMPILE_AFTER", "Counts", "count", "prepare", "unit_bounds"]

COMPILE_AFTER = 1_000_000
"""Characters after which compiling pays: about a second of interpreted work."""
BATCH = 65_536
"""Characters a batch: its arrays fit the second-level cache."""
MIN_RUN_UNITS = 12
MIN_RUN_CHARACTERS = 24
MIN_CHARACTER_PERIOD = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """What the kernels found in a batch of texts; plain lists, laid out as their docstrings say."""

    bounds: list[int]
    offsets: list[int]
    starts: Sequence[int]
    ends: Sequence[int]
    kinds: Sequence[int]
    numbers: list[int]
    contents: list[int]
    """Units that are words or numbers, per text."""
    shares: list[float]
    runs: tuple[list[int], ...]
    """On units, on units with digits taken for one sign, on characters."""
    found: tuple[list[int], ...]
    spans: list[int]
    template_shares: list[float]


_New = Callable[..., Any]


class _State(threading.local):
    """Per thread: characters seen so far, and scratch arrays that grow."""

    def __init__(self) -> None:
        self.seen = 0
        self.arrays: dict[str, Any] = {}


_state = _State()
_lock = threading.Lock()
_compiled: dict[str, Callable[..., None]] = {}


def prepare(characters: int) -> None:
    """Say that this many characters are about to be scored, so that compiling happens first or not at all."""
    _state.seen += characters


def _use_compiled(characters: int) -> bool:
    mode = os.environ.get("HARNESS_KERNELS", "")
    if mode in ("interpreted", "compiled"):
        return mode == "compiled"
    _state.seen += characters
    return bool(_compiled) or (_state.seen >= COMPILE_AFTER and importlib.util.find_spec("numba") is not None)


def _compile() -> dict[str, Callable[..., None]]:
    with _lock:
        if not _compiled:
            from numba import njit
            from numba.extending import register_jitable

            for helper in (ngrams.refine, ngrams.sort_trigrams, templates.count_bits):
                register_jitable(helper)
            made = {
                kernel.__name__: njit(cache=True, nogil=True)(kernel)
                for kernel in (units.split_units, ngrams.count_repeats, tandem.find_runs, templates.find_templates)
            }
            _compiled.update(made)
    return _compiled


def count(texts: Sequence[str]) -> Counts:
    """Run all kernels on texts, together at most some ``BATCH`` characters (longer ones alone)."""
    bounds = [0, *accumulate(map(len, texts))]
    return _count_compiled(texts, bounds) if _use_compiled(bounds[-1]) else _count_interpreted(texts, bounds)


def unit_bounds(text: str) -> list[tuple[int, int]]:
    """Start and end of every unit of a text, as character offsets."""
    counts = count([text])
    n = counts.offsets[1]
    return [(int(a), int(b)) for a, b in zip(counts.starts[:n], counts.ends[:n], strict=True)]


def _slots(bounds: Sequence[int]) -> int:
    longest = max((int(b - a) for a, b in pairwise(bounds)), default=0)
    return max(16, 1 << (2 * longest - 1).bit_length()) if longest else 16


def _count_interpreted(texts: Sequence[str], bounds: list[int]) -> Counts:
    codes = [ord(c) for c in "".join(texts)]
    classes = units.character_classes()

    def new(_: str, size: int, __: str = "") -> list[int]:
        return [0] * size

    def floats(size: int) -> list[float]:
        return [0.0] * size

    kernels = {
        k.__name__: k for k in (units.split_units, ngrams.count_repeats, tandem.find_runs, templates.find_templates)
    }
    return _run(kernels, len(texts), codes, bounds, classes, new, new, floats)


def _run(
    kernels: Mapping[str, Callable[..., None]], docs: int, codes: Any, bounds: Any, classes: Any, scratch: _New, fresh: _New,
    floats: Callable[[int], Any],
) -> Counts:  # fmt: skip
    """All kernels on one batch, with arrays of whatever kind ``scratch`` (old contents) and ``fresh`` (zeros) make."""
    n = int(bounds[docs]) + 2
    starts, ends, ids, plain = (scratch(name, n) for name in ("starts", "ends", "ids", "plain"))
    kinds, gaps = scratch("kinds", n, "i1"), scratch("gaps", n, "i1")
    offsets, distinct, widths = fresh("", docs + 1), fresh("", docs), fresh("", docs)
    numbers, contents = fresh("", docs), fresh("", docs)
    one, two, three, four, five = (scratch(name, n) for name in ("one", "two", "three", "four", "five"))
    keys, marks, where, evens, odds, masks = (
        scratch(x, n, "i8") for x in ("keys", "marks", "where", "evens", "odds", "masks")
    )
    singles, slots = scratch("singles", units.SINGLES, "i8"), scratch("slots", _slots(bounds), "i8")
    state = scratch("state", 1, "i8")
    kernels["split_units"](
        docs, codes, bounds, classes, starts, ends, kinds, gaps, ids, offsets, distinct, widths, contents, one, keys, singles, slots, state
    )  # fmt: skip
    shares = floats(ngrams.SHARES * docs)
    kernels["count_repeats"](
        docs, ids, kinds, offsets, distinct, plain, numbers, one, two, three, four, five, marks, where, state, shares
    )
    # The longest periods worth looking for. All but the first copy of a run are repeated 8-grams, so few of these bound
    # the period; a loop of characters with a longer period than two of the longest units is seen on units.
    every, numbered, within = fresh("", docs), fresh("", docs), fresh("", docs)
    for d in range(docs):
        windows = max(0, int(offsets[d + 1] - offsets[d]) - ngrams.ORDERS + 1)
        at = ngrams.SHARES * d + ngrams.ORDERS
        every[d] = (round(shares[at - 1] * windows) + ngrams.ORDERS) // 2
        numbered[d] = (round(shares[at] * windows) + ngrams.ORDERS) // 2 if numbers[d] > 2 else 0
        within[d] = max(MIN_CHARACTER_PERIOD, 2 * widths[d])
    runs = tuple(fresh("", 3 * tandem.KEEP * docs) for _ in range(3))
    found = tuple(fresh("", docs) for _ in range(3))
    find_runs = kernels["find_runs"]
    find_runs(docs, ids, offsets, every, MIN_RUN_UNITS, runs[0], found[0])
    find_runs(docs, plain, offsets, numbered, MIN_RUN_UNITS, runs[1], found[1])
    find_runs(docs, codes, bounds, within, MIN_RUN_CHARACTERS, runs[2], found[2])
    spans, template_shares = fresh("", 5 * docs), floats(4 * docs)
    alike = scratch("alike", templates.LAGS * n, "i1")
    kernels["find_templates"](
        docs, codes, starts, gaps, kinds, ids, offsets, one, two, three, four, alike, masks, evens, odds, slots, state, spans,
        template_shares,
    )  # fmt: skip
    return Counts(
        _plain(bounds), _plain(offsets), starts, ends, kinds, _plain(numbers), _plain(contents), _plain(shares), tuple(map(_plain, runs)),
        tuple(map(_plain, found)), _plain(spans), _plain(template_shares),
    )  # fmt: skip


def _plain(array: Any) -> list[Any]:
    return array if isinstance(array, list) else cast("list[Any]", array.tolist())


def _scratch(name: str, size: int, kind: str = "i4") -> Any:
    """A numpy array of at least ``size``, kept for the thread; contents are left from the last use, zero at first."""
    import numpy as np

    held = _state.arrays.get(name)
    if held is None or len(held) < size:
        held = _state.arrays[name] = np.zeros(max(size, 2 * BATCH), kind)
    return held


def _count_compiled(texts: Sequence[str], bounds: list[int]) -> Counts:
    import numpy as np

    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.int32)
    classes = _state.arrays.get("classes")
    if classes is None:
        classes = _state.arrays["classes"] = np.frombuffer(units.character_classes(), np.uint8)

    def fresh(_: str, size: int, kind: str = "i8") -> Any:
        return np.zeros(size, kind)

    return _run(_compile(), len(texts), codes, np.array(bounds, np.int64), classes, _scratch, fresh, np.zeros)
