"""A suite is split into parts of equal cost, and every machine computes the same split."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.suite.shards import recorded_costs, split_cases
from tests.unit.store.test_database import result

NAMES = [f"badcase1/{n}" for n in range(8)]


def test_without_costs_parts_have_equal_numbers() -> None:
    """Hashing split 8 cases 7 to 1."""
    split = split_cases(NAMES, 2)
    assert [len(part) for part in split.parts] == [4, 4]
    assert split.costed == 0


def test_the_costliest_case_stands_alone() -> None:
    """One long answer is as much work as all the others."""
    split = split_cases(NAMES, 2, {name: 4096 if name == NAMES[3] else 500 for name in NAMES})
    assert (NAMES[3],) in split.parts


def test_a_case_without_a_record_costs_the_mean() -> None:
    """A new case is neither free nor feared."""
    known = dict.fromkeys(NAMES[:6], 100)
    assert [len(part) for part in split_cases(NAMES, 2, known).parts] == [4, 4]


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(1, 5000), min_size=1, max_size=40),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_every_case_is_in_one_part_in_any_order(costs: dict[str, int], parts: int, draw: random.Random) -> None:
    """The order in which a machine reads its files does not matter, and no part is far above the mean."""
    names = list(costs)
    split = split_cases(names, parts, costs)
    assert sorted(n for part in split.parts for n in part) == sorted(names)
    draw.shuffle(names)
    shuffled = {name: costs[name] for name in names}
    assert split_cases(names, parts, shuffled) == split
    loads = [sum(costs[n] for n in part) for part in split.parts]
    # Graham's bound of greedy lists; the costliest case may be more than a fair share.
    assert max(loads) <= sum(loads) / parts + max(costs.values())


@pytest.mark.parametrize(
    "other",
    [
        split_cases(NAMES, 3),
        split_cases(NAMES[1:], 2),
        split_cases(NAMES, 2, dict.fromkeys(NAMES, 5)),
    ],
    ids=["parts", "cases", "costs"],
)
def test_the_digest_tells_other_splits_apart(other: object) -> None:
    """Even costs that lead to the same parts are other inputs: the machines did not read the same record."""
    assert split_cases(NAMES, 2).digest != other.digest  # type: ignore[attr-defined]


def test_costs_are_tokens_over_all_versions() -> None:
    """A case runs on every version of the run, in one part."""
    results = [result("badcase1/a"), result("badcase1/a", adapter="v4.1"), result("badcase1/b")]
    assert recorded_costs(results) == {"badcase1/a": 6, "badcase1/b": 3}
