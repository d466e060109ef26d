"""Watching an answer as it is written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.judging.results import Status
from harness.judging.stream import LoopWatch
from harness.judging.verdict import judge
from harness.metrics import score
from tests.support.builders import case
from tests.support.texts import CLEAN

LOOP = "The sea is blue. " * 200


def fed(text: str, size: int = 5) -> tuple[LoopWatch, int | None]:
    """A watch that was fed a text in pieces, and the characters after which it stopped."""
    watch = LoopWatch()
    for at in range(0, len(text), size):
        if watch.feed(text[at : at + size]):
            return watch, at + size
    return watch, None


def test_a_loop_is_told_while_it_is_written() -> None:
    """Little later than the verdict's rule allows."""
    watch, at = fed(LOOP)
    assert watch.failed
    assert at is not None
    per_unit = 17 / 5
    assert watch.units * per_unit <= at <= (watch.units + 40) * per_unit


def test_a_clean_answer_is_never_stopped() -> None:
    """However long it is."""
    assert fed(CLEAN * 2)[1] is None


@given(
    st.sampled_from(["sea ", "好，", "12, ", "the sea is blue. ", "- "]),
    st.text(alphabet="ab ,.\n海", max_size=60),
    st.text(alphabet="xyz ,.\n海1-", max_size=200),
    st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_what_is_stopped_fails_whatever_follows(period: str, before: str, after: str, size: int) -> None:
    """The same predicate as the early end of a search."""
    watch, at = fed(before + period * 300, size)
    assert at is not None
    of = case(standard_answer=None)
    assert judge(of, score(watch.text + after, of), "stop").status is Status.FAIL


def decode(ids: Sequence[int]) -> str:
    """Bytes as tokens, as byte-level tokenizers have them: a Chinese character is three."""
    return bytes(ids).decode("utf-8", "replace")


@given(st.text(alphabet="ab 海，😅", max_size=40), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_the_text_of_tokens_is_that_of_all_together(text: str, size: int) -> None:
    """However they come; a token may be a part of a character."""
    ids = list(text.encode())
    watch = LoopWatch(decode=decode)
    for at in range(0, len(ids), size):
        watch.feed_tokens(ids[at : at + size])
    assert watch.text == text


def test_a_flood_of_broken_characters_is_text_too() -> None:
    """It is not kept for ever, waiting for the rest of a character."""
    watch = LoopWatch(decode=decode)
    for _ in range(100):
        watch.feed_tokens([0xE6])
    assert len(watch.text) > 80


def test_a_loop_of_tokens_is_told_as_one_of_text_is() -> None:
    """At the same place but for the rest of a piece."""
    watch = LoopWatch(decode=decode)
    stopped = next(k for k, byte in enumerate(LOOP.encode(), 1) if watch.feed_tokens([byte]))
    assert stopped == fed(LOOP, 1)[1]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda: LoopWatch().feed_tokens([1]), "needs decode=", id="no decode"),
        pytest.param(lambda: LoopWatch(case(standard_answer="go on " * 40)), "is a loop", id="refused case"),
    ],
)
def test_wrong_use_is_named(make: object, says: str) -> None:
    """With what to do."""
    assert callable(make)
    with pytest.raises(UsageError, match=says):
        make()
