"""How a command writes: whether it may be loud, and whether it may use colour. One place decides each.

``--quiet`` silences progress and hints; results and errors stay. Colour follows ``NO_COLOR`` and ``FORCE_COLOR``
(no-color.org, force-color.org), then the terminal. A set and empty variable counts as unset, as both pages say. pytest
decides for its own output by the same variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TextIO

__all__ = ["is_quiet", "set_quiet", "wants_color"]

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def set_quiet(quiet: bool) -> None:
    """Say whether progress and hints are silent from now on."""
    _quiet.set(quiet)


def is_quiet() -> bool:
    """Whether progress and hints are silent."""
    return _quiet.get()


def wants_color(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Whether what is written to ``stream`` may be coloured."""
    variables = os.environ if environment is None else environment
    if variables.get("NO_COLOR"):
        return False
    if variables.get("FORCE_COLOR"):
        return True
    return stream.isatty() and variables.get("TERM") != "dumb"
