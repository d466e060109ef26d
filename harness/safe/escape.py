r"""Makes untrusted text safe for one kind of output at a time.

Model answers, prompts, case ids and error messages are hostile input. They may hold terminal escapes, markup,
spreadsheet formulas, characters that a file format forbids, or lone surrogates that no encoder accepts. There is one
function for each kind of output, and every dynamic string passes through it on its way out. Safety is so decided in one
place and tested once for each output. Nothing is dropped: what cannot be shown is shown as ``\xNN`` or ``\uNNNN``.
Secrets are replaced on the way (:mod:`harness.safe.secrets`).

Not supported: reversibility. A text that holds the four characters ``\x1b`` reads the same as one that held ESC. The
exact text is in the JSON export and in the store.
"""

from __future__ import annotations

import html
import re

from harness.safe.secrets import scrub

__all__ = [
    "for_code_block",
    "for_csv",
    "for_html",
    "for_json",
    "for_page",
    "for_terminal",
    "for_utf8",
    "for_xlsx",
    "for_xml",
    "shorten",
    "well_formed",
]

XLSX_LIMIT = 32_767
"""Maximum of UTF-16 units that a spreadsheet cell holds (Excel's limit; openpyxl cuts there silently)."""

_C0 = r"\x00-\x08\x0b-\x1f\x7f"  # all but tab and newline
_C1 = r"\x80-\x9f"
_SURROGATES = r"\ud800-\udfff"
_NONCHARACTERS = r"\ufffe\uffff"
# Controls that reorder what stands around them (UAX 9), and the separators that JavaScript and some terminals take
# for ends of lines. Zero-width joiners stay: emoji and several scripts need them.
_REORDERING = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029"

_NOT_FOR_PEOPLE = re.compile(f"[{_C0}{_C1}{_SURROGATES}{_NONCHARACTERS}{_REORDERING}]")
_LINE_OR_TAB = re.compile(r"[\n\t]")
_NOT_XML = re.compile(f"[{_C0}{_C1}{_SURROGATES}{_NONCHARACTERS}]")
_NOT_UTF8 = re.compile(f"[{_SURROGATES}]")
_NOT_CSV = re.compile(f"[\\x00{_SURROGATES}]")
# ECMA-376 part 1, 22.9.2.19 (ST_Xstring): spreadsheets read _xHHHH_ as the character HHHH.
_XSTRING_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_FENCE = re.compile("`{3,}")
# What a spreadsheet takes for a formula, the full-width forms included (OWASP, "CSV Injection"), also behind characters
# that some spreadsheets skip: white space, controls, zero-width characters, quotes.
_FORMULA = re.compile(r"[\s\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2060\ufeff'\"]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def for_terminal(text: str, keep_newlines: bool = True) -> str:
    r"""Text that a terminal prints and never obeys.

    No C0 or C1 control but newline and tab, so no escape sequence can start; no character that reorders its
    surroundings; always encodable. With ``keep_newlines=False`` newline and tab are shown as ``\n`` and ``\t``: one
    line in, one line out. Rich markup is not escaped: give the result to ``rich.text.Text``.
    """
    safe = _NOT_FOR_PEOPLE.sub(_visible, scrub(text))
    return safe if keep_newlines else _LINE_OR_TAB.sub(lambda m: "\\n" if m[0] == "\n" else "\\t", safe)


def for_json(text: str) -> str:
    r"""JSON text that a terminal can show: what it must not obey stands as ``\uNNNN``, which reads back exactly.

    Such characters occur inside strings only, because everything else in JSON is plain ASCII.
    """
    return _NOT_FOR_PEOPLE.sub(lambda match: f"\\u{ord(match[0]):04x}", scrub(text))


def for_html(text: str) -> str:
    """Text for an HTML element or a double- or single-quoted attribute; never for a script, style or URL."""
    return html.escape(_NOT_FOR_PEOPLE.sub(_visible, scrub(text)), quote=True)


def for_page(text: str) -> str:
    """Text that the page's script makes a text node of: nothing is markup there, but controls are shown."""
    return _NOT_FOR_PEOPLE.sub(_visible, scrub(text))


def for_xml(text: str) -> str:
    """Text of characters that XML 1.0 allows, for a writer that escapes ``&``, ``<`` and ``>`` itself.

    For names of attributes' values too: pytest's JUnit writer leaves property names as they are.
    """
    return _NOT_XML.sub(_visible, scrub(text))


def for_xlsx(text: str) -> str:
    """Text for one spreadsheet cell: allowed characters, at most 32,767 UTF-16 units, a marker where it was cut.

    The cell must still be marked as text (``cell.data_type = "s"``): a leading ``=`` stays as it is.
    """
    safe = _XSTRING_ESCAPE.sub("_x005F_", _NOT_XML.sub(_visible, scrub(text)))
    if len(safe) <= XLSX_LIMIT // 2 or _utf16_units(safe) <= XLSX_LIMIT:
        return safe
    marker = f" [cut: {len(text):,} characters in all, see the JSON report]"
    return _first_utf16_units(safe, XLSX_LIMIT - len(marker)) + marker


def for_code_block(text: str) -> str:
    """Text as a part of one line in a fenced code block of Markdown.

    Nothing in such a block has a meaning but the end of the block, so three and more backticks become apostrophes. No
    user is mentioned there, no issue linked and no emoji made of what a model wrote.
    """
    return _FENCE.sub(lambda match: "'" * len(match[0]), for_terminal(text, keep_newlines=False))


def for_utf8(text: str) -> str:
    """The same text, with lone surrogates made visible so that it can be encoded."""
    return _NOT_UTF8.sub(_visible, scrub(text))


def well_formed(text: str) -> str:
    """The same text with U+FFFD for each lone surrogate, as a decoder writes half of a character: for tokenizers."""
    return _NOT_UTF8.sub("\ufffd", text)


def for_csv(text: str) -> str:
    """Text for one CSV field; quoting separators and quotes is the csv writer's work.

    A text that a spreadsheet would take for a formula gets a leading apostrophe (OWASP, "CSV Injection"), negative
    numbers that come as text too.
    """
    safe = _NOT_CSV.sub(_visible, scrub(text))
    return f"'{safe}" if _FORMULA.match(safe) else safe


def shorten(text: str, limit: int) -> str:
    """The text, or its first ``limit - 1`` characters and an ellipsis: never more than ``limit`` characters."""
    if len(text) <= limit:
        return text
    return text[: max(limit - 1, 0)].rstrip() + "…" if limit > 0 else ""


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _first_utf16_units(text: str, units: int) -> str:
    """The longest start of ``text`` that takes at most ``units`` UTF-16 units and splits no character."""
    taken = 0
    for index, char in enumerate(text):
        taken += 2 if char > "\uffff" else 1
        if taken > units:
            return text[:index]
    return text
