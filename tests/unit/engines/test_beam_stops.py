"""Stop strings end a hypothesis at the token that completes them, never earlier or later."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.engines.beam import BeamRules, BeamSearch, Hypothesis, Row
from harness.engines.beam.stops import StopStrings, cut_at

PIECES = ["a", "b", "ab", "ba", "User", "\nUser:", ":", "\n", " ", "<|im", "_end|>", "用", "户"]


def _decode(ids: list[int]) -> str:
    return "".join(PIECES[i] for i in ids)


@given(
    st.lists(st.integers(0, len(PIECES) - 1), max_size=20),
    st.lists(st.sampled_from(["\nUser:", "<|im_end|>", "ab", "用户", "b a"]), min_size=1, max_size=3),
)
def test_the_first_token_that_completes_a_stop_string_is_found(ids: list[int], stops: list[str]) -> None:
    """Against the plain test on the whole text after every token."""
    watch = StopStrings(stops, _decode)
    node = Hypothesis(None, -1, 0.0, 0)
    for place, token in enumerate(ids):
        node = Hypothesis(node, token, 0.0, 0)
        expected = any(stop in _decode(ids[: place + 1]) for stop in stops)
        assert watch(node) is expected
        if expected:
            break


def test_the_text_ends_before_the_earliest_stop_string() -> None:
    """The stop string is no part of the answer."""
    assert cut_at("one\nUser: two <|im_end|>", ("<|im_end|>", "\nUser:")) == "one"
    assert cut_at("one", ("two",)) == "one"


def test_a_search_ends_hypotheses_at_stop_strings() -> None:
    """A stop string counts like an end token: the hypothesis is finished and does not go on."""
    rules = BeamRules(
        width=2, max_tokens=5, prompt_length=3, eos_ids=frozenset(), stop_strings=True, early_stopping=True
    )
    search = BeamSearch(rules, StopStrings(["ab"], _decode))
    row = Row((0, 1, 8, 6), (-0.5, -0.6, -5.0, -6.0))
    while not search.done:
        search.step([row] * len(search.live))
    texts = {_decode(list(f.hypothesis.tokens())) for f in search.finished}
    assert texts == {"ab", "aab"} or all("ab" not in text[:-1] for text in texts)
    assert any(text.endswith("ab") for text in texts)
