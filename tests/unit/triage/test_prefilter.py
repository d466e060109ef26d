"""The prefilter lets through every repeater, and decides the same compiled and interpreted."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.judging.lines import score_lines
from harness.triage.prefilter import suspects
from tests.support.texts import CLEAN, filler, labelled


def repeats(texts: list[str]) -> list[bool]:
    lines = (json.dumps({"text": text, "finish_reason": "length"}).encode() for text in texts)
    return [line.verdict.repeater for line in score_lines(lines)]


def test_no_labelled_repeater_is_missed() -> None:
    """Whatever the form of the loop: exact, numbered, templated, drifting, floods, tables without an end."""
    texts = [row["text"] for row in labelled(looping=True)]
    assert [
        t for t, found, flag in zip(texts, repeats(texts), suspects(texts), strict=True) if found and not flag
    ] == []


def test_prose_is_rejected() -> None:
    """Otherwise everything would be scored."""
    assert suspects([CLEAN, filler(12), "", "Yes."]) == [False] * 4


@pytest.mark.parametrize("unit", ["ha ", "The sea. ", "好的，", "1. Item\n", "@", "\n", "die und "])
def test_a_loop_in_a_long_answer_is_seen(unit: str) -> None:
    """Its share of the answer may be small."""
    text = filler(20) + " " + unit * 60
    assert suspects([text]) == [True]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(alphabet="ab好的1 .\n-", max_size=300), max_size=8))
def test_compiled_and_interpreted_agree(texts: list[str]) -> None:
    """The machine decides how fast it is, never what is found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_KERNELS", "interpreted")
        slow = suspects(texts)
        patch.setenv("HARNESS_KERNELS", "compiled")
        assert suspects(texts) == slow


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(alphabet="abcdefgh好的秋天 ,.0\n", min_size=1, max_size=30),
    st.integers(4, 40),
    st.integers(0, 12),
    st.integers(0, 40),
)
def test_what_full_scoring_finds_is_suspect(unit: str, copies: int, before: int, after: int) -> None:
    """Any unit, any number of copies, anywhere in an answer."""
    text = filler(before) + unit * copies + filler(12)[: after * 3]
    assert suspects([text])[0] or not repeats([text])[0]
