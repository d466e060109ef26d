"""Thresholds that could not judge anything are refused where they are made."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from harness.cases import Thresholds
from harness.errors import SettingsError


def test_values_go_over_the_base() -> None:
    """What is not named keeps the base's value, or the default."""
    base = Thresholds(min_units=5)

    assert Thresholds.from_mapping({"min_similarity": 0.5}, base) == Thresholds(min_units=5, min_similarity=0.5)
    assert Thresholds.from_mapping({}) == Thresholds()


def test_limits_by_name_add_up() -> None:
    """A record that limits one score keeps its folder's limits on others; the same score's limit is replaced."""
    base = Thresholds(min_metrics={"f1": 0.5, "bleu": 0.1})

    assert Thresholds.from_mapping({"min_metrics": {"f1": 0.7}}, base).min_metrics == {"f1": 0.7, "bleu": 0.1}


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        pytest.param("max_rep8_excess", 1.5, "a number 0..1", id="above-one"),
        pytest.param("max_loop_excess", -0.1, "a number 0..1", id="negative"),
        pytest.param("min_similarity", 80, "a number 0..1", id="percent"),
        pytest.param("min_similarity", math.nan, "a number 0..1", id="nan"),
        pytest.param("min_similarity", math.inf, "a number 0..1", id="infinite"),
        pytest.param("max_rep8d_excess", "0.3", "a number 0..1", id="string"),
        pytest.param("max_rep8d_excess", True, "a number 0..1", id="true"),
        pytest.param("max_rep8d_excess", None, "a number 0..1", id="none"),
        pytest.param("min_units", -1, "a whole number >= 0", id="negative-whole"),
        pytest.param("min_units", 1.0, "a whole number >= 0", id="fraction"),
        pytest.param("min_units", True, "a whole number >= 0", id="true-whole"),
        pytest.param("min_loop_units", -1.0, "a finite number >= 0", id="negative-number"),
        pytest.param("min_loop_units", math.inf, "a finite number >= 0", id="infinite-number"),
        pytest.param("min_similarity", 10**400, "a number 0..1", id="huge"),
        pytest.param("min_metrics", {"f1": math.nan}, "names of scores with finite numbers", id="nan-limit"),
        pytest.param("max_metrics", {1: 0.5}, "names of scores with finite numbers", id="number-as-name"),
        pytest.param("max_metrics", ["f1"], "names of scores with finite numbers", id="list-of-names"),
        pytest.param("allow_cutoff", 1, "true or false", id="one-for-true"),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: Any, want: str) -> None:
    """Out of range, not finite, or of another type: named with what is wanted."""
    with pytest.raises(SettingsError) as caught:
        Thresholds.from_mapping({name: value})

    assert str(caught.value) == f"thresholds: {name} = {value!r} (expected {want})"


def test_an_unknown_name_is_refused() -> None:
    """The error lists the names that there are."""
    with pytest.raises(SettingsError, match=r"thresholds: unknown 'max_rep9'; known: .*max_rep8_excess"):
        Thresholds.from_mapping({"max_rep9": 0.3})


def test_all_wrong_values_are_named_at_once() -> None:
    """One error for all of them."""
    with pytest.raises(SettingsError, match=r"min_units = -1 .*; .*|max_rep8_excess = 2 .*; min_units = -1"):
        Thresholds(max_rep8_excess=2, min_units=-1)


@pytest.mark.parametrize("spec", dataclasses.fields(Thresholds), ids=lambda spec: spec.name)
def test_every_threshold_is_checked(spec: dataclasses.Field[Any]) -> None:
    """No field takes a text, so none can be forgotten by the checks."""
    with pytest.raises(SettingsError, match=spec.name):
        Thresholds.from_mapping({spec.name: "much"})
