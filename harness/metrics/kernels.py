"""Runs the counting kernels on batches of texts: interpreted for a few texts, compiled for many, with equal results.

The kernels (units, ngrams, tandem, templates, variety, novelty) are plain Python on integer arrays. On lists they run at once and take
milliseconds for a page. numba compiles the same source to code that takes microseconds, after a second from its cache
or several seconds the first time. So a process starts interpreted, and switches when it has seen ``COMPILE_AFTER``
characters. Invariant: the results do not depend on which one ran. Each kernel file is compiled on its own, because
numba's cache checks only the time stamp of the file that a function is in.

Without numba everything works, slowly. ``HARNESS_KERNELS=interpreted`` or ``compiled`` chooses explicitly.
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

from harness.metrics import ngrams, novelty, tandem, templates, units, variety

__all__ = [
    "BATCH",
    "COMPILE_AFTER",
    "CodedText",
    "Counts",
    "batches",
    "code_pairs",
    "coded_pair",
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
    """The results of the kernels on a batch of texts; plain lists, laid out as the kernels' docstrings say."""

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
    """On units, on units with digits replaced by one sign, on characters."""
    found: tuple[list[int], ...]
    tails: list[int]
    spans: list[int]
    template_shares: list[float]
    poorest: list[int]
    """The window of the least variety (:func:`harness.metrics.variety.find_low_variety`)."""
    stale: list[float]
    """Share of the end that was said before, per text."""


_SHARED = ("shared 0", "shared 1", "shared 2", "shared 3", "shared 4", "shared 5")
"""Scratch arrays that kernels share which run one after the other: a batch must fit the second-level cache. Within a
kernel each array has one name and one meaning."""

_KERNELS = (
    units.split_units, ngrams.count_repeats, tandem.find_runs, tandem.find_tails, templates.find_templates,
    variety.find_low_variety, novelty.find_stale_ends,
)  # fmt: skip


class _State(threading.local):
    """Per thread: characters seen so far, and scratch arrays that grow."""

    def __init__(self) -> None:
        self.seen = 0
        self.arrays: dict[str, Any] = {}


_state = _State()
_lock = threading.Lock()
_compiled: dict[str, Callable[..., None]] = {}


def prepare(characters: int) -> None:
    """Announce that this many characters will be scored, so that compiling happens first or not at all."""
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

            for module in (units, ngrams, tandem, templates, variety, novelty):
                for helper in module.HELPERS:
                    register_jitable(forceinline=True)(helper)
            _compiled.update({kernel.__name__: njit(cache=True, nogil=True)(kernel) for kernel in _KERNELS})
    return _compiled


def count(texts: Sequence[str]) -> Counts:
    """Run all kernels on texts, together at most some ``BATCH`` characters (longer ones alone)."""
    return _count(_place(sum(map(len, texts))), texts)


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
        split, _ = _split(place, texts)
        for d in range(last - first):
            low, middle, high = _halves(split, d, len(pairs[first + d][0]))
            yield place.spell(split.ids[low:middle]), place.spell(split.ids[middle:high])


def coded_pair(one: str, other: str) -> tuple[CodedText, CodedText]:
    """Both texts as :func:`code_pairs` gives them, and the units themselves."""
    joined = f"{one}\n{other}"
    place = _place(len(joined))
    split, _ = _split(place, [joined])
    _, middle, n = _halves(split, 0, len(one))
    found = [joined[start:end] for start, end in zip(_plain(split.starts[:n]), _plain(split.ends[:n]), strict=True)]
    return (
        CodedText(codes=place.spell(split.ids[:middle]), units=found[:middle]),
        CodedText(codes=place.spell(split.ids[middle:n]), units=found[middle:]),
    )


def _halves(split: units.Units, d: int, first: int) -> tuple[int, int, int]:
    """Of a pair joined by a line break: where its units begin, where those of the second text do, and where they end."""
    low, high = int(split.offsets[d]), int(split.offsets[d + 1])
    return low, bisect_left(split.starts, int(split.bounds[d]) + first, low, high), high


def unit_bounds(text: str) -> list[tuple[int, int]]:
    """Start and end of every unit of a text, as character offsets."""
    split, _ = _split(_place(len(text)), [text])
    n = split.offsets[1]
    return list(zip(_plain(split.starts[:n]), _plain(split.ends[:n]), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedText:
    """A text of a pair."""

    codes: str
    """A character for every unit, equal within the pair exactly when the units are."""
    units: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The kernels, interpreted or compiled, and how to make the arrays that they run on."""

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
    shares: Callable[[list[float]], Any]
    """An array of what was counted."""
    spell: Callable[[Any], str]
    """Ids as characters."""


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
        shares=lambda shares: shares,
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
        shares=np.array,
        spell=lambda ids: ids.tobytes().decode("utf-32-le", "surrogatepass"),
    )


def _lookup(place: _Place, texts: Sequence[str], n: int) -> units.Lookup:
    """Scratch for looking up units; the same arrays in every call of a thread, so that stamps stay unique."""
    slots = 16
    while slots < 2 * max(map(len, texts), default=0):
        slots *= 2
    return units.Lookup(
        heads=place.scratch("heads", n),
        keys=place.scratch("keys", n, "i8"),
        singles=place.scratch("singles", units.SINGLES, "i8"),
        slots=place.scratch("slots", slots, "i8"),
        state=place.scratch("state", 1, "i8"),
    )


def _split(place: _Place, texts: Sequence[str]) -> tuple[units.Units, units.Lookup]:
    """A batch as units, and the scratch that it was looked up in."""
    docs = len(texts)
    bounds = [0, *accumulate(map(len, texts))]
    n = bounds[-1] + 2
    split = units.Units(
        codes=place.codes("".join(texts)),
        bounds=place.bounds(bounds),
        starts=place.scratch("starts", n),
        ends=place.scratch("ends", n),
        kinds=place.scratch("kinds", n, "i1"),
        gaps=place.scratch("gaps", n, "i1"),
        ids=place.scratch("ids", n),
        offsets=place.fresh(docs + 1),
        distinct=place.fresh(docs),
        widths=place.fresh(docs),
        contents=place.fresh(docs),
    )
    lookup = _lookup(place, texts, n)
    place.kernels["split_units"](docs, place.classes, split, lookup)
    return split, lookup


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeats:
    """What :func:`harness.metrics.ngrams.count_repeats` found in a batch."""

    plain: Any
    """Per unit: its id, with every run of digits replaced by id 0."""
    numbers: list[int]
    shares: list[float]
    tally: ngrams.Tally


def _count(place: _Place, texts: Sequence[str]) -> Counts:
    docs = len(texts)
    split, lookup = _split(place, texts)
    repeats = _count_repeats(place, docs, split, lookup)
    runs, run_counts = _find_runs(place, docs, split, repeats)
    tails = _find_tails(place, docs, split, repeats, runs[0], run_counts[0])
    spans, template_shares = _find_templates(place, docs, split, lookup)
    poorest = place.fresh(variety.FIELDS * docs)
    latest, places = place.scratch(_SHARED[0], len(split.starts)), place.scratch(_SHARED[1], len(split.starts))
    place.kernels["find_low_variety"](docs, split, latest, places, poorest)
    stale = place.floats(docs)
    place.kernels["find_stale_ends"](docs, split, repeats.plain, place.shares(repeats.shares), lookup, stale)
    return Counts(
        bounds=_plain(split.bounds),
        offsets=_plain(split.offsets),
        starts=_view(split.starts),
        ends=_view(split.ends),
        kinds=_view(split.kinds),
        numbers=repeats.numbers,
        contents=_plain(split.contents),
        shares=repeats.shares,
        runs=runs,
        found=run_counts,
        tails=tails,
        spans=spans,
        template_shares=template_shares,
        poorest=_plain(poorest),
        stale=_plain(stale),
    )


def _count_repeats(place: _Place, docs: int, split: units.Units, lookup: units.Lookup) -> _Repeats:
    n = len(split.starts)
    numbers = ngrams.Numbers(
        plain=place.scratch("plain", n),
        following=place.scratch(_SHARED[0], n),
        copies=place.scratch(_SHARED[5], n),
        counts=place.fresh(docs),
    )
    groups = ngrams.Groups(places=place.scratch(_SHARED[1], n), ends=place.scratch(_SHARED[2], n))
    spare = ngrams.Groups(places=place.scratch(_SHARED[3], n), ends=place.scratch(_SHARED[4], n))
    tally = ngrams.Tally(
        marks=place.scratch("marks", n, "i8"), where=place.scratch("where", n, "i8"), state=lookup.state
    )
    shares = place.floats(ngrams.SHARES * docs)
    place.kernels["count_repeats"](docs, split, numbers, groups, spare, tally, shares)
    return _Repeats(plain=numbers.plain, numbers=_plain(numbers.counts), shares=_plain(shares), tally=tally)


def _find_runs(
    place: _Place, docs: int, split: units.Units, repeats: _Repeats
) -> tuple[tuple[list[int], ...], tuple[list[int], ...]]:
    """Runs, and how many there are of each text: on units, on units with digits replaced, on characters."""
    # All but the first copy of a run are repeated 8-grams, so few of these bound the period. A loop of characters with
    # a longer period than two of the longest units is found on units.
    offsets = _plain(split.offsets)
    every, numbered = [0] * docs, [0] * docs
    for d in range(docs):
        at = ngrams.SHARES * d + ngrams.ORDERS
        windows = offsets[d + 1] - offsets[d] - ngrams.ORDERS + 1 if repeats.shares[at] > 0.0 else 0
        every[d] = (round(repeats.shares[at - 1] * windows) + ngrams.ORDERS) // 2
        if repeats.numbers[d] > 2:
            numbered[d] = (round(repeats.shares[at] * windows) + ngrams.ORDERS) // 2
    within = [max(MIN_CHARACTER_PERIOD, 2 * width) for width in _plain(split.widths)]
    scratch = tandem.Scratch(
        sums=repeats.tally.marks,
        powers=repeats.tally.where,
        prints=place.scratch("evens", len(repeats.tally.marks), "i8"),
    )
    runs, counts = [], []
    for sequence, bounds, longest, min_length in (
        (split.ids, split.offsets, every, MIN_RUN_UNITS),
        (repeats.plain, split.offsets, numbered, MIN_RUN_UNITS),
        (split.codes, split.bounds, within, MIN_RUN_CHARACTERS),
    ):
        out, run_counts = place.fresh(3 * tandem.KEEP * docs), place.fresh(docs)
        place.kernels["find_runs"](docs, sequence, bounds, place.bounds(longest), min_length, scratch, out, run_counts)
        runs.append(_plain(out))
        counts.append(_plain(run_counts))
    return tuple(runs), tuple(counts)


def _find_tails(
    place: _Place, docs: int, split: units.Units, repeats: _Repeats, runs: list[int], counts: list[int]
) -> list[int]:
    """Tails of the texts whose longest run is not at the end already; such a run says more."""
    offsets = _plain(split.offsets)
    wanted = [
        int(
            repeats.shares[ngrams.SHARES * d + ngrams.ORDERS - 1] > TAIL_SHARE
            and not (counts[d] and runs[3 * tandem.KEEP * d + 1] >= offsets[d + 1] - 1)
        )
        for d in range(docs)
    ]
    tails = place.fresh(tandem.TAILS * docs)
    same = place.scratch(_SHARED[1], len(split.starts))
    place.kernels["find_tails"](docs, split.ids, split.offsets, place.bounds(wanted), same, tails)
    return _plain(tails)


def _find_templates(
    place: _Place, docs: int, split: units.Units, lookup: units.Lookup
) -> tuple[list[int], list[float]]:
    n = len(split.starts)
    segments = templates.Segments(
        firsts=place.scratch(_SHARED[0], n),
        lasts=place.scratch(_SHARED[1], n),
        words=place.scratch(_SHARED[2], n),
        evens=place.scratch("evens", n, "i8"),
        odds=place.scratch("odds", n, "i8"),
        alike=place.scratch("alike", templates.LAGS * n, "i1"),
        states=place.scratch(_SHARED[3], n),
        copied=place.scratch(_SHARED[4], n),
        masks=place.scratch("masks", n, "i8"),
        seen=place.scratch("seen", n),
    )
    spans, shares = place.fresh(templates.SPANS * docs), place.floats(templates.SHARES * docs)
    place.kernels["find_templates"](docs, split, segments, lookup, spans, shares)
    return _plain(spans), _plain(shares)


def _plain(array: Any) -> list[Any]:
    return array if isinstance(array, list) else cast("list[Any]", array.tolist())


def _view(array: Any) -> Any:
    """The array for reading a few items: a memoryview gives them as int, three times as fast as numpy does."""
    return array if isinstance(array, list) else array.data
