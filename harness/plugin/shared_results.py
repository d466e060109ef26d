"""One run for all workers of pytest-xdist: the controller generates and judges, workers get results by their files.

Workers run the tests in processes of their own. An engine, a run and a gate in each of them would be as many models in
memory, and as many parts of the suite. So a worker only tells what it collected, and waits for each result. Both sides
meet in a scratch folder that only this user can read: a file a result, whole or absent.

Trade-off: a file for each result costs about a millisecond, where a socket would cost less and need a protocol.
This module does not import pytest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, StoreError
from harness.judging.results import CaseResult
from harness.runs.evaluation import Evaluation
from harness.runs.runner import RunnerProgress
from harness.safe.files import write_text
from harness.safe.read import read_object
from harness.safe.records import dump, from_data, load

__all__ = ["Collected", "ResultThread", "SharedResults"]

_LOOK_EVERY = 0.02
"""Seconds between two looks for a result."""
_ENDED = "ended.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a worker collected."""

    folders: tuple[str, ...]
    """Of the test files that use ``badcase``."""
    tests: Mapping[str, tuple[str, str]]
    """Case id and version by the test's node id, in the order of the tests; those that are left out are not here."""


class SharedResults:
    """The folder in which the controller and its workers meet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parent = os.getppid()

    def write_collected(self, worker: str, collected: Collected) -> None:
        """Tell the controller what this worker collected.

        Raises:
            StoreError: the folder is gone or not writable.
        """
        write_text(self._folder / f"collected-{worker}.json", dump(collected))

    def read_collected(self, worker: str) -> Collected | None:
        """What a worker collected; None where it has no bad case.

        Raises:
            StoreError: its file cannot be read.
        """
        try:
            return from_data(Collected, read_object(self._folder / f"collected-{worker}.json"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"what the worker {worker} of pytest-xdist collected cannot be read: {error}") from error

    def put(self, result: CaseResult) -> None:
        """Publish a result.

        Raises:
            StoreError: it cannot be written.
        """
        write_text(self._path(result.case.id, result.adapter), dump(result))

    def end(self, problem: str = "") -> None:
        """Say that no more results come, and why.

        Raises:
            StoreError: it cannot be written.
        """
        write_text(self._folder / _ENDED, json.dumps({"problem": problem}))

    def wait_for(self, case: str, adapter: str) -> CaseResult:
        """The result of a case; waits until it is there.

        Raises:
            HarnessError: the run ended without it, or nobody is left who would give it.
        """
        path = self._path(case, adapter)
        while True:
            # In this order: what was published before the end is there once the end is.
            ended = (self._folder / _ENDED).exists()
            if path.exists():
                return load(CaseResult, path.read_text("utf-8"))
            if ended:
                problem = read_object(self._folder / _ENDED).get("problem")
                raise HarnessError(f"{case}: {problem or 'the run ended without a result for it; run it again'}")
            if os.getppid() != self._parent or not self._folder.is_dir():
                raise HarnessError(f"{case}: the controller of pytest-xdist gives no more results")
            time.sleep(_LOOK_EVERY)

    def close(self) -> None:
        """Say that no more results come where not even a file can be written."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, case: str, adapter: str) -> Path:
        name = hashlib.sha256(f"{case}\0{adapter}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"


class _Stop(BaseException):
    """Ends the thread's work in the middle of a generation; no Exception, so that nothing takes it for one."""


class ResultThread:
    """Takes an evaluation's results in a thread, and publishes each as it becomes known."""

    def __init__(self, shared: SharedResults) -> None:
        self.problem = ""
        """Why results are missing, where nobody stopped it; empty while all is well."""
        self._shared = shared
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, evaluation: Evaluation) -> None:
        """Begin; ``evaluation`` is started."""
        self._thread = threading.Thread(target=self._work, args=(evaluation,), name="badcase-results", daemon=True)
        self._thread.start()

    def check(self, _: RunnerProgress) -> None:
        """Called with the evaluation's progress, in the thread: a generation stops here once :meth:`stop` is called."""
        if self._stop.is_set():
            raise _Stop

    def stop(self) -> None:
        """End the generation and wait for the thread; may be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self, evaluation: Evaluation) -> None:
        try:
            for result in evaluation.as_completed():
                self._shared.put(result)
                if self._stop.is_set():
                    break
            self.problem = str(evaluation.broken or "")
        except _Stop:
            pass
        except HarnessError as error:
            self.problem = str(error)
        # A fault here must not leave workers waiting, nor the session without a word.
        except Exception as error:  # noqa: BLE001
            self.problem = f"the run broke: {type(error).__name__}: {error}"
        # Here, since a generator is closed by the thread that runs it.
        evaluation.stop()
        self._end()

    def _end(self) -> None:
        try:
            self._shared.end(self.problem)
        except StoreError as error:
            self.problem = self.problem or str(error)
            self._shared.close()
