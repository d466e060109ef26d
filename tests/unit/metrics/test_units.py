"""What a unit is, in every script that the suite's answers come in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.kernels import unit_bounds


def units(text: str) -> list[str]:
    return [text[a:b] for a, b in unit_bounds(text)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("I don't know.", ["I", "don't", "know", "."], id="english"),
        pytest.param("我很好。", ["我", "很", "好", "。"], id="chinese"),
        pytest.param("カタカナとひらがな", list("カタカナとひらがな"), id="japanese"),
        pytest.param("나는 학생입니다.", ["나는", "학생입니다", "."], id="korean"),
        pytest.param("มีที่", ["มี", "ที่"], id="thai marks"),
        pytest.param("เกาะ", ["เกาะ"], id="thai vowels around a consonant"),
        pytest.param("مرحبا، كيف؟", ["مرحبا", "،", "كيف", "؟"], id="arabic"),
        pytest.param("Привет, мир!", ["Привет", ",", "мир", "!"], id="cyrillic"),
        pytest.param("नमस्ते।", ["नमस्ते", "।"], id="devanagari"),
        pytest.param("👍🏽👩‍🚀❤️", ["👍🏽", "👩‍🚀", "❤️"], id="emoji sequences"),
        pytest.param("x1 = f(a_b)", ["x", "1", "=", "f", "(", "a_b", ")"], id="code"),
        pytest.param("3.14 2026", ["3", ".", "14", "2026"], id="digits"),
        pytest.param("ok... ----- ok", ["ok", ".", ".", ".", "-----", "ok"], id="drawn line"),
        pytest.param("第十二，好。", ["第", "十二", "，", "好", "。"], id="chinese ordinal"),
        pytest.param("三、好 一个", ["三", "、", "好", "一", "个"], id="chinese numeral"),
        pytest.param("cafe\u0301 e\u0301", ["cafe\u0301", "e\u0301"], id="combining marks"),
        pytest.param(" \n\t\u3000\u200b", [], id="white space only"),
    ],
)
def test_text_is_split_into_the_units_of_its_script(text: str, want: list[str]) -> None:
    """One CJK character, one word, one run of digits, one mark: one unit."""
    assert units(text) == want


@given(st.text(max_size=60))
def test_units_cover_everything_but_white_space(text: str) -> None:
    """Units are in order, do not overlap, and leave out nothing that can be seen."""
    bounds = unit_bounds(text)
    assert all(a < b for a, b in bounds)
    assert all(b <= c for (_, b), (c, _) in pairwise(bounds))
    covered = {i for a, b in bounds for i in range(a, b)}
    assert not [c for i, c in enumerate(text) if i not in covered and c.isalnum()]


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_new_line_starts_a_new_unit(before: str, after: str) -> None:
    """Texts joined by a line break have the units of both."""
    assert units(before + "\n" + after) == units(before) + units(after) or any(
        c in "一二三四五六七八九十百千〇零第" for c in before + after
    )
