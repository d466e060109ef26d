"""Hostile text in the real programs that show a run: nothing runs, nothing changes, every text is shown."""

from __future__ import annotations

import os

import pytest

from tests.soak.hostile import hostile_report, hostile_texts
from tests.soak.hostile_sinks import SINKS, Unavailable

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("sink", SINKS)
def test_hostile_text_does_nothing(sink: str) -> None:
    """Every string of the list in every place, in one run; ``make soak`` adds thousands made of their pieces."""
    texts = hostile_texts(0, seed=0)
    try:
        problems = SINKS[sink](hostile_report(texts), texts)
    except Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}; .ci/run installs it")
        pytest.skip(str(error))
    assert problems == []
