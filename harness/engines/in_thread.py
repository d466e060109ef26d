"""Runs an engine of the user's own in a thread, so that one that hangs can be given up.

The engine works only while somebody waits for its next outcome, as without the thread. A thread cannot be killed: an
engine that was given up may go on in the background, and is not used again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

from harness.engines.base import Engine, EngineInfo, OnProgress, Outcome, Progress, Request
from harness.engines.outcomes import as_engine_error, checked
from harness.engines.watch import EngineWatch
from harness.errors import EngineError
from harness.project.deadlines import Deadlines

__all__ = ["ThreadedEngine"]

_POLL = 0.2
_PATIENCE = 10.0
_END = object()
"""Stands for the end of the outcomes, which None does not: an engine may give one by mistake."""


class ThreadedEngine:
    """An engine that is made and asked in a thread of its own."""

    def __init__(
        self,
        make: Callable[[OnProgress], Engine],
        *,
        info: EngineInfo,
        deadlines: Deadlines,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Make the engine.

        Args:
            make: makes it; gets what to call with its progress.
            info: its identity.
            deadlines: after which it is given up.
            on_progress: called in the thread that waits.

        Raises:
            EngineError: it did not start in time, or raised an error that is none of the harness.
            HarnessError: what ``make`` raises.
        """
        self.info = info
        self._on_progress = on_progress or (lambda _: None)
        self._watch = EngineWatch(deadlines)
        self._tasks: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._given_up = False
        threading.Thread(target=self._work, daemon=True, name="engine").start()
        self._engine: Engine = self._wait(lambda: make(self._report))

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """See :meth:`harness.engines.base.Engine.generate`."""
        self._watch.call()
        outcomes = self._wait(lambda: iter(self._engine.generate(requests)))
        with closing(self._each(outcomes)) as each:
            yield from checked(self.info.name, each, requests)

    def _each(self, outcomes: Iterator[object]) -> Generator[object, None, None]:
        try:
            while (outcome := self._wait(lambda: next(outcomes, _END))) is not _END:
                self._watch.answered()
                yield outcome
        finally:
            if not self._given_up and hasattr(outcomes, "close"):
                self._wait(outcomes.close)

    def close(self) -> None:
        """Close the engine, if it answers; calling it twice is fine."""
        if self._given_up:
            return
        self._tasks.put(self._engine.close)
        with suppress(queue.Empty):
            self._results.get(timeout=_PATIENCE)

    def _report(self, progress: Progress) -> None:
        self._results.put(("progress", progress))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._results.put(("result", task()))
            except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits
                self._results.put(("error", error))

    def _check_deadlines(self) -> None:
        problem = self._watch.problem()
        if problem is not None:
            self._given_up = True
            raise EngineError(f"engine {self.info.name!r} {problem}; it was given up")

    def _wait(self, task: Callable[[], Any]) -> Any:
        if self._given_up:
            raise EngineError("the engine was given up; open a new one")
        self._tasks.put(task)
        while True:
            try:
                kind, value = self._results.get(timeout=_POLL)
            except queue.Empty:
                self._check_deadlines()
                continue
            if kind == "progress":
                self._watch.progress(value)
                self._on_progress(value)
                self._check_deadlines()
            elif kind == "error":
                raise as_engine_error(self.info.name, value)
            else:
                return value
