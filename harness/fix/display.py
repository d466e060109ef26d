"""What a fix tells its caller while it works; the terminal's display implements it."""

from __future__ import annotations

from typing import Protocol

from harness.runs.runner import RunnerProgress
from trainers import TrainProgress

__all__ = ["Display"]


class Display(Protocol):
    """Shows the progress of a fix."""

    def step(self, text: str) -> None:
        """A new step begins."""

    def sampling(self, done: int, total: int) -> None:
        """Candidates are drawn."""

    def training(self, progress: TrainProgress) -> None:
        """The trainer is at work."""

    def running(self, progress: RunnerProgress) -> None:
        """Cases are run: for the checkpoints, or the suite again."""
