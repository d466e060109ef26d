"""Hostile text never harms the sink that it is written to, and what is harmless arrives unchanged."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.safe.escape import (
    XLSX_LIMIT,
    for_csv,
    for_html,
    for_page,
    for_terminal,
    for_utf8,
    for_xlsx,
    for_xml,
    shorten,
)
from tests.support.hostile import HOSTILE

hostile = pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
# Surrogates and controls are as likely as letters: the plain strategy draws them too rarely.
anything = st.text(st.characters() | st.characters(categories=["Cs", "Cc", "Cf"]) | st.sampled_from("=+-@_x0D<>&\"'[]"))

BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def assert_terminal_safe(shown: str, allowed: str = "\n\t") -> None:
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in allowed]
    assert not BIDI & set(shown)
    shown.encode("utf-8")


class Collector(HTMLParser):
    """Everything a browser would take for markup."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.other: list[str] = []
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.data.append(data)

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)


def assert_html_safe(text: str) -> None:
    shown = for_html(text)
    parser = Collector()
    parser.feed(f"<p title=\"{shown}\">{shown}</p><p title='{shown}'></p>")
    parser.close()
    assert [tag for tag, _ in parser.tags] == ["p", "p"]
    assert [[name for name, _ in attrs] for _, attrs in parser.tags] == [["title"], ["title"]]
    assert not parser.other
    assert {value for _, attrs in parser.tags for _, value in attrs} == {"".join(parser.data)}
    shown.encode("utf-8")


def assert_xml_safe(text: str) -> None:
    root = ET.Element("property", name=for_xml(text))
    root.text = for_xml(text)
    again = ET.fromstring(ET.tostring(root, encoding="utf-8"))
    assert (again.text or "") == for_xml(text)


def assert_xlsx_safe(text: str) -> None:
    shown = for_xlsx(text)
    assert len(shown.encode("utf-16-le")) // 2 <= XLSX_LIMIT
    assert not re.search(r"[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]", shown)
    assert not re.search(r"_x(?!005F_)[0-9A-Fa-f]{4}_", shown.replace("_x005F_x", "")), "would be read as a character"


def assert_csv_safe(text: str) -> None:
    shown = for_csv(text)
    sheet = io.StringIO(newline="")
    csv.writer(sheet).writerow(["id", shown])
    (row,) = csv.reader(io.StringIO(sheet.getvalue(), newline=""))
    assert row == ["id", shown]
    first = shown.lstrip(" \u200b\ufeff\u00a0\u2060")[:1]
    assert first not in set("=+-@＝＋－＠\t\r\n") or not first
    sheet.getvalue().encode("utf-8")


@hostile
def test_a_terminal_gets_no_escapes_no_controls_and_no_reordering(text: str) -> None:
    """Nothing that moves the cursor, colours, rings, links or reorders reaches the terminal."""
    assert_terminal_safe(for_terminal(text))
    assert_terminal_safe(for_terminal(text, keep_newlines=False), allowed="")


@given(anything)
def test_a_terminal_is_safe_from_any_text(text: str) -> None:
    """The promise holds for arbitrary text too."""
    assert_terminal_safe(for_terminal(text))
    assert_terminal_safe(for_terminal(text, keep_newlines=False), allowed="")


@hostile
def test_html_stays_one_text_without_markup(text: str) -> None:
    """No text becomes an element, attribute, comment or declaration."""
    assert_html_safe(text)


@given(anything)
def test_html_is_safe_from_any_text(text: str) -> None:
    """The promise holds for arbitrary text too."""
    assert_html_safe(text)


@hostile
def test_xml_can_be_parsed_back(text: str) -> None:
    """Values and attribute values hold only characters that XML 1.0 allows."""
    assert_xml_safe(text)


@given(anything)
def test_xml_is_safe_from_any_text(text: str) -> None:
    """The promise holds for arbitrary text too."""
    assert_xml_safe(text)


@hostile
def test_a_spreadsheet_cell_holds_the_text_within_its_limits(text: str) -> None:
    """Only allowed characters, at most 32,767 UTF-16 units, nothing that is read as an escape."""
    assert_xlsx_safe(text)


@given(anything)
def test_a_spreadsheet_cell_is_safe_from_any_text(text: str) -> None:
    """The promise holds for arbitrary text too."""
    assert_xlsx_safe(text)


@hostile
def test_a_csv_field_is_no_formula(text: str) -> None:
    """No field starts like a formula, however it is padded, and every row reads back."""
    assert_csv_safe(text)


@given(anything)
def test_a_csv_field_is_safe_from_any_text(text: str) -> None:
    """The promise holds for arbitrary text too."""
    assert_csv_safe(text)


@hostile
def test_utf8_takes_every_text(text: str) -> None:
    """Only lone surrogates change."""
    shown = for_utf8(text)
    shown.encode("utf-8")
    if not any(unicodedata.category(c) == "Cs" for c in text):
        assert shown == text


@pytest.mark.parametrize(
    "text",
    ["The sea is blue.\n\tAnd deep.", "大海是蓝色的。", "naïve café 😀 👨‍👩‍👧", "שלום", "a < b & c"],
    ids=["english", "chinese", "emoji", "hebrew", "signs"],
)
def test_harmless_text_arrives_unchanged(text: str) -> None:
    """Escaping costs honest answers nothing."""
    assert for_terminal(text) == for_xml(text) == for_xlsx(text) == for_utf8(text) == for_csv(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[31m", "\\x1b[31m"), ("a\x9bb", "a\\x9bb"), ("\ud83d", "\\ud83d"), ("\u202e", "\\u202e")],
    ids=["esc", "c1", "surrogate", "bidi"],
)
def test_what_a_terminal_cannot_take_is_shown_and_not_dropped(text: str, shown: str) -> None:
    """A reader sees that there was something."""
    assert for_terminal(text) == shown


def test_one_line_in_is_one_line_out() -> None:
    """In a table's cell newline and tab are shown instead of obeyed."""
    assert for_terminal("a\nb\tc", keep_newlines=False) == "a\\nb\\tc"


def test_a_cut_cell_says_so_and_how_long_the_text_was() -> None:
    """Nobody takes a cut answer for the whole one."""
    shown = for_xlsx("😀" * 20_000)
    assert "cut: 20,000 characters" in shown
    assert shown.startswith("😀" * 16_000)
    assert for_xlsx("a" * XLSX_LIMIT) == "a" * XLSX_LIMIT


@given(anything, st.integers(0, 40))
def test_shortened_text_never_exceeds_the_limit(text: str, limit: int) -> None:
    """A limit is a limit, and short text stays whole."""
    short = shorten(text, limit)
    assert len(short) <= limit
    assert (short == text) == (len(text) <= limit) or short == text


def test_shortened_text_says_that_it_was_cut() -> None:
    """An ellipsis marks the cut."""
    assert shorten("The sea is blue.", 8) == "The sea…"


@given(anything)
def test_text_for_the_page_has_no_character_that_a_reader_cannot_see(text: str) -> None:
    """Controls and what reorders text are shown; everything can be encoded; markup stays as it is."""
    shown = for_page(text)
    assert_terminal_safe(shown)
    assert for_page("<b>&amp;</b>") == "<b>&amp;</b>"
