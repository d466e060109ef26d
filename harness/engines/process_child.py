"""The child's side of :mod:`harness.engines.process`: commands from stdin, answers over one pipe, output into the log.

Invariant: only JSON lines go into the pipe, and the process ends as soon as stdin closes, whatever the engine is doing.
A thread waits for that and exits at once, because native code may block the main thread for minutes.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.engines import load_engine, messages
from harness.engines.base import Engine, Progress, Request
from harness.engines.growing import GrowingRequests
from harness.errors import EngineError, HarnessError
from harness.safe.processes import end_with_parent

__all__ = ["main"]

_SECONDS_BETWEEN_PROGRESS = 0.2


class _Cancelled(BaseException):
    """Leaves an engine's step loop; not an error, so nothing that handles errors may catch it."""


class _Child:
    def __init__(self, answers: int) -> None:
        self._answers = os.fdopen(answers, "wb")
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._more: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        """Further requests of a call."""
        self._taken = 0
        """How many messages of those the call under way has taken."""
        self._call = 0
        self._cancelled = 0
        self._told = 0.0

    def run(self) -> int:
        first = json.loads(sys.stdin.buffer.readline())
        if first["parent"] is not None:
            end_with_parent(first["parent"])
        threading.Thread(target=self._read, daemon=True).start()
        try:
            engine = load_engine(
                first["engine"], Path(first["model_path"]), on_progress=self._progress, **first["settings"]
            )
            self._send({"ready": True})
            while True:
                command = self._commands.get()
                self._call = command["call"]
                if "weights" in command:
                    _load_weights(engine, Path(command["weights"]))
                else:
                    self._generate(engine, command["generate"])
                self._send({"done": self._call, "taken": self._taken})
        except HarnessError as error:
            self._send({"error": {"class": type(error).__name__, "text": str(error)}})
        except Exception as error:  # noqa: BLE001 - the parent must get every error; the log has the rest
            traceback.print_exc()
            self._send(
                {"error": {"class": "EngineError", "text": f"the engine broke: {type(error).__name__}: {error}"}}
            )
        return 1

    def _generate(self, engine: Engine, requests: list[dict[str, Any]]) -> None:
        self._taken = 0
        first = [messages.read_request(request) for request in requests]
        outcomes = engine.generate(GrowingRequests(first, self._take_more))
        try:
            for outcome in outcomes:
                self._send({"outcome": messages.write_outcome(outcome)})
                self._leave_if_cancelled()
        except _Cancelled:
            pass
        finally:
            close = getattr(outcomes, "close", None)
            if close is not None:
                close()

    def _take_more(self) -> list[Request]:
        """Requests that came for the call under way; those that were late for an earlier one are with the parent."""
        taken: list[Request] = []
        with suppress(queue.Empty):
            while True:
                command = self._more.get_nowait()
                if command["call"] == self._call:
                    self._taken += 1
                    taken += [messages.read_request(request) for request in command["more"]]
        return taken

    def _leave_if_cancelled(self) -> None:
        if self._cancelled == self._call:
            raise _Cancelled

    def _progress(self, progress: Progress) -> None:
        # Engines report after every step, so this is also where a long step loop can be left.
        if self._call:
            self._leave_if_cancelled()
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN_PROGRESS:
            self._told = now
            self._send({"progress": messages.write_value(progress)})

    def _send(self, message: dict[str, Any]) -> None:
        self._answers.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        self._answers.flush()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            command = json.loads(line)
            if "cancel" in command:
                self._cancelled = command["cancel"]
            elif "more" in command:
                self._more.put(command)
            else:
                self._commands.put(command)
        os._exit(0)


def _load_weights(engine: Engine, model_path: Path) -> None:
    load = getattr(engine, "load_weights", None)
    if load is None:
        raise EngineError(f"engine {engine.info.name} cannot take other weights")
    load(model_path)


def main() -> int:
    """Serve the engine that the first line of stdin names; the argument is the descriptor for answers."""
    return _Child(int(sys.argv[1])).run()


if __name__ == "__main__":
    # Nothing may run after this: threads of native libraries can block an orderly exit.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
