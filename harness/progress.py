"""One line that says how far a run is: on a terminal it is rewritten, in a log it is repeated now and then.

Given up: a bar per case. What people ask while they wait is how much is left and whether it still moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.runner import RunnerProgress

__all__ = ["ProgressLine", "duration", "progress_line"]

_STATES = {"starting": "starting the engine", "proving": "proving that the adapter acts", "generating": "generating"}


def progress_line(progress: RunnerProgress, engine: str) -> str:
    """``generating with vllm: 12/48 answers (6 stored), 1,204 tokens, 01:10, about 02:30 left``."""
    state = _STATES.get(progress.state, progress.state)
    parts = [f"{state} ({engine}): {progress.done}/{progress.total} answers"]
    if progress.stored:
        parts[0] += f" ({progress.stored} stored)"
    if progress.tokens:
        parts.append(f"{progress.tokens:,} tokens")
    parts.append(duration(progress.seconds))
    made, left = progress.done - progress.stored, progress.total - progress.done
    if progress.state == "generating" and made and left:
        parts.append(f"about {duration(progress.seconds / made * left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """``mm:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


class ProgressLine:
    """Passes on a line at most every ``every`` seconds, and at once when the state changes."""

    def __init__(self, write: Callable[[str], None], engine: str, every: float) -> None:
        self._write = write
        self._engine = engine
        self._every = every
        self._last = float("-inf")
        self._state = ""

    def __call__(self, progress: RunnerProgress) -> None:
        now = time.monotonic()
        if progress.state == self._state and now - self._last < self._every:
            return
        self._last, self._state = now, progress.state
        self._write(progress_line(progress, self._engine))
