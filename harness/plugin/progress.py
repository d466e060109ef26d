"""The progress of a run beside pytest's result letters, without tearing them.

pytest writes a letter for each test behind the file's name and expects the cursor to stay there. On a terminal the
progress therefore has the line below: it is opened when there is something to say, and taken away before the test that
waited gets its letter. Elsewhere (a CI log) a line is written now and then, and pytest begins its own line again.

This module does not import pytest. Not supported: a line of progress while no test waits for its result.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

__all__ = ["LineBelow", "PacedLog", "ProgressSink", "progress_sink"]


class ProgressSink(Protocol):
    """Where the lines of progress go."""

    every: float
    """Seconds between two lines of the same state."""

    def show(self, line: str) -> None:
        """Show a line in the place of the last one."""
        ...

    def clear(self) -> None:
        """Take the line away; pytest writes next."""
        ...


class Nowhere:
    """Shows nothing."""

    every = 3600.0

    def show(self, line: str) -> None: ...

    def clear(self) -> None: ...


class PacedLog:
    """A line now and then, for logs."""

    every = 15.0

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal
        self._file: Path | None = None

    def show(self, line: str) -> None:
        # With -v it is the test's own line, which pytest begins again by itself.
        current = self._terminal.currentfspath
        self._file = current if isinstance(current, Path) else self._file
        self._terminal.ensure_newline()
        self._terminal.write_line(line)

    def clear(self) -> None:
        if self._file is not None:
            # Otherwise the next letter would stand alone at the begin of a line.
            self._terminal.write(f"{os.path.relpath(self._file, self._terminal.startpath)} ")
            self._terminal.currentfspath, self._file = self._file, None


class LineBelow:
    """A line below the one that pytest is writing."""

    every = 0.2

    def __init__(self, file: TextIO, position: Callable[[], int], width: Callable[[], int]) -> None:
        """Show on a terminal.

        Args:
            file: the terminal.
            position: how many columns of its line pytest has written.
            width: columns of the terminal.
        """
        self._file = file
        self._position = position
        self._width = width
        self._open = False

    def show(self, line: str) -> None:
        width = self._width()
        if not self._open:
            written = self._position()
            if written and written % width == 0:
                # The cursor hangs behind the last column, where no sequence brings it back to.
                return
            self._file.write("\n")
            self._open = True
        self._file.write(f"\r{clip(line, width - 1)}\x1b[K")
        self._file.flush()

    def clear(self) -> None:
        if not self._open:
            return
        self._open = False
        column = self._position() % self._width()
        self._file.write("\r\x1b[K\x1b[A" + (f"\x1b[{column}C" if column else ""))
        self._file.flush()


def progress_sink(terminal: Any, verbosity: int, environment: Mapping[str, str]) -> ProgressSink:
    """The place for progress of a pytest session.

    Args:
        terminal: pytest's terminal reporter; None without one.
        verbosity: below 0 nothing is shown.
        environment: ``TERM=dumb`` is a terminal without a cursor.
    """
    if terminal is None or verbosity < 0:
        return Nowhere()
    if terminal.isatty and environment.get("TERM", "") not in ("", "dumb"):
        writer = terminal._tw
        return LineBelow(writer._file, lambda: int(writer.width_of_current_line), lambda: int(writer.fullwidth))
    return PacedLog(terminal)


def clip(text: str, columns: int) -> str:
    """As much of ``text`` as fits into ``columns``; a wide character takes two."""
    used = 0
    for index, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns:
            return text[:index]
    return text
