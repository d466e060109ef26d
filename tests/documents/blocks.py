"""Fenced blocks of a Markdown page, with the directives that say how they are tested.

A directive is an HTML comment above a block, which no reader sees:

    <!-- not-run: REASON -->     the block is not executed
    <!-- file: PATH -->          the block is a file of the page's project
    <!-- exit: CODE -->          exit code of the block's commands; 0 by default
    <!-- env: NAME=VALUE -->     an environment variable for the block's commands; repeatable
    <!-- before: COMMAND -->     a command that runs before the block and may fail; repeatable
    <!-- project: empty -->      at the top of a page: its project is an empty folder
    <!-- project: own-model -->  the same, with a model in models/my-model and an adapter in adapters/v5.0
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "page_directive", "read_blocks"]

_DIRECTIVE = re.compile(r"^<!-- ([a-z-]+): (.*) -->$")
_FENCE = re.compile(r"^(`{3,}|:{3,})\s*(\S*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    line: int
    """Line of the opening fence, from 1."""
    directives: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str | None:
        """The value of the first directive ``name``; None where there is none."""
        return next((value for key, value in self.directives if key == name), None)

    def every(self, name: str) -> tuple[str, ...]:
        """The values of all directives ``name``."""
        return tuple(value for key, value in self.directives if key == name)

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of a console block, without the prompt."""
        return tuple(line[2:] for line in self.text.splitlines() if line.startswith("$ "))


def read_blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a page in order; MyST's own directives (``{...}``) are left out."""
    directives: list[tuple[str, str]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if match := _DIRECTIVE.match(line):
            directives.append((match[1], match[2]))
        elif fence := _FENCE.match(line):
            end = next(n for n in range(number + 1, len(lines)) if lines[n].startswith(fence[1]))
            if not fence[2].startswith("{"):
                yield Block(
                    language=fence[2],
                    text="\n".join(lines[number + 1 : end]) + "\n",
                    line=number + 1,
                    directives=tuple(directives),
                )
            directives = []
            number = end
        elif line.strip():
            directives = []
        number += 1


def page_directive(path: Path, name: str) -> str | None:
    """The value of a directive in the page's first line."""
    match = _DIRECTIVE.match(path.read_text(encoding="utf-8").splitlines()[0])
    return match[2] if match and match[1] == name else None
