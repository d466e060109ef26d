"""Shows long work in a terminal: steps as lines, the work in progress as one bar that disappears at its end.

``harness fix``, ``pairs`` and ``train`` share it. Without a terminal (a CI log) there is no bar: a line appears when
the kind of work changes, and every half minute.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from harness.cli.output import is_quiet, wants_color
from harness.language import tr
from harness.runs.progress import PacedLines, state_text, training_line
from harness.runs.runner import RunnerProgress
from harness.safe.escape import for_terminal
from trainers import TrainProgress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["TerminalDisplay"]


class TerminalDisplay:
    """The display of a fix or a training; see :class:`harness.fix.fix.Display`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Show on ``stream``, or else on standard output, which stays free for JSON where that was asked for."""
        self._stream = stream or sys.stdout
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._lines = PacedLines(lambda text: self.echo(f"  {text}"), every=30)

    def echo(self, text: str) -> None:
        """Write a line that stays; nothing with ``--quiet``."""
        if is_quiet():
            return
        self._stream.write(for_terminal(text) + "\n")
        self._stream.flush()

    @contextmanager
    def live(self) -> Iterator[None]:
        """Own the terminal while the work runs."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        color = wants_color(self._stream)
        # Whether there is a bar is a question of the terminal; whether it has colours is another one.
        console = Console(
            file=self._stream, highlight=False, markup=False, emoji=False, no_color=not color,
            force_terminal=self._stream.isatty(), color_system="auto" if color else None,
        )  # fmt: skip
        columns = (TextColumn("{task.description}", markup=False), BarColumn(30))
        with Progress(*columns, console=console, transient=True, disable=self._disabled(console)) as self._progress:
            self._task = self._progress.add_task("", total=None)
            try:
                yield
            finally:
                self._progress.update(self._task, visible=False)

    @staticmethod
    def _disabled(console: Console) -> bool:
        return is_quiet() or not console.is_terminal or console.is_dumb_terminal

    def step(self, text: str) -> None:
        """Announce a step with a line that stays."""
        if self._progress is not None and not is_quiet():
            self._progress.console.print(f"- {for_terminal(text)}", soft_wrap=True)
            if not self._progress.disable:
                self._show("", text, 0, None)

    def sampling(self, done: int, total: int) -> None:
        """Show how many candidates are drawn."""
        self._show("candidates", tr("candidates {done}/{total}", done=done, total=total), done, total)

    def training(self, progress: TrainProgress) -> None:
        """Show steps, loss, reward margin and time left."""
        self._show(progress.phase, training_line(progress), progress.step, progress.total_steps or None)

    def running(self, progress: RunnerProgress) -> None:
        """Show how many answers of the suite there are."""
        text = f"{state_text(progress.state)} {progress.done}/{progress.total}"
        self._show(progress.state, text, progress.done, progress.total)

    def _show(self, state: str, text: str, done: int, total: int | None) -> None:
        if self._progress is None or self._task is None:
            return
        if self._progress.disable:
            self._lines.show(state, text)
        else:
            self._progress.update(self._task, description=for_terminal(text), completed=done, total=total)
