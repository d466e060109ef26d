"""Similarity to the standard answer, in units that suit the script."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import measure, similarity
from harness.metrics.kernels import coded_pair
from harness.metrics.similarity import normalise, order_similarities, split

NAMES = ("similarity", "similarity_characters", "similarity_token_set", "similarity_partial")


@given(st.text(max_size=80), st.text(max_size=80))
def test_every_scorer_is_a_share_and_one_for_equal_texts(one: str, other: str) -> None:
    """0..1 whatever the texts; a text is like itself, and comparing has no direction."""
    assert all(0.0 <= v <= 1.0 for v in similarity(one, other).values())
    assert tuple(similarity(one, one)) == NAMES
    assert set(similarity(one, one).values()) == {1.0}
    assert similarity(one, other)["similarity"] == similarity(other, one)["similarity"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("ＡＢＣ １２３", "abc 123", id="width and case"),
        pytest.param("ﬁne", "fine", id="ligature"),
        pytest.param("a  b\n\nc", "a b c", id="white space"),
        pytest.param("cafe\u0301", "café", id="combining accent"),
    ],
)
def test_normalised_texts_are_alike(one: str, other: str) -> None:
    """NFKC, case and white space make no difference."""
    assert similarity(one, other)["similarity"] == 1.0


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        pytest.param("similarity", "The sea is wide and very old.", id="ratio"),
        pytest.param("similarity_token_set", "old and wide is the sea .", id="order does not count"),
        pytest.param(
            "similarity_partial",
            "Well, as I said: The sea is wide and old. So it was, and so it will be.",
            id="a window",
        ),
    ],
)
def test_each_scorer_forgives_what_it_is_for(name: str, answer: str) -> None:
    """A word more, another order, a frame around it."""
    assert similarity(answer, "The sea is wide and old.")[name] >= 0.8


def test_unrelated_texts_are_far_apart_in_both_scripts() -> None:
    """Units are words in English and characters in Chinese: neither pair looks half alike."""
    assert similarity("The sea is wide and old.", "Copper carries heat better than steel.")["similarity"] < 0.3
    assert similarity("大海宽广而古老。", "铜的导热性比钢好。")["similarity"] < 0.3


def test_a_long_text_is_compared_by_its_beginning() -> None:
    """Quadratic scorers are bounded: a megabyte takes no longer than a few pages."""
    words = " ".join(f"w{k}" for k in range(200_000))
    assert similarity(words, words[:300_000])["similarity"] == 1.0


PIECES = [
    "The Sea ", "大海，", "ＡＢＣ ", "① ", "Straße ", "e\u0301 ", "\u1112\u1161\u11ab ", "ﬁ ", "…… ", "İ ", "ㅎ ",
    "नि ", "2. ", "\ud800", "\n",
]  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), min_size=2, max_size=8))
@settings(max_examples=150, deadline=None)
def test_many_pairs_at_once_are_compared_as_one_pair_is(texts: list[str]) -> None:
    """The table that stands in for NFKC and case folding changes no result, also where context matters."""
    pytest.importorskip("numba")
    pairs = list(zip(texts, reversed(texts), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_KERNELS", "compiled")
        list(measure(["compile"]))
        assert order_similarities(pairs) == [similarity(one, other)["similarity"] for one, other in pairs]


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_pair_is_compared_equally_either_way(one: str, other: str) -> None:
    """Every script that hypothesis knows."""
    pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_KERNELS", "compiled")
        list(measure(["compile"]))
        assert order_similarities([(one, other)]) == [similarity(one, other)["similarity"]]


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_units_of_a_pair_are_those_of_each_text_alone(one: str, other: str) -> None:
    """Nothing runs across the place where two texts meet."""
    one, other = normalise(one), normalise(other)
    assert [list(text.units) for text in coded_pair(one, other)] == [split(one), split(other)]
