"""What identifies a person or opens a door is replaced; what only looks so is kept."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.safe.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail ann.lee+x@shop.example.com now", "Mail [EMAIL] now"),
        ("写信给 wang@example.cn。", "写信给 [EMAIL]。"),
        ("Call +44 20 7946 0958 or (212) 555-0123", "Call [PHONE] or [PHONE]"),
        ("手机13812345678，座机010-12345678", "手机[PHONE]，座机[PHONE]"),
        ("card 4111 1111 1111 1111 please", "card [CARD] please"),
        ("身份证11010519491231002X。", "身份证[ID]。"),
        ("from 192.168.1.20 and 2001:db8::ff00:42:8329", "from [IP] and [IP]"),
        ("key sk-proj-abcdefghijklmnop1234567890 end", "key [KEY] end"),
        ("AKIAIOSFODNN7EXAMPLE and ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[KEY] and [KEY]"),
        ('{"api_key": "9f8e7d6c5b4a39281706"}', '{"api_key": "[KEY]"}'),
        ("Authorization: Bearer abcDEF123456abcDEF123456", "Authorization: Bearer [KEY]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[KEY]"),
    ],
)
def test_personal_data_and_keys_are_replaced(text: str, expected: str) -> None:
    """Each by a word for its kind."""
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "What is 4111 1111 1111 1112 divided by 3?",
        "Version 1.2.3.456 of 2024-08-01 12:30:45",
        "pi is 3.14159265358979",
        "110105194912310021",
        "the password authenticationrequired is a word",
        "a::b in C++, std::vector, 12:30:45",
        "1,538 and 962",
        "0000 0000 0000 0000",
    ],
)  # fmt: skip
def test_what_only_looks_so_is_kept(text: str) -> None:
    """A wrong check digit, a version, a number of a question."""
    assert redact(text) == text


def test_replacements_are_counted() -> None:
    """By kind."""
    counts: Counter[str] = Counter()
    redact("a@b.com c@d.org 10.0.0.1", counts)
    assert counts == {"EMAIL": 2, "IP": 1}


@given(st.text(alphabet="a@.-:+ 0123456789XxBEGIN\n", max_size=400))
def test_nothing_is_found_twice(text: str) -> None:
    """A redacted text is stable."""
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "unit", ["a", "1 ", "a@", "a.", "1-", "-----BEGIN PRIVATE KEY-----", "::", "token "], ids=lambda unit: unit.strip()
)
def test_a_hostile_text_takes_no_longer_than_its_length(unit: str) -> None:
    """No pattern backtracks without a bound."""
    start = time.process_time()
    redact(unit * (200_000 // len(unit)))
    assert time.process_time() - start < 20
