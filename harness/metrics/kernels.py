"""Runs the counting kernels on batches of texts: interpreted for a few texts, compiled for many, with equal results.

The kernels (units, ngrams, tandem, templates) are plain Python on integer arrays. On lists they need 2 to 20 ms
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
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, cast

from harness.metrics import ngrams, tandem, templates, units

__all__ = [
    "BATCH",
    "COMPILE_AFTER",
    "Counts",
    "batches",
    "code_pairs",
    "count",
    "prepare",
    "unit_bounds",
    "uses_compiled",
]

COMPILE_AFTER = 1_000_000
"""Characters after which compiling pays: about a second of interpreted work."""
BATCH = 65_536
"""Characters a batch: its arrays fit the second-level cache."""
MIN_RUN_UNITS = 12
MIN_RUN_CHARACTERS = 24
MIN_CHARACTER_PERIOD = 64
TAIL_SHARE = 0.1
"""Rep-8 from which on a text may end within the third copy of a paragraph."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    tails: list[int]
    spans: list[int]
    template_shares: list[float]


_KERNELS = (units.split_units, ngrams.count_repeats, tandem.find_runs, tandem.find_tails, templates.find_templates)


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

            for helper in (
                ngrams.mark_copies,
                ngrams.refine,
                ngrams.sort_trigrams,
                tandem.equal,
                tandem.reach,
                templates.count_bits,
                templates.count_places,
            ):
                register_jitable(helper)
            made = {kernel.__name__: njit(cache=True, nogil=True)(kernel) for kernel in _KERNELS}
            _compiled.update(made)
    return _compiled


def count(texts: Sequence[str]) -> Counts:
    """Run all kernels on texts, together at most some ``BATCH`` characters (longer ones alone)."""
    place = _place(sum(map(len, texts)))
    return _count(place, _split(place, texts))


def uses_compiled() -> bool:
    """Whether compiled kernels have run in this process, so that numpy is at hand."""
    return bool(_compiled)


def batches(sizes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) of consecutive texts that together hold at most ``BATCH`` characters, or of one."""
    first = last = total = 0
    for size in sizes:
        if last > first and total + size > BATCH:
            yield first, last
            first, total = last, 0
        last += 1
        total += size
    if last > first:
        yield first, last


def code_pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Both texts of each pair with a character for every unit, equal within the pair exactly when the units are."""
    for first, last in batches(len(one) + len(other) for one, other in pairs):
        texts = [f"{one}\n{other}" for one, other in pairs[first:last]]
        place = _place(sum(map(len, texts)))
        found = _split(place, texts)
        for d in range(last - first):
            low, high = int(found.offsets[d]), int(found.offsets[d + 1])
            middle = bisect_left(found.starts, int(found.bounds[d]) + len(pairs[first + d][0]), low, high)
            yield place.spell(found.ids[low:middle]), place.spell(found.ids[middle:high])


def unit_bounds(text: str) -> list[tuple[int, int]]:
    """Start and end of every unit of a text, as character offsets."""
    found = _split(_place(len(text)), [text])
    n = found.offsets[1]
    return list(zip(_plain(found.starts[:n]), _plain(found.ends[:n]), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the kernels run: they themselves, and how to make the arrays that they run on."""

    kernels: Mapping[str, Callable[..., None]]
    codes: Callable[[str], Any]
    """Code points of a text."""
    bounds: Callable[[list[int]], Any]
    classes: Any
    scratch: Callable[..., Any]
    """An array of a name, a size and a kind, with any contents; none is negative or from a later stamp."""
    fresh: Callable[[int], Any]
    """Zeros."""
    floats: Callable[[int], Any]
    spell: Callable[[Any], str]
    """Ids as characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """A batch as units; arrays as :func:`harness.metrics.units.split_units` says."""

    docs: int
    codes: Any
    bounds: Any
    starts: Any
    ends: Any
    kinds: Any
    gaps: Any
    ids: Any
    offsets: Any
    distinct: Any
    widths: Any
    contents: Any
    slots: Any
    state: Any


def _place(characters: int) -> _Place:
    return _compiled_place() if _use_compiled(characters) else _interpreted_place()


@cache
def _interpreted_place() -> _Place:
    def scratch(_: str, size: int, __: str = "") -> list[int]:
        return [0] * size

    def zeros(size: int) -> list[int]:
        return [0] * size

    def floats(size: int) -> list[float]:
        return [0.0] * size

    return _Place(
        kernels={kernel.__name__: kernel for kernel in _KERNELS},
        codes=lambda text: [ord(c) for c in text],
        bounds=lambda bounds: bounds,
        classes=units.character_classes(),
        scratch=scratch,
        fresh=zeros,
        floats=floats,
        spell=lambda ids: "".join(map(chr, ids)),
    )


@cache
def _compiled_place() -> _Place:
    import numpy as np

    def codes(text: str) -> Any:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)

    def scratch(name: str, size: int, kind: str = "i4") -> Any:
        # Kept for the thread, with the contents of the last use; zeros at first.
        held = _state.arrays.get(name)
        if held is None or len(held) < size:
            held = _state.arrays[name] = np.zeros(max(size, 2 * BATCH), kind)
        return held

    return _Place(
        kernels=_compile(),
        codes=codes,
        bounds=lambda bounds: np.array(bounds, np.int64),
        classes=np.frombuffer(units.character_classes(), np.uint8),
        scratch=scratch,
        fresh=lambda size: np.zeros(size, np.int64),
        floats=np.zeros,
        spell=lambda ids: ids.tobytes().decode("utf-32-le", "surrogatepass"),
    )


def _split(place: _Place, texts: Sequence[str]) -> _Split:
    docs = len(texts)
    lengths = list(map(len, texts))
    bounds = place.bounds([0, *accumulate(lengths)])
    n = sum(lengths) + 2
    slots = 16
    while slots < 2 * max(lengths, default=0):
        slots *= 2
    found = _Split(
        docs=docs, codes=place.codes("".join(texts)), bounds=bounds, starts=place.scratch("starts", n), ends=place.scratch("ends", n),
        kinds=place.scratch("kinds", n, "i1"), gaps=place.scratch("gaps", n, "i1"), ids=place.scratch("ids", n), offsets=place.fresh(docs + 1),
        distinct=place.fresh(docs), widths=place.fresh(docs), contents=place.fresh(docs), slots=place.scratch("slots", slots, "i8"),
        state=place.scratch("state", 1, "i8"),
    )  # fmt: skip
    place.kernels["split_units"](
        docs, found.codes, bounds, place.classes, found.starts, found.ends, found.kinds, found.gaps, found.ids,
        found.offsets, found.distinct, found.widths, found.contents, place.scratch("one", n), place.scratch("keys", n, "i8"),
        place.scratch("singles", units.SINGLES, "i8"), found.slots, found.state,
    )  # fmt: skip
    return found


def _count(place: _Place, s: _Split) -> Counts:
    docs, n = s.docs, int(s.bounds[s.docs]) + 2
    plain, one, two, three, four, five = (place.scratch(x, n) for x in ("plain", "one", "two", "three", "four", "five"))
    marks, where, evens, odds, masks = (place.scratch(x, n, "i8") for x in ("marks", "where", "evens", "odds", "masks"))
    numbers, shares = place.fresh(docs), place.floats(ngrams.SHARES * docs)
    place.kernels["count_repeats"](
        docs, s.ids, s.kinds, s.offsets, s.distinct, plain, numbers, one, two, three, four, five, marks, where, s.state, shares
    )  # fmt: skip
    # The longest periods worth looking for. All but the first copy of a run are repeated 8-grams, so few of these bound
    # the period; a loop of characters with a longer period than two of the longest units is seen on units.
    offsets, found_shares, found_numbers = _plain(s.offsets), _plain(shares), _plain(numbers)
    every, numbered = [0] * docs, [0] * docs
    for d in range(docs):
        at = ngrams.SHARES * d + ngrams.ORDERS
        if found_shares[at] > 0.0:
            windows = offsets[d + 1] - offsets[d] - ngrams.ORDERS + 1
            every[d] = (round(found_shares[at - 1] * windows) + ngrams.ORDERS) // 2
            numbered[d] = (round(found_shares[at] * windows) + ngrams.ORDERS) // 2 if found_numbers[d] > 2 else 0
        else:
            every[d] = ngrams.ORDERS // 2
            numbered[d] = ngrams.ORDERS // 2 if found_numbers[d] > 2 else 0
    within = [max(MIN_CHARACTER_PERIOD, 2 * width) for width in _plain(s.widths)]
    runs = tuple(place.fresh(3 * tandem.KEEP * docs) for _ in range(3))
    found = tuple(place.fresh(docs) for _ in range(3))
    find_runs = place.kernels["find_runs"]
    find_runs(docs, s.ids, s.offsets, place.bounds(every), MIN_RUN_UNITS, marks, where, evens, runs[0], found[0])
    find_runs(docs, plain, s.offsets, place.bounds(numbered), MIN_RUN_UNITS, marks, where, evens, runs[1], found[1])
    find_runs(docs, s.codes, s.bounds, place.bounds(within), MIN_RUN_CHARACTERS, marks, where, evens, runs[2], found[2])
    tails = place.fresh(2 * docs)
    # Not where the longest run is at the end: that says more.
    ends, kept = _plain(runs[0]), _plain(found[0])
    repeating = [
        int(
            found_shares[ngrams.SHARES * d + ngrams.ORDERS - 1] > TAIL_SHARE
            and not (kept[d] and ends[3 * tandem.KEEP * d + 1] >= offsets[d + 1] - 1)
        )
        for d in range(docs)
    ]
    place.kernels["find_tails"](docs, s.ids, s.offsets, place.bounds(repeating), two, tails)
    spans, template_shares = place.fresh(5 * docs), place.floats(templates.SHARES * docs)
    place.kernels["find_templates"](
        docs, s.codes, s.starts, s.ends, s.gaps, s.kinds, s.ids, s.offsets, one, two, three, four,
        place.scratch("alike", templates.LAGS * n, "i1"), masks, evens, odds, s.slots, s.state, spans, template_shares,
    )  # fmt: skip
    return Counts(
        bounds=_plain(s.bounds), offsets=offsets, starts=_view(s.starts), ends=_view(s.ends), kinds=_view(s.kinds), numbers=found_numbers, contents=_plain(s.contents),
        shares=found_shares, runs=(ends, *map(_plain, runs[1:])), found=(kept, *map(_plain, found[1:])), tails=_plain(tails), spans=_plain(spans), template_shares=_plain(template_shares),
    )  # fmt: skip


def _plain(array: Any) -> list[Any]:
    return array if isinstance(array, list) else cast("list[Any]", array.tolist())


def _view(array: Any) -> Any:
    """The array for reading a few items: a memoryview gives them as int, three times as fast as numpy does."""
    return array if isinstance(array, list) else array.data
