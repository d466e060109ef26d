"""Progress in a log: seldom, but at once when the kind of work changes."""

from __future__ import annotations

from harness.runs.progress import PacedLines


def test_a_state_is_shown_once_within_its_interval() -> None:
    """A log gets one line for each kind of work, and not one for each answer."""
    lines: list[str] = []
    paced = PacedLines(lines.append, every=3600)
    for state, text in (("sampling", "1/9"), ("sampling", "2/9"), ("training", "step 1"), ("training", "step 2")):
        paced.show(state, text)
    assert lines == ["1/9", "step 1"]


def test_without_an_interval_every_line_is_shown() -> None:
    """An interval of no length drops nothing."""
    lines: list[str] = []
    paced = PacedLines(lines.append, every=0)
    for text in ("1/2", "2/2"):
        paced.show("sampling", text)
    assert lines == ["1/2", "2/2"]
