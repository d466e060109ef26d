"""Problems of case files, collected before anything is raised.

A person who wrote forty records wants one message with all five mistakes. Every problem is one line that names the
place and the remedy, and quotes at most a few characters of the input. A case file is untrusted input, so nothing of it
reaches a terminal unescaped or at full length.

Not supported: more than twenty lines; the first line gives the total.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import CaseFileError
from harness.safe.escape import for_terminal
from harness.safe.nearest import nearest_name

__all__ = ["MAX_SHOWN", "Problems", "kind", "nearest", "quote", "show"]

MAX_SHOWN = 20
"""Problems that are spelled out; the rest is only counted."""


def quote(value: object, limit: int = 60) -> str:
    """A value as Python would write it, at most ``limit`` characters; containers only by their kind."""
    if isinstance(value, str):
        # Cut first: the repr of a text of 60 MB would be made only to be thrown away.
        return repr(value) if len(value) <= limit else f"{value[:limit]!r}…"
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a huge number"
    return kind(value)


def kind(value: object) -> str:
    """What a value is called by people who write case files."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "a string"),
        (bool, "true or false"),
        ((int, float), "a number"),
        (list, "a list"),
        (dict, "an object"),
    )
    return "null" if value is None else next((name for t, name in names if isinstance(value, t)), type(value).__name__)


def show(path: Path) -> str:
    """A path on one line that a terminal prints and never obeys."""
    return for_terminal(str(path), keep_newlines=False)


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'text'?`` where a known name is close, else the list of known names."""
    names = list(known)
    close = nearest_name(name.lower(), names)
    return f"did you mean {close!r}?" if close else f"known are: {', '.join(names)}"


class Problems:
    """The problems found so far, in the order of the files."""

    def __init__(self) -> None:
        self.count = 0
        """All problems, those beyond :data:`MAX_SHOWN` too."""
        self.lines: list[str] = []
        """The first :data:`MAX_SHOWN`, a line each."""

    @property
    def full(self) -> bool:
        """Whether further problems are only counted, so that their texts need not be made."""
        return len(self.lines) >= MAX_SHOWN

    def add(self, place: str, what: str) -> None:
        """Note that ``what`` (and the remedy) is true of ``place`` (file, record, field)."""
        self.count += 1
        if not self.full:
            self.lines.append(for_terminal(f"{place}: {what}", keep_newlines=False))

    def check(self) -> None:
        """Pass when nothing was found.

        Raises:
            CaseFileError: one line for one problem; for more a line with their count, then a line each.
        """
        if self.count == 0:
            return
        if self.count == 1:
            raise CaseFileError(self.lines[0])
        first = f", the first {len(self.lines)}" if self.count > len(self.lines) else ""
        raise CaseFileError("\n  ".join([f"{self.count} problems in case files{first}:", *self.lines]))
