"""Shares as people write them: ``0.05`` or ``5%``.

Every limit is a share 0..1. Someone who writes ``5`` means five percent, or does not know; so the number is not taken,
and the answer names both readings. This module imports nothing, because pytest loads it in every project.
"""

from __future__ import annotations

__all__ = ["parse_share"]


def parse_share(text: str) -> float:
    """``0.05`` and ``5%`` as 0.05.

    Raises:
        ValueError: no number, or not 0..1; says what was probably meant.
    """
    stripped = text.strip()
    number = stripped.removesuffix("%").strip()
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f"{text!r} is no number; write a share such as 0.05 or 5%") from None
    if stripped.endswith("%"):
        value /= 100
        if not 0 <= value <= 1:
            raise ValueError(f"{text} is not between 0% and 100%")
        return value
    if 1 < value <= 100:
        raise ValueError(f"{text} is not a share 0..1; did you mean {value / 100:g} or {value:g}%?")
    if not 0 <= value <= 1:
        raise ValueError(f"{text} is not a share 0..1")
    return value
