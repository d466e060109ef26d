"""Progress on a real pseudo terminal: pytest's own lines stay as pytest writes them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import Make
from tests.support.projects import record
from tests.support.pseudo_terminal import output_on_terminal
from tests.support.terminal import Screen

ROOT = Path(__file__).parents[2]
WORDS = ("sea", "hill", "calm", "boat", "rain", "moor")
SETTINGS = "[tool.harness.engine_options]\nstart = 0.6\ndelay = 0.25"
Watch = Callable[..., tuple[list[list[str]], list[str]]]


@pytest.fixture
def watch(project: Make) -> Watch:
    """Run pytest in a terminal of 80 columns; returns the screen after each piece of output, and the last screen."""

    def run(*words: str, **environment: str) -> tuple[list[list[str]], list[str]]:
        root = project(cases=[record(w) for w in WORDS], settings=SETTINGS)
        engine = "tests.support.slow_engine:SlowEngine"
        command = [sys.executable, "-m", "pytest", "badcases", "--engine", engine, *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **environment}
        screen, frames = Screen(80), []
        for piece in output_on_terminal(command, root, env):
            screen.feed(piece)
            frames.append(screen.lines)
        return frames, screen.lines

    return run


def states(frames: list[list[str]]) -> list[str]:
    """The states of the progress line, as they follow each other on the screen."""
    seen = [m[1] for f in frames for line in f if (m := re.match(r"(starting the engine|generating) \(", line))]
    return [state for i, state in enumerate(seen) if i == 0 or seen[i - 1] != state]


def test_result_letters_are_as_pytest_writes_them(watch: Watch) -> None:
    """The letters' line is whole at the end, was a whole line at each moment, and no progress is left behind."""
    frames, last = watch()
    letters = [line for line in last if line.startswith("badcases/test_badcases.py")]
    assert [line.split() for line in letters] == [["badcases/test_badcases.py", "F.....", "[100%]"]]
    for frame in frames:
        for line in frame:
            if line.startswith("badcases/test_badcases.py "):
                assert re.fullmatch(r"badcases/test_badcases\.py [.F]*( +\[ *\d+%\])?", line)
    assert not any("answers," in line for line in last)


def test_the_progress_is_seen_while_it_works(watch: Watch) -> None:
    """The engine starts once and then generates; the line never goes back and fits the terminal."""
    frames, _ = watch()
    assert states(frames) == ["starting the engine", "generating"]
    shown = {line for frame in frames for line in frame if "answers" in line and "(" in line}
    assert any(re.search(r"\b[1-5]/6 answers", line) for line in shown)
    assert all(len(line) < 80 for line in shown)


def test_verbose_lines_are_as_pytest_writes_them(watch: Watch) -> None:
    """With -v each test has its line, also where it is longer than the terminal is wide."""
    _, last = watch("-v")
    text = "".join(last)
    for word in WORDS:
        verdict = "FAILED" if word == "sea" else "PASSED"
        assert re.search(rf"test_badcase\[badcase1/{word}@v4\.0\] {verdict} +\[ *\d+%\]", text)
    assert not any("answers," in line for line in last)


def test_the_progress_speaks_chinese_where_the_locale_does(watch: Watch) -> None:
    """Wide characters are counted as two columns, so that no line wraps."""
    frames, last = watch(HARNESS_LANGUAGE="zh")
    assert any("正在生成" in line for frame in frames for line in frame)
    assert any(re.fullmatch(r"badcases/test_badcases\.py F\.\.\.\.\. +\[100%\]", line) for line in last)


def test_a_terminal_without_a_cursor_gets_lines(watch: Watch) -> None:
    """``TERM=dumb`` is told now and then, in whole lines."""
    frames, last = watch(TERM="dumb")
    assert sum("answers" in line and "generating" in line for line in last) == 1
    assert states(frames)[-1] == "generating"
    letters = [line.split(" ", 1)[1].split()[0] for line in last if line.startswith("badcases/test_badcases.py ")]
    assert "".join(letters) == "F....."
