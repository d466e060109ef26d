"""Which process wrote a record, and whether it still runs.

A process number is used again sooner or later, so a record holds when its process began as well.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["is_alive", "process_facts"]


def process_facts(pid: int | None = None) -> dict[str, Any]:
    """What tells a process (None: this one) from any other one, also from a later one with its number."""
    number = os.getpid() if pid is None else pid
    return {"pid": number, "host": platform.node(), "process_started": _process_started(number)}


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
    return began is None or _process_started(pid) in (None, began)


def _process_started(pid: int) -> int | None:
    """When a process began, in the kernel's ticks since the machine did; None where the kernel does not say."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The name of the program, in parentheses, may hold anything.
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
