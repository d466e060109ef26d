"""Shares: a percent sign is understood, and a bare 5 is answered in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.safe.shares import parse_share


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.05", 0.05), ("5%", 0.05), (" 5 % ", 0.05), ("0", 0.0), ("1", 1.0), ("100%", 1.0), ("2.5%", 0.025)],
)
def test_a_share_is_read_in_both_forms(text: str, value: float) -> None:
    """A fraction and a percentage mean the same."""
    assert parse_share(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5", "did you mean 0.05 or 5%?"),
        ("12.5", "did you mean 0.125 or 12.5%?"),
        ("-1", "not a share"),
        ("nan", "not a share"),
        ("inf%", "between 0% and 100%"),
        ("101%", "between 0% and 100%"),
        ("many", "no number"),
        ("", "no number"),
    ],
)
def test_what_is_no_share_is_answered_in_words(text: str, says: str) -> None:
    """The message says what was probably meant."""
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_share(text)
    assert says in str(caught.value)


@given(st.text(max_size=20))
def test_any_text_is_a_share_or_refused(text: str) -> None:
    """No text gives a number outside 0..1."""
    try:
        assert 0 <= parse_share(text) <= 1
    except ValueError:
        return
