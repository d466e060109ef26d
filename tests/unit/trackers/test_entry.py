"""An entry is made of ids and finite numbers alone."""

from __future__ import annotations

import math

import pytest

from harness.errors import SettingsError
from harness.trackers import open_tracker
from harness.trackers.entry import training_entry


def test_what_is_not_finite_is_left_out() -> None:
    """A tracker gets neither NaN nor infinity, and no series without a point."""
    series = {"training/loss": [(1, 0.7), (2, math.nan)], "training/margin": [(1, math.inf)]}
    entry = training_entry("v4.1", {"parent": "v4.0", "recipe": ""}, {"training/steps": 2, "x": math.nan}, series)
    assert entry.series == {"training/loss": ((1, 0.7),)}
    assert entry.metrics == {"training/steps": 2.0}
    assert entry.facts == {"parent": "v4.0"}


def test_options_that_a_tracker_does_not_take_are_named(tmp_path: object) -> None:
    """A misspelt option is not ignored."""
    with pytest.raises(SettingsError, match="foldr"):
        open_tracker("jsonl", tmp_path, {"foldr": "x"})  # type: ignore[arg-type]


def test_a_class_without_send_is_no_tracker(tmp_path: object) -> None:
    """It is refused by its type's name."""
    with pytest.raises(SettingsError, match="PosixPath"):
        open_tracker("pathlib:Path", tmp_path, {})  # type: ignore[arg-type]
