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
from collections.abc import Callable, Sequence
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
    runs: tuple[list[int], list[int], list[int]]
    """On units, on units with digits taken for one sign, on characters."""
    found: tuple[list[int], list[int], list[int]]
    spans: list[int]
    template_shares: list[float]


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

            register_jitable(ngrams.refine)
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
    longest = max((b - a for a, b in pairwise(bounds)), default=0)
    return max(16, 1 << (2 * longest - 1).bit_length()) if longest else 16


def _count_interpreted(texts: Sequence[str], bounds: list[int]) -> Counts:
    docs = len(texts)
    n = bounds[-1] + 2
    codes = [ord(c) for c in "".join(texts)]

    def new(size: int = n) -> list[int]:
        return [0] * size

    starts, ends, kinds, ids, plain = new(), new(), new(), new(), new()
    ranks, alive, counts, lefts, rights = new(), new(), new(), new(), new()
    keys, marks, spots = new(), new(), new()
    slots, state, offsets, numbers = new(_slots(bounds)), [0], new(docs + 1), new(docs)
    shares = [0.0] * (ngrams.SHARES * docs)
    units.split_units(
        docs, codes, bounds, units.character_classes(), starts, ends, kinds, ids, offsets, ranks, keys, slots, state
    )
    ngrams.count_repeats(
        docs, ids, kinds, offsets, plain, numbers, ranks, alive, counts, lefts, rights, marks, spots, state, shares
    )
    runs = (new(3 * tandem.KEEP * docs), new(3 * tandem.KEEP * docs), new(3 * tandem.KEEP * docs))
    found = (new(docs), new(docs), new(docs))
    always = [1] * docs
    tandem.find_runs(docs, ids, offsets, always, MIN_RUN_UNITS, 0, runs[0], found[0])
    tandem.find_runs(docs, plain, offsets, numbers, MIN_RUN_UNITS, 0, runs[1], found[1])
    tandem.find_runs(docs, codes, bounds, always, MIN_RUN_CHARACTERS, 0, runs[2], found[2])
    spans, template_shares = new(5 * docs), [0.0] * (4 * docs)
    masks, alike = new(), new(templates.LAGS * n)
    templates.find_templates(
        docs, codes, starts, ends, kinds, ids, offsets, ranks, alive, counts, lefts, alike, masks, slots, state, spans,
        template_shares
    )  # fmt: skip
    contents = [sum(kind != units.PUNCTUATION for kind in kinds[a:b]) for a, b in pairwise(offsets)]
    return Counts(bounds, offsets, starts, ends, kinds, numbers, contents, shares, runs, found, spans, template_shares)


def _scratch(name: str, size: int, kind: str) -> Any:
    """A numpy array of at least ``size``, kept for the thread; contents are left from the last use, zero at first."""
    import numpy as np

    held = _state.arrays.get(name)
    if held is None or len(held) < size:
        held = _state.arrays[name] = np.zeros(max(size, 2 * BATCH), kind)
    return held


def _count_compiled(texts: Sequence[str], bounds: list[int]) -> Counts:
    import numpy as np

    kernels = _compile()
    docs = len(texts)
    n = bounds[-1] + 2
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.int32)
    classes = _state.arrays.get("classes")
    if classes is None:
        classes = _state.arrays["classes"] = np.frombuffer(units.character_classes(), np.uint8)

    def new(name: str, size: int = n, kind: str = "i4") -> Any:
        return _scratch(name, size, kind)

    where = np.array(bounds, np.int64)
    starts, ends, kinds, ids, plain = new("starts"), new("ends"), new("kinds", n, "i1"), new("ids"), new("plain")
    ranks, alive, counts, lefts, rights = new("ranks"), new("alive"), new("counts"), new("lefts"), new("rights")
    keys, marks, spots = new("keys", n, "i8"), new("marks", n, "i8"), new("spots")
    slots, state = new("slots", _slots(bounds), "i8"), new("state", 1, "i8")
    offsets, numbers = np.zeros(docs + 1, np.int64), np.zeros(docs, np.int64)
    shares = np.zeros(ngrams.SHARES * docs)
    kernels["split_units"](docs, codes, where, classes, starts, ends, kinds, ids, offsets, ranks, keys, slots, state)
    kernels["count_repeats"](
        docs, ids, kinds, offsets, plain, numbers, ranks, alive, counts, lefts, rights, marks, spots, state, shares
    )
    runs = tuple(np.zeros(3 * tandem.KEEP * docs, np.int64) for _ in range(3))
    found = tuple(np.zeros(docs, np.int64) for _ in range(3))
    always = np.ones(docs, np.int64)
    find_runs = kernels["find_runs"]
    find_runs(docs, ids, offsets, always, MIN_RUN_UNITS, 0, runs[0], found[0])
    find_runs(docs, plain, offsets, numbers, MIN_RUN_UNITS, 0, runs[1], found[1])
    find_runs(docs, codes, where, always, MIN_RUN_CHARACTERS, 0, runs[2], found[2])
    spans, template_shares = np.zeros(5 * docs, np.int64), np.zeros(4 * docs)
    alike, masks = new("alike", templates.LAGS * n, "i1"), new("masks", n, "i8")
    kernels["find_templates"](
        docs, codes, starts, ends, kinds, ids, offsets, ranks, alive, counts, lefts, alike, masks, slots, state, spans,
        template_shares
    )  # fmt: skip
    total = int(offsets[-1])
    content = np.concatenate(([0], np.cumsum(kinds[:total] != units.PUNCTUATION)))
    return Counts(
        bounds,
        offsets.tolist(),
        starts,
        ends,
        kinds,
        numbers.tolist(),
        (content[offsets[1:]] - content[offsets[:-1]]).tolist(),
        shares.tolist(),
        cast("tuple[list[int], list[int], list[int]]", tuple(r.tolist() for r in runs)),
        cast("tuple[list[int], list[int], list[int]]", tuple(f.tolist() for f in found)),
        spans.tolist(),
        template_shares.tolist(),
    )
