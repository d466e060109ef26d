"""A trainer of the user's own, held to the contract of a trainer: a result, or an error of the harness.

An error that is none of the harness would end ``harness fix`` with a traceback, and ``sys.exit(0)`` in a library with
exit code 0, as if there had been nothing to fix. The weights themselves are checked where they are published.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import HarnessError, TrainerError
from trainers.base import OnProgress, Trainer, TrainRequest, TrainResult

__all__ = ["OwnTrainer"]


class OwnTrainer:
    """Calls another trainer, and names it in what goes wrong."""

    def __init__(self, name: str, trainer: Trainer) -> None:
        """``name`` is that of the settings."""
        self._name = name
        self._trainer = trainer

    def check(self) -> None:
        """See :meth:`trainers.base.Trainer.check`."""
        with self._named():
            self._trainer.check()

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        """See :meth:`trainers.base.Trainer.train`."""
        with self._named():
            result: object = self._trainer.train(request, on_progress)
        if not isinstance(result, TrainResult):
            raise TrainerError(
                f"trainer {self._name!r} gave a {type(result).__name__}; train() must give a TrainResult"
            )
        return result

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (HarnessError, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:
            told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise TrainerError(f"trainer {self._name!r} broke: {told}") from error
