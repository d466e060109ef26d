"""The poorest window of a text, and how much of its end was said before."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.metrics import repetition
from harness.metrics.novelty import GRAM, LEAST, SUSPICIOUS, WINDOW
from harness.metrics.variety import BLOCK

words = st.lists(st.sampled_from([f"w{c}" for c in "abcdefghijklmnop"]), max_size=300)


@given(words)
@settings(max_examples=200, deadline=None)
def test_the_variety_is_that_of_brute_force(text: list[str]) -> None:
    """Windows of 64 words at every 32nd word; 64 for a text without a window."""
    starts = range(0, len(text) - BLOCK + 1, BLOCK // 2)
    wanted = min((len(set(text[k : k + BLOCK])) for k in starts), default=BLOCK)
    assert repetition(" ".join(text)).values["variety"] == wanted


@given(st.lists(st.sampled_from("abcdefgh"), max_size=400), st.integers(1, 40))
@example(list("abcdefgh") * 40, 3)
@settings(max_examples=200, deadline=None)
def test_the_stale_share_is_that_of_brute_force(draws: list[str], period: int) -> None:
    """Of the 4-grams in the last 192 units, those that stand earlier; 0 where little repeats."""
    units = (draws[:period] * (len(draws) // period + 1))[: len(draws)] if len(draws) > 200 else draws
    grams = [tuple(units[k : k + GRAM]) for k in range(len(units) - GRAM + 1)]
    first = max(GRAM, len(units) - WINDOW)
    values = repetition(" ".join(units)).values
    repeated = max(values["rep4"], values["rep8d"]) * len(units)
    wanted = 0.0
    if len(units) >= LEAST + GRAM and repeated >= SUSPICIOUS:
        wanted = sum(g in grams[:k] for k, g in enumerate(grams) if k >= first) / max(1, len(grams) - first)
    assert abs(values["stale"] - wanted) < 1e-9


def test_pictures_count_as_words() -> None:
    """Three of them in turn are poor, whatever stands between."""
    assert repetition("😅😂🤣" * 40).values["variety"] == 3
