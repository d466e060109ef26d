"""One run for all workers of pytest-xdist: the controller generates and judges, workers get results by their files.

Workers run the tests in processes of their own. An engine, a run and a gate in each of them would be as many models in
memory, and as many parts of the suite. So a worker only tells what it collected, and waits for each result. Both sides
meet in a private temporary folder: a file a result, whole or absent.

Trade-off: a file for each result costs about a millisecond, where a socket would cost less and need a protocol.
This module does not import pytest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
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
_PREFIX = "badcases-"


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
        self.folder = folder
        self._parent = os.getppid()

    @classmethod
    def create(cls) -> SharedResults:
        """A new folder that only this user can read; removes those of controllers that were killed."""
        for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
            owner = left.name.removeprefix(_PREFIX).partition("-")[0]
            if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
                # Another user's folder cannot be removed, and is not.
                shutil.rmtree(left, ignore_errors=True)
        return cls(Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")))

    def write_collected(self, worker: str, collected: Collected) -> None:
        """Tell the controller what this worker collected.

        Raises:
            StoreError: the folder is gone or not writable.
        """
        write_text(self.folder / f"collected-{worker}.json", dump(collected))

    def read_collected(self, worker: str) -> Collected | None:
        """What a worker collected; None where it has no bad case.

        Raises:
            StoreError: its file cannot be read.
        """
        try:
            return from_data(Collected, read_object(self.folder / f"collected-{worker}.json"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"what the worker {worker} of pytest-xdist collected cannot be read: {error}") from error

    def put(self, result: CaseResult) -> None:
        """Publish a result."""
        write_text(self._path(result.case.id, result.adapter), dump(result))

    def end(self, problem: str = "") -> None:
        """Say that no more results come, and why."""
        write_text(self.folder / _ENDED, json.dumps({"problem": problem}))

    def wait_for(self, case: str, adapter: str) -> CaseResult:
        """The result of a case; waits until it is there.

        Raises:
            HarnessError: the run ended without it, or the controller is gone.
        """
        path = self._path(case, adapter)
        while True:
            # In this order: what was published before the end is there once the end is.
            ended = (self.folder / _ENDED).exists()
            if path.exists():
                return load(CaseResult, path.read_text("utf-8"))
            if ended:
                problem = read_object(self.folder / _ENDED).get("problem")
                raise HarnessError(f"{case}: {problem or 'the run ended without a result for it; run it again'}")
            if os.getppid() != self._parent:
                raise HarnessError(f"{case}: the controller of pytest-xdist is gone")
            time.sleep(_LOOK_EVERY)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, case: str, adapter: str) -> Path:
        name = hashlib.sha256(f"{case}\0{adapter}".encode()).hexdigest()[:32]
        return self.folder / f"{name}.json"


class _Stop(BaseException):
    """Ends the thread's work in the middle of a generation; no Exception, so that nothing takes it for one."""


class ResultThread:
    """Takes an evaluation's results in a thread, and publishes each as it becomes known."""

    def __init__(self, shared: SharedResults) -> None:
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
        problem = ""
        try:
            for result in evaluation.as_completed():
                self._shared.put(result)
                if self._stop.is_set():
                    break
            problem = str(evaluation.broken or "")
        except _Stop:
            pass
        except HarnessError as error:
            problem = str(error)
        finally:
            # Here, since a generator is closed by the thread that runs it.
            evaluation.stop()
            self._shared.end(problem)
