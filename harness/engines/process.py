"""Runs an engine in a process of its own.

There are three reasons. Closing an engine must really free a GPU's memory before a training starts. An engine's output
belongs in a log file. A crash in native code, or the kernel's out-of-memory killer, must become an :class:`EngineError`
and not end pytest. The child is :mod:`harness.engines.process_child`. Both sides exchange JSON lines: commands over the
child's stdin, answers over a pipe that only the two of them hold.

Invariant: the child never outlives its parent. It ends when its stdin closes (also after ``kill -9`` of the parent),
when the parent closes it, and on Linux by the kernel's death signal. It has a session of its own, so Ctrl-C reaches
only the parent, which ends it. Not supported: more than one call of ``generate`` at a time; further requests may join
the one that is under way (:meth:`HostedEngine.add`).
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import errors
from harness.engines import messages
from harness.engines.base import EngineInfo, OnProgress, Outcome, Progress, Request
from harness.engines.watch import EngineWatch
from harness.errors import EngineError, HarnessError
from harness.project.deadlines import Deadlines
from harness.safe.read import open_file

__all__ = ["HostedEngine", "last_words"]

Message = dict[str, Any]
_POLL = 0.5
"""Seconds between two looks at the deadlines."""
_PATIENCE = 10.0
"""Seconds a child gets to end by itself."""


class HostedEngine:
    """Runs ``harness.engines.load_engine(name, model_path, **settings)`` in a child process."""

    def __init__(
        self,
        name: str,
        model_path: Path,
        *,
        info: EngineInfo,
        settings: Mapping[str, Any],
        on_progress: OnProgress | None = None,
        log_path: Path | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Start the child; it loads while the caller goes on, :meth:`generate` waits for it.

        Args:
            name: an engine's name, as in ``--engine``.
            model_path: folder of the model.
            info: the engine's identity.
            settings: keyword arguments of the engine, plain JSON data.
            on_progress: called with start-up and progress, in the thread that consumes :meth:`generate`.
            log_path: where the child's output goes; None: a file in the temporary folder.
            deadlines: after which the child is killed; None: the defaults.

        Raises:
            EngineError: the process cannot be started.
        """
        self.info = info
        self.log_path = log_path or Path(tempfile.gettempdir()) / f"harness-engine-{os.getpid()}-{id(self):x}.log"
        self._on_progress = on_progress or (lambda _: None)
        self._inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._began = time.monotonic()
        self._watch = EngineWatch(deadlines or Deadlines())
        self._ready = False
        self._busy = False
        self._closed = False
        self._call = 0
        self._sending = threading.Lock()
        self._joining = False
        """Whether requests may join the call under way."""
        self._joined: list[Sequence[Request]] = []
        """Those that were sent to it, by message."""
        answers, theirs = os.pipe()
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("ab") as log:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "harness.engines.process_child", str(theirs)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs],
                    start_new_session=True,
                    env=_child_environment(),
                )
        except OSError as error:
            os.close(answers)
            raise EngineError(f"cannot start an engine process: {error.strerror or error}") from error
        finally:
            os.close(theirs)
        threading.Thread(target=self._read, args=(answers,), daemon=True, name="engine-answers").start()
        # A death signal is sent when the starting *thread* ends, so it is only safe to ask for from the main one.
        main = threading.current_thread() is threading.main_thread()
        self._send({"engine": name, "model_path": str(model_path), "settings": dict(settings),
                    "parent": os.getpid() if main else None})  # fmt: skip
        self._on_progress(Progress(state="starting"))

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """Yield outcomes as they finish; closing the iterator stops the child's work, not the child.

        Raises:
            EngineError: the child broke, or was silent for too long; says how it ended, its last words and its log
                file.
        """
        if self._closed:
            raise EngineError("the engine is closed; open a new one")
        if self._busy:
            raise EngineError("the engine is already generating; one call at a time")
        self._busy = True
        started = done = False
        try:
            self._wait_until_ready()
            self._call += 1
            self._joined = []
            self._send({"call": self._call, "generate": [messages.write_value(r) for r in requests]})
            started = self._joining = True
            self._watch.call()
            while True:
                message = self._next_in_time()
                if "outcome" in message:
                    self._watch.answered()
                    yield messages.read_outcome(message["outcome"])
                elif "progress" in message:
                    progress = messages.read_progress(message["progress"])
                    self._watch.progress(progress)
                    self._on_progress(progress)
                    self._check_deadlines()
                elif "done" in message:
                    done = True
                    with self._sending:
                        self._joining = False
                        self._joined = self._joined[message["taken"] :]
                    return
        except HarnessError:
            done = True
            raise
        finally:
            self._joining = False
            if started and not done:
                self._cancel()
            self._busy = False

    def add(self, requests: Sequence[Request]) -> bool:
        """See :class:`harness.engines.growing.Joinable`."""
        message = {"call": self._call, "more": [messages.write_value(request) for request in requests]}
        with self._sending:
            if not self._joining:
                return False
            self._joined.append(requests)
            self._write(message)
            return True

    def left_over(self) -> list[Request]:
        """See :class:`harness.engines.growing.Joinable`."""
        with self._sending:
            left, self._joined = self._joined, []
        return [request for requests in left for request in requests]

    def load_weights(self, model_path: Path) -> None:
        """See :class:`harness.engines.kept_engine.Reloadable`."""
        self._wait_until_ready()
        self._call += 1
        self._send({"call": self._call, "weights": str(model_path)})
        self._watch.call()
        while "done" not in self._next_in_time():
            pass

    def close(self) -> None:
        """End the child and wait until it is gone, its memory with it."""
        self._closed = True
        self._hang_up()
        if self._child.poll() is not None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_PATIENCE)
        self._kill()

    def _hang_up(self) -> None:
        # What the child did not read is no longer needed.
        with suppress(OSError):
            if self._child.stdin is not None:
                self._child.stdin.close()

    def _kill(self) -> None:
        """End the child and all processes it started: a tensor-parallel engine has workers in the same group."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _cancel(self) -> None:
        try:
            self._send({"cancel": self._call})
            deadline = time.monotonic() + _PATIENCE
            while "done" not in self._next(deadline - time.monotonic()):
                pass
        except (HarnessError, TimeoutError, KeyboardInterrupt):
            # A child that does not stop in time cannot be used again, so it is killed.
            self._closed = True
            self._kill()

    def _wait_until_ready(self) -> None:
        while not self._ready:
            try:
                message = self._next(0.5)
            except TimeoutError:
                self._check_deadlines()
                self._on_progress(Progress(state="starting", seconds=time.monotonic() - self._began))
                continue
            if "ready" in message:
                self._ready = True
                self._on_progress(Progress(state="ready", seconds=time.monotonic() - self._began))

    def _next_in_time(self) -> Message:
        """The next message; a child that is silent for too long is killed."""
        while True:
            try:
                return self._next(_POLL)
            except TimeoutError:
                self._check_deadlines()

    def _check_deadlines(self) -> None:
        problem = self._watch.problem()
        if problem is None:
            return
        self._closed = True
        # Also a stopped process ends by this signal.
        self._kill()
        words = last_words(self.log_path)
        said = f"; its last words: {words}" if words else ""
        raise EngineError(f"the engine {problem} and was killed{said}; its log: {self.log_path}")

    def _next(self, seconds: float | None = None) -> Message:
        try:
            message = self._inbox.get(timeout=None if seconds is None else max(seconds, 0.001))
        except queue.Empty:
            raise TimeoutError from None
        if message is None:
            raise self._broken()
        if "error" in message:
            self._closed = True
            kind = getattr(errors, message["error"]["class"], EngineError)
            raise kind(f"{message['error']['text']} (its log: {self.log_path})")
        return message

    def _broken(self) -> EngineError:
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_PATIENCE)
        code = self._child.poll()
        if code is None:
            self._kill()
            how = "closed its pipe"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (out of memory?)"
        else:
            how = f"ended with code {code}"
        self._closed = True
        self._hang_up()
        # A signal leaves no words of its own: whatever was logged last has nothing to do with it.
        words = last_words(self.log_path, errors_only=code is not None and code < 0)
        return EngineError(f"the engine's process {how}{f': {words}' if words else ''}; its log: {self.log_path}")

    def _send(self, message: Message) -> None:
        with self._sending:
            self._write(message)

    def _write(self, message: Message) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        pipe = self._child.stdin
        try:
            if pipe is None:
                raise BrokenPipeError
            pipe.write(line)
            pipe.flush()
        except (OSError, ValueError):
            raise self._broken() from None

    def _read(self, answers: int) -> None:
        with os.fdopen(answers, "rb") as lines:
            for line in lines:
                try:
                    self._inbox.put(json.loads(line))
                except ValueError:
                    break
        self._inbox.put(None)


_NOISE = re.compile(r"^(\(\w+ pid=\d+\) )?(ERROR|WARNING|INFO|DEBUG|CRITICAL) \d\d-\d\d [\d:]+ (\[[^]]*\] )?")
_ERROR = re.compile(
    r"^[\w.]*(Error|Exception|Interrupt|Exit)\b.*|.*\b(Segmentation fault|Killed|out of memory)\b.*", re.I
)


def last_words(log_path: Path, *, errors_only: bool = False, limit: int = 300) -> str:
    """The last line of a log that says what went wrong, else (unless ``errors_only``) its last line, else nothing."""
    try:
        with open_file(log_path) as log:
            log.seek(max(0, log_path.stat().st_size - 65536))
            tail = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [_NOISE.sub("", line).strip() for line in tail.splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if _ERROR.match(line)]
    return (telling or ([] if errors_only else lines) or [""])[-1][:limit]


def _child_environment() -> dict[str, str]:
    """The parent's environment, with this package importable however the parent found it."""
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
