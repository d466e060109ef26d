"""Colour and silence are decided in one place."""

from __future__ import annotations

import io

import pytest

from harness.cli.output import wants_color


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environment", "color"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
    ids=["terminal", "pipe", "dumb", "no-color", "no-color-empty", "force", "force-empty", "both"],
)
def test_colour_follows_the_two_variables_and_then_the_terminal(
    terminal: bool, environment: dict[str, str], color: bool
) -> None:
    """NO_COLOR wins over FORCE_COLOR, and an empty variable counts as unset."""
    assert wants_color(Terminal() if terminal else io.StringIO(), environment) is color
