"""Scores for comparison that no verdict uses."""

from __future__ import annotations

import pytest

from harness.metrics.published import near_copies
from tests.support.texts import CLEAN, filler

VARIED = CLEAN.replace("boy", "girl").replace("green", "blue").replace("noon", "night")


@pytest.mark.parametrize(
    ("paragraphs", "share"),
    [
        pytest.param([CLEAN, VARIED], 0.0, id="too few"),
        pytest.param([filler(6), CLEAN, VARIED, CLEAN], 0.5, id="two of four"),
        pytest.param([p + "." for p in filler(12).split(". ")], 0.0, id="short lines"),
        pytest.param(["一座老磨坊坐落在河边，由来自北方的兄弟修建，粮食用船运来。"] * 3, 2 / 3, id="chinese"),
    ],
)
def test_paragraphs_that_share_half_of_their_pairs_are_near_copies(paragraphs: list[str], share: float) -> None:
    """Of three paragraphs or more, in any script."""
    assert near_copies("\n\n".join(paragraphs)) == pytest.approx(share)
