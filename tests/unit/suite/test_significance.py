"""Intervals and tests against known values, brute force, and their own promises."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.suite.significance import bootstrap, fisher, mcnemar, sign_flip, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (1, 100, 0.0018, 0.0545)],
)
def test_wilson_s_interval_is_the_published_one(hits: int, n: int, low: float, high: float) -> None:
    """Wilson 1927; values as every statistics package gives them."""
    interval = wilson(hits, n)
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=1e-4)


def test_nothing_at_all_has_the_widest_interval() -> None:
    """No case says nothing about a rate, and no mean is a number."""
    assert (wilson(0, 0).low, wilson(0, 0).high, wilson(0, 0).n) == (0.0, 1.0, 0)
    assert math.isnan(bootstrap([]).value)


@given(st.integers(0, 9), st.integers(0, 9))
def test_mcnemar_is_a_coin(broken: int, fixed: int) -> None:
    """Counted over all outcomes of as many coins."""
    outcomes = list(itertools.product((0, 1), repeat=broken + fixed))
    assert mcnemar(broken, fixed) == pytest.approx(sum(sum(o) >= broken for o in outcomes) / len(outcomes))


@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 5), st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_fisher_is_a_shuffle(a: int, n: int, b: int, m: int) -> None:
    """Counted over all ways to deal the passes to the two sides."""
    a, b = min(a, n), min(b, m)
    deals = list(itertools.combinations(range(n + m), a + b))
    want = sum(sum(place >= n for place in deal) <= b for deal in deals) / len(deals)
    assert fisher(a, n, b, m) == pytest.approx(want)


@given(st.lists(st.sampled_from([-0.5, -0.25, 0.0, 0.25, 1.0]), max_size=9))
def test_sign_flips_are_counted_exactly_for_few_cases(differences: list[float]) -> None:
    """Share of sign patterns whose sum is at least the observed one."""
    moved = [d for d in differences if d]
    patterns = list(itertools.product((1, -1), repeat=len(moved)))
    expected = sum(sum(s * d for s, d in zip(p, moved, strict=True)) >= sum(moved) - 1e-9 for p in patterns) / len(
        patterns
    )
    assert sign_flip(differences) == pytest.approx(expected if moved else 1.0)


def test_sampled_sign_flips_agree_with_all_of_them() -> None:
    """Of 16 cases, 4,000 patterns give the share that all 65,536 give, within the error of sampling."""
    differences = [0.3, -0.1, 0.2, -0.25, 0.05, 0.4, -0.35, 0.15] * 2
    signs = itertools.product((1, -1), repeat=16)
    sums = [sum(s * d for s, d in zip(pattern, differences, strict=True)) for pattern in signs]
    exact = sum(s >= sum(differences) - 1e-9 for s in sums) / len(sums)
    assert sign_flip(differences) == pytest.approx(exact, abs=0.03)
    assert sign_flip(differences) == sign_flip(differences)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_bootstrap_interval_holds_its_mean_and_repeats_itself(values: list[float]) -> None:
    """Seeded: the same results give the same interval."""
    interval = bootstrap(values)
    assert interval == bootstrap(values)
    assert interval.low - 1e-9 <= interval.value <= interval.high + 1e-9
    assert interval.value == pytest.approx(sum(values) / len(values))


def test_a_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """95 % intervals of a skewed score, 200 suites of 60 cases."""
    draw = random.Random(7)
    hits = 0
    for _ in range(200):
        interval = bootstrap([draw.random() if draw.random() < 0.3 else 0.0 for _ in range(60)])
        hits += interval.low <= 0.15 <= interval.high
    assert hits >= 180


def test_weights_count() -> None:
    """A case of weight 3 counts three times."""
    assert bootstrap([1.0, 0.0], [3.0, 1.0]).value == 0.75
