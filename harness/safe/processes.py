"""Which process wrote a record, whether it still runs, and children that end with their parent.

A process number is used again sooner or later, so a record holds when its process began as well. A process that has
ended and was not waited for is dead: in a container whose first process waits for nobody it stays in the table for
ever.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["end_with_parent", "is_alive", "process_facts"]

_PR_SET_PDEATHSIG = 1
_ENDED = ("Z", "X", "x")
"""The kernel's states of a process that does nothing any more."""


def process_facts(pid: int | None = None) -> dict[str, Any]:
    """What tells a process (None: this one) from any other one, also from a later one with its number."""
    number = os.getpid() if pid is None else pid
    return {"pid": number, "host": platform.node(), "process_started": _stat(number)[1]}


def is_alive(facts: Mapping[str, Any]) -> bool:
    """Whether a process runs on this machine; one of another machine is not known to have ended."""
    pid = facts.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    if facts.get("host") != platform.node():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    began = facts.get("process_started")
    state, started = _stat(pid)
    return state not in _ENDED and (began is None or started in (None, began))


def end_with_parent(parent: int) -> None:
    """Ask the kernel (Linux) to kill this process when ``parent`` ends, also after ``kill -9``; ends it if it has."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _stat(pid: int) -> tuple[str, int | None]:
    """A process's state (a letter), and when it began in the kernel's ticks; "" and None where the kernel is silent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The name of the program, in parentheses, may hold anything.
        fields = text.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return "", None
