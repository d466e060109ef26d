"""Prompts as data: when two of them are the same, and how one may be varied without asking something else.

Sibling prompts (the sea, the moon) differ by a word and are different cases. A greeting, a punctuation mark or a typing
error makes no new prompt. A share of equal characters cannot decide, since a long template would always reach it. What
decides is the rest, when everything that the two prompts have in common is removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from rapidfuzz import fuzz

from harness.cases.model import Message

__all__ = ["same_prompt", "varied"]

_TOKEN = re.compile(r"[぀-ヿ㐀-鿿豈-﫿가-힯]|[^\W_]+")
_POLITE = frozenset(
    (
        "please",
        "kindly",
        "hello",
        "hi",
        "hey",
        "thanks",
        "thank",
        "you",
        "can",
        "could",
        "would",
        "me",
        "a",
        "an",
        "the",
    )
)
_POLITE_ZH = re.compile("请|你好|您好|谢谢|麻烦|帮我|帮忙")
_TYPO = 85.0
"""rapidfuzz ratio from which two differing words of eight letters and more are one, mistyped."""
_MAX_EXTRA_SHARE = 0.1
"""Share of words that one prompt may have beyond the other's and still be the same."""
_MAX_VARIED_LENGTH = 200
"""Characters of a prompt that is varied; a longer one may be a text with an order of its own."""


def same_prompt(one: Sequence[Message], other: Sequence[Message]) -> bool:
    """Whether two conversations ask the same, except for politeness, punctuation, order or typing errors."""
    first, second = Counter(_words(one)), Counter(_words(other))
    here, there = sorted((first - second).elements()), sorted((second - first).elements())
    if not here and not there:
        return True
    if not here or not there:
        extra = len(here) + len(there)
        return extra <= _MAX_EXTRA_SHARE * max(first.total(), second.total())
    if len(here) != len(there):
        return False
    return all(_mistyped(a, b) for a, b in zip(here, there, strict=True))


def varied(messages: Sequence[Message], number: int) -> tuple[Message, ...] | None:
    """The conversation with a slightly varied prompt; None where the meaning might change.

    Safe is a single short line in ordinary words, in a conversation of one turn: no code, no quotation, no template.
    """
    *before, last = messages
    text = last.content.strip()
    if any(m.role != "system" for m in before) or "\n" in text or len(text) > _MAX_VARIED_LENGTH or not text:
        return None
    if re.search(r"[`{}<>|\\\"“”「」：:=]", text):
        return None
    chinese = any("㐀" <= c <= "鿿" for c in text)
    bare = text.rstrip(".。!！?？")
    ways = ("你好，{text}", "{bare}", "{text}谢谢。") if chinese else ("Hello! {text}", "{bare}", "{text} Thanks.")
    content = ways[number % len(ways)].format(text=text, bare=bare)
    return (*before, Message("user", content)) if content != last.content else None


def _mistyped(one: str, other: str) -> bool:
    """Whether two words are the same, one mistyped: letters swapped, or a long word off by one."""
    if not (one.isalpha() and other.isalpha() and len(one) > 2):
        # Another number is another prompt, however alike it looks.
        return False
    return sorted(one) == sorted(other) or (len(one) >= 8 and fuzz.ratio(one, other) >= _TYPO)


def _words(messages: Sequence[Message]) -> list[str]:
    """Words and CJK characters of all user turns, without polite phrases."""
    text = " ".join(m.content for m in messages if m.role == "user")
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = _TOKEN.findall(plain)
    return [w for w in _TOKEN.findall(_POLITE_ZH.sub("", plain)) if w not in _POLITE] or words
