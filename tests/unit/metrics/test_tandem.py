"""Tandem runs of text that was made to be slow: exact all the same, and in bounded work."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics.tandem import BEGUN, KEEP, PARAGRAPH, TAILS, Scratch, find_runs, find_tails, reach


class Counted(list[int]):
    """A list that counts how often it is read."""

    reads = 0

    def __getitem__(self, at: Any) -> Any:
        self.reads += 1
        return super().__getitem__(at)


def runs_of(sequence: list[int], counted: Counted | None = None) -> list[tuple[int, int, int]]:
    """Start, end and period of the runs found; reads of the sequence and of all hashes are counted together."""
    n = len(sequence)
    text, sums = Counted(sequence), Counted([0] * (n + 1))
    runs, found = [0] * (3 * KEEP), [0]
    prints = Counted([0] * (n + 1))
    find_runs(1, text, [0, n], [n], 12, Scratch(sums, [0] * (n + 1), prints), runs, found)
    if counted is not None:
        counted.reads = text.reads + sums.reads + prints.reads
    return [(runs[3 * k], runs[3 * k + 1], runs[3 * k + 2]) for k in range(found[0])]


def brute_lengths(sequence: list[int], least: int) -> list[int]:
    """Lengths of all maximal runs of three copies or more, with the shortest period of each; the longest first."""
    found: dict[tuple[int, int], int] = {}
    for period in range(1, len(sequence) // 3 + 1):
        start = 0
        for i in range(period, len(sequence) + 1):
            if i < len(sequence) and sequence[i] == sequence[i - period]:
                continue
            if i - start >= max(3 * period, least):
                found.setdefault((start, i), period)
            start = i - period + 1
    return sorted((end - start for start, end in found), reverse=True)


def flawed(n: int, every: int, seed: int) -> list[int]:
    """One character over and over, with another here and there: each look goes far, and ends too soon."""
    draw = Random(seed)
    text = [0] * n
    at = 0
    while at < n:
        text[at] = 1
        at += draw.randint(every // 2, every)
    return text


def halves(n: int) -> list[int]:
    """Two long stretches of one character with a flaw between them."""
    return [0] * (n // 2) + [1] + [0] * (n - n // 2 - 1)


def fibonacci(n: int) -> list[int]:
    """The word with the most runs that are nearly there."""
    one, other = [0], [0, 1]
    while len(other) < n:
        one, other = other, other + one
    return other[:n]


def thue_morse(n: int) -> list[int]:
    """The word without any run."""
    return [bin(k).count("1") % 2 for k in range(n)]


HARD = [
    pytest.param(flawed(900, 60, 1), id="flaws"),
    pytest.param(halves(900), id="two halves"),
    pytest.param(fibonacci(900), id="fibonacci"),
    pytest.param(thue_morse(900), id="thue-morse"),
    pytest.param([0] * 900, id="one character"),
]


@pytest.mark.parametrize("sequence", HARD)
def test_hard_texts_are_exact(sequence: list[int]) -> None:
    """The longest runs are those of brute force, hashed or not."""
    assert [end - start for start, end, _ in runs_of(sequence)] == brute_lengths(sequence, 12)[:KEEP]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 40)), min_size=1, max_size=14))
@settings(max_examples=120, deadline=None)
def test_blocks_of_any_lengths_are_exact(blocks: list[tuple[int, int]]) -> None:
    """Blocks of one character each, which use the patience up."""
    sequence = [value for value, length in blocks for _ in range(length)]
    assert [end - start for start, end, _ in runs_of(sequence)] == brute_lengths(sequence, 12)[:KEEP]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: flawed(n, n // 20, 1), id="flaws"),
        pytest.param(halves, id="two halves"),
        pytest.param(fibonacci, id="fibonacci"),
        pytest.param(thue_morse, id="thue-morse"),
        pytest.param(lambda n: [0] * n, id="one character"),
        pytest.param(lambda n: [Random(n).choice((0, 1)) for _ in range(n)], id="one random letter"),
        pytest.param(lambda n: Random(n).choices((0, 1), k=n), id="two letters at random"),
    ],
)
@pytest.mark.parametrize("n", [2_000, 16_000])
def test_work_is_bounded_on_any_text(make: Any, n: int) -> None:
    """Reads stay below a multiple of n (log n)^2, also where every look goes far and fails."""
    counted = Counted()
    runs_of(make(n), counted)
    assert counted.reads < n * math.log2(n) ** 2


@given(st.lists(st.integers(0, 1), min_size=2, max_size=60), st.data())
def test_hashes_reach_as_far_as_the_places_are_equal(sequence: list[int], data: st.DataObject) -> None:
    """Forwards and backwards, to the last place that is equal."""
    n = len(sequence)
    sums, powers = [0], [1]
    for value in sequence:
        sums.append((sums[-1] * 1_000_003 + value + 1) % 0x7FFFFFFF)
        powers.append(powers[-1] * 1_000_003 % 0x7FFFFFFF)
    one = data.draw(st.integers(1, n - 1))
    other = data.draw(st.integers(0, one - 1))
    after = next((k for k in range(n - one) if sequence[one + k] != sequence[other + k]), n - one)
    before = next((k for k in range(other) if sequence[one - 1 - k] != sequence[other - 1 - k]), other)
    assert reach(sums, powers, one, other, n - one, False) == after
    assert reach(sums, powers, one, other, other, True) == before


def brute_tail(sequence: list[int]) -> int:
    """Length of the longest stretch up to the last place but one with a period that it holds twice and a bit."""
    text = sequence[:-1]
    best = 0
    for period in range(PARAGRAPH, len(text)):
        length = period
        while length < len(text) and text[-1 - length] == text[-1 - length + period]:
            length += 1
        if length >= 2 * period + BEGUN:
            best = max(best, length)
    return best


@given(
    st.lists(st.integers(0, 2), max_size=20),
    st.lists(st.integers(0, 1), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(0, 60),
    st.lists(st.integers(0, 2), max_size=2),
)
@settings(max_examples=300, deadline=None)
def test_tails_are_those_of_brute_force(
    before: list[int], period: list[int], copies: int, begun: int, after: list[int]
) -> None:
    """The length, and a period that the stretch has."""
    sequence = [9, *before, *(period * copies), *period[:begun], *after]
    tails = [0] * TAILS
    find_tails(1, sequence, [0, len(sequence)], [1], [0] * len(sequence), tails)
    start, found, _ = tails
    assert (len(sequence) - 1 - start if found else 0) == brute_tail(sequence)
    assert all(sequence[i] == sequence[i + found] for i in range(start, len(sequence) - 1 - found)) or not found
