"""A loop is a loop, whatever nobody sees stands in its copies."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics import repetition
from harness.metrics.invisible import visible

COPY = "The waves roll in again and again tonight and nobody comes. "
COPIES = 12
INVISIBLE = ["\u200b", "\u00ad", "\u2063", "\ufeff", "\u200d", "\u200c", "\ufe0f", "\ue000", "\U000f1234", "\U000e0120"]


def looping(sign: str, *, every: int) -> str:
    """A loop in which one copy of so many has the sign in a word."""
    return "".join(COPY.replace("aves", f"a{sign}ves") if n % every == 0 else COPY for n in range(COPIES))


@pytest.mark.parametrize("sign", INVISIBLE, ids=[f"U+{ord(c):04X}" for c in INVISIBLE])
@pytest.mark.parametrize("every", [2, 3, 5])
def test_one_invisible_character_does_not_hide_a_loop(sign: str, every: int) -> None:
    """Such a loop passed."""
    text = looping(sign, every=every)
    scores = repetition(text)
    assert scores.values["repetition"] > 0.5
    (loop,) = scores.loops[:1]
    assert loop.copies == pytest.approx(COPIES, abs=1)
    assert (loop.start, loop.end) == (0, len(text.rstrip()))


def test_copies_that_differ_by_private_characters_are_copies() -> None:
    """Each has another one, as icons of a font are."""
    text = "".join(COPY.replace("waves", f"{chr(0xE000 + n)}waves") for n in range(COPIES))
    assert repetition(text).values["repetition"] > 0.5


@pytest.mark.parametrize("text", ["👨‍👩‍👧 and 👨‍👩‍👦", "❤️ and ☎️", "1️⃣ 2️⃣ 3️⃣"], ids=["family", "selector", "keycaps"])
def test_emoji_stay_what_they_are(text: str) -> None:
    """A joiner or selector behind an emoji is a part of it."""
    assert visible(text) is None


@given(st.text(st.sampled_from(["a", " ", "ж", "海", *INVISIBLE]), max_size=40))
def test_offsets_lead_back_to_the_same_characters(text: str) -> None:
    """Every visible character is found at its place in the whole text."""
    seen = visible(text)
    if seen is None:
        return
    assert [text[seen.offset(at)] for at in range(len(seen.text))] == list(seen.text)
    assert seen.offset(len(seen.text)) <= len(text)


def test_every_format_character_is_invisible() -> None:
    """By the Unicode tables of this Python; a new version may add some."""
    formats = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) == "Cf"]
    shown = [f"U+{ord(c):04X}" for c in formats if visible(f"a{c}b") is None]
    # Egyptian, shorthand and musical controls, and Arabic and Kaithi number signs, which are seen.
    assert len(shown) < 45
