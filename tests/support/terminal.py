"""A terminal without scrolling: what a person would see after each piece of output."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["Screen"]

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>78]|[\s\S]")


class Screen:
    """Takes text with the sequences that progress lines use; any other sequence that moves is an error."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        """The rows without blanks at their ends."""
        return ["".join(row).rstrip() for row in self._rows]

    def feed(self, text: str) -> None:
        for match in _SEQUENCE.finditer(text):
            if match[2]:
                self._control(match[1], match[2])
            elif match[0] == "\r":
                self._column = 0
            elif match[0] == "\n":
                self._down()
            elif match[0] >= " ":
                self._write(match[0])

    def _control(self, words: str, letter: str) -> None:
        number = int(words) if words.isdecimal() else 1
        match letter:
            case "A":
                self._row = max(0, self._row - number)
            case "C":
                self._column = min(self._width - 1, self._column + number)
            case "K":
                del self._rows[self._row][0 if words == "2" else self._column :]
            case "m" | "h" | "l":
                return
            case _:
                raise AssertionError(f"unexpected sequence CSI {words}{letter}")

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append([])

    def _write(self, character: str) -> None:
        wide = unicodedata.east_asian_width(character) in "WF"
        if self._column + (2 if wide else 1) > self._width:
            self._column = 0
            self._down()
        row = self._rows[self._row]
        row.extend(" " * (self._column - len(row)))
        row[self._column : self._column + 1] = [character]
        self._column += 1
        if wide:
            row[self._column : self._column + 1] = [""]
            self._column += 1
