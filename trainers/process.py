"""The training's processes: started in a group of their own, watched, and ended together in every case.

The group's leader is the training itself or ``torch.distributed.run``. Its workers have sessions of their own, so a
signal to the group does not reach them. They end with it all the same: each asked the kernel for SIGKILL on its
parent's death (:mod:`trainers.worker.entry`), and each watches the process that asked for the training. Output goes to
a log file that is kept.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import TrainerError
from harness.safe.read import open_file
from trainers.worker.entry import process_mark

__all__ = ["last_lines", "owner", "run_logged"]

_ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt)(:|$)")


def owner() -> dict[str, Any]:
    """What identifies this process, so that workers notice its death."""
    return {"pid": os.getpid(), "mark": process_mark(os.getpid()), "host": os.uname().nodename}


def run_logged(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    every: float,
    tick: Callable[[], object],
    patience: float,
) -> int:
    """Run ``command``, its output appended to ``log``, calling ``tick`` every so many seconds; its exit code.

    An exception in ``tick`` (or Ctrl-C) ends the whole group before it goes on: asked first, killed after ``patience``
    seconds. Negative codes are signals.

    Raises:
        TrainerError: it cannot be started.
    """
    with log.open("ab") as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        try:
            process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                env=dict(environment), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise TrainerError(f"cannot start {command[0]}: {error.strerror or error}") from error
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(timeout=every)
                tick()
        finally:
            _end(process, patience)


def _end(process: subprocess.Popen[bytes], patience: float) -> None:
    """Ask the group to end, then kill it. Does nothing to a process that has ended and been waited for."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(timeout=0.2)
                return


def last_lines(log: Path, count: int = 12, width: int = 300) -> list[str]:
    """The lines of a log that say what went wrong: the last traceback's end, else the last lines."""
    try:
        with open_file(log) as file:
            file.seek(max(0, log.stat().st_size - 65536))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip()[:width] for line in text.replace("\r", "\n").splitlines() if line.strip()]
    # torchrun repeats every rank's traceback and adds its own: the first error of the last attempt is the one that
    # matters.
    errors = [i for i, line in enumerate(lines) if _is_error(line)]
    if errors:
        return lines[max(0, errors[0] - count + 1) : errors[0] + 1]
    return lines[-count:]


def _is_error(line: str) -> bool:
    """Whether a line is the last of a traceback: ``package.SomeError: words``, maybe after torchrun's ``[rank0]: ``."""
    text = line.partition("]: ")[2] if line.startswith("[rank") else line
    return _ERROR.match(text) is not None


if sys.platform != "linux":  # pragma: no cover - /proc and prctl are Linux's
    raise TrainerError("training runs on Linux only")
