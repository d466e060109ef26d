"""Replaces what identifies a person or opens a door: addresses, numbers and keys, each by a word for its kind.

Production logs hold what users typed. A case file is kept under version control for years, so a text that comes from a
log passes here first. Numbers with check digits (payment cards, Chinese ID numbers) are only replaced when these are
right; a digit string in a question of arithmetic stays. Known secrets of this machine are replaced by
:mod:`harness.safe.secrets`.

Not supported: names, postal addresses, and whatever else a pattern cannot tell. Read the cases before they are shared.
Every pattern is bounded, so a hostile text costs time in proportion to its length.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable

from harness.safe.secrets import scrub

__all__ = ["redact"]

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.{0,8000}?(?:-----END [A-Z ]{0,30}KEY-----|\Z)", re.DOTALL
)
_KEYS = re.compile(
    r"\b(?:sk|pk|rk)[-_](?:[A-Za-z]{2,12}[-_])?[A-Za-z0-9_-]{16,200}|\bgh[pousr]_[A-Za-z0-9]{20,200}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,200}|\bglpat-[A-Za-z0-9_-]{16,100}|\b(?:AKIA|ASIA|LTAI)[A-Za-z0-9]{12,24}\b"
    r"|\bAIza[A-Za-z0-9_-]{30,50}|\bhf_[A-Za-z0-9]{20,100}|\bxox[abposr]-[A-Za-z0-9-]{10,200}"
    r"|\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,2000}"
)
_NAMED_KEY = re.compile(
    r"(?i)\b((?:api[_-]?key|access[_-]?token|secret|password|passwd|authorization|bearer|token)[\"']?\s{0,3}[:=]?\s{0,3}[\"']?"
    r"(?:bearer\s{1,3})?)([A-Za-z0-9+/_.~-]{16,500}=*)"
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24}(?![\w-])")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,39}(?![\w:])")
_CHINESE_ID = re.compile(r"(?<![0-9A-Za-z])\d{17}[0-9Xx](?![0-9A-Za-z])")
_CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-])")
_PHONE = re.compile(
    r"(?<![\w.])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}(?![\w])"
    r"|(?<![\d.])(?:86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"
    r"|(?<![\d.])\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)|(?<![\d.])0\d{2,3}-\d{7,8}(?!\d)"
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def redact(text: str, counts: Counter[str] | None = None) -> str:
    """``text`` with ``[EMAIL]``, ``[PHONE]``, ``[CARD]``, ``[ID]``, ``[IP]`` and ``[KEY]`` in the place of each.

    Args:
        text: untrusted.
        counts: where the replacements are counted by kind.
    """
    tally: Counter[str] = Counter() if counts is None else counts

    def replace(pattern: re.Pattern[str], kind: str, right: Callable[[str], bool] = lambda _: True) -> None:
        nonlocal text

        def one(match: re.Match[str]) -> str:
            if not right(match[0]):
                return match[0]
            tally[kind] += 1
            return f"[{kind}]"

        text = pattern.sub(one, text)

    def named(match: re.Match[str]) -> str:
        # A word of letters alone ("token: authentication") is no key.
        if match[2].isalpha() and match[2].islower():
            return match[0]
        tally["KEY"] += 1
        return f"{match[1]}[KEY]"

    replace(_PRIVATE_KEY, "KEY")
    replace(_KEYS, "KEY")
    text = _NAMED_KEY.sub(named, text)
    if "@" in text:
        replace(_EMAIL, "EMAIL")
    replace(_IPV4, "IP", _address)
    if ":" in text:
        replace(_IPV6, "IP", _ipv6)
    replace(_CHINESE_ID, "ID", _chinese_id)
    replace(_CARD, "CARD", _card)
    replace(_PHONE, "PHONE")
    return scrub(text)


def _address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return value != "::"


def _ipv6(value: str) -> bool:
    """An address, and not the ``a::b`` of a program."""
    parts = value.split(":")
    return len(parts) > 2 and any(len(part) == 4 and not part.isalpha() for part in parts) and _address(value)


def _chinese_id(value: str) -> bool:
    """GB 11643-1999: a date of birth, and a check digit (ISO 7064, MOD 11-2)."""
    year, month, day = int(value[6:10]), int(value[10:12]), int(value[12:14])
    if not (1900 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    total = sum(w * int(d) for w, d in zip(_WEIGHTS, value[:17], strict=True))
    return "10X98765432"[total % 11] == value[17].upper()


def _card(value: str) -> bool:
    """ISO/IEC 7812: the number's check digit (Luhn), and more than one digit in it."""
    digits = [int(c) for c in value if c.isdigit()]
    total = sum(d if at % 2 == 0 else d * 2 - 9 * (d > 4) for at, d in enumerate(reversed(digits)))
    return total % 10 == 0 and len(set(digits)) > 1
