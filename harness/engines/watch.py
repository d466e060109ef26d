"""Tells when an engine has been silent for too long; pure but for the clock.

A sign of life is what brings the run forward: the start's end, a token, an answer. Messages alone are none, since a
hanging engine may go on to report that it is busy.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.engines.base import Progress
from harness.project.deadlines import Deadlines

__all__ = ["EngineWatch"]


class EngineWatch:
    """Follows one engine."""

    def __init__(self, deadlines: Deadlines, clock: Callable[[], float] = time.monotonic) -> None:
        self._deadlines = deadlines
        self._clock = clock
        self._began = self._sign = self._answer = clock()
        self._phase = "engine_start"
        self._tokens = 0

    def call(self) -> None:
        """Answers are asked for."""
        self._phase = "first_token"
        self._tokens = 0
        self._sign = self._answer = self._clock()

    def progress(self, progress: Progress) -> None:
        """The engine reports how far it is."""
        if progress.state == "running" and progress.tokens > self._tokens:
            self._tokens = progress.tokens
            self._moved()

    def answered(self) -> None:
        """The engine gave an answer."""
        self._answer = self._clock()
        self._moved()

    def problem(self) -> str | None:
        """What took too long, with the setting that says so; None while nothing has."""
        now = self._clock()
        waited = {
            self._phase: now - self._sign,
            "run": now - self._began,
            **({} if self._phase == "engine_start" else {"answer": now - self._answer}),
        }
        for name, seconds in waited.items():
            limit: float = getattr(self._deadlines, name)
            if 0 < limit < seconds:
                return f"{_WORDS[name]} {limit:g} seconds (deadlines.{name})"
        return None

    def _moved(self) -> None:
        self._phase = "engine_stall"
        self._sign = self._clock()


_WORDS = {
    "engine_start": "did not start within",
    "first_token": "gave no first token within",
    "engine_stall": "gave no new token for",
    "answer": "gave no answer for",
    "run": "did not give all answers within",
}
