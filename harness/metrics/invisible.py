"""Characters that nobody sees, left out before repetition is counted.

A loop whose copies differ by a zero-width space or a private-use character is a loop. Left out are format characters
(Unicode category Cf), variation selectors and private-use characters. A joiner or selector behind an emoji stays, since
the emoji would be another picture without it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

__all__ = ["Visible", "visible"]

_FORMAT = (
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0001\U000e0020-\U000e007f"
)
_SELECTORS = r"\ufe00-\ufe0e\U000e0100-\U000e01ef"
_EMOJI = r"\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_PRIVATE = r"\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_JOINER = rf"(?<![\ufe0f{_EMOJI}])\u200d|(?<![0-9#*{_EMOJI}])\ufe0f"
_INVISIBLE = re.compile(f"[{_FORMAT}{_SELECTORS}{_PRIVATE}]|{_JOINER}")
# One class without exceptions, and one range for all planes above the emoji: three times as fast as the exact one.
_PERHAPS = re.compile(
    r"[\u00ad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    r"\ufff9-\ufffb\ue000-\uf8ff\U000e0001-\U0010fffd]"
)


class Visible:
    """A text without what nobody sees, and where its characters stand in the whole one."""

    def __init__(self, text: str, spans: Sequence[tuple[int, int]]) -> None:
        parts: list[str] = []
        self._starts: list[int] = []
        """Offset in the visible text of each part, and what was left out before it."""
        self._missing: list[int] = []
        at = kept = 0
        for first, last in [*spans, (len(text), len(text))]:
            if first > at:
                self._starts.append(kept)
                self._missing.append(at - kept)
                parts.append(text[at:first])
                kept += first - at
            at = last
        self.text = "".join(parts)

    def offset(self, at: int) -> int:
        """The offset in the whole text of an offset in the visible one."""
        place = bisect_right(self._starts, at) - 1
        return at + (self._missing[place] if place >= 0 else 0)


def visible(text: str) -> Visible | None:
    """``text`` without what nobody sees; None where there is nothing of the kind."""
    if text.isascii() or _PERHAPS.search(text) is None:
        return None
    spans = [match.span() for match in _INVISIBLE.finditer(text)]
    return Visible(text, spans) if spans else None
