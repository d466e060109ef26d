"""Marks sessions that have begun and not come to a judged end.

A test, a conftest or the kernel may end pytest at any moment, and even with exit code 0. So a marker is written before
the first case is read, and removed when the run was judged and its reports were written. While a marker stands,
``harness gate`` is red: otherwise it would judge the run before that one.

Trade-off: an exit before the cases are collected leaves no marker. ``harness gate`` names the age of the run.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness.safe.files import write_text
from harness.safe.processes import is_alive, process_facts
from harness.safe.read import read_facts
from harness.safe.records import dump
from harness.store import Run

__all__ = ["RunState", "begin_session", "end_session", "run_state", "unfinished_sessions"]

RunState = Literal["started", "running", "killed", "finished", "interrupted", "failed"]
"""How a run is: its recorded status, and for one without an end whether its process is there."""


def begin_session(reports: Path, command: Sequence[str]) -> Path:
    """Write the marker of this process; returns its path.

    Raises:
        StoreError: the folder is not writable.
    """
    now = datetime.now(UTC)
    path = _folder(reports) / f"{now:%Y%m%d-%H%M%S.%f}-{os.getpid()}.json"
    earlier = sorted(other.name for other in path.parent.glob("*.json"))
    facts = {**process_facts(), "started": now.isoformat(timespec="seconds"),
             "command": list(command), "earlier": earlier}  # fmt: skip
    return write_text(path, dump(facts) + "\n")


def end_session(marker: Path) -> None:
    """Remove the marker of a session that was judged, and those of dead ones before it, which it replaces.

    "Before" is what this session found at its start, and not what the clock says.
    """
    earlier = read_facts(marker).get("earlier", [])
    for path in marker.parent.glob("*.json"):
        if path.name in earlier and not is_alive(read_facts(path)):
            path.unlink(missing_ok=True)
    marker.unlink(missing_ok=True)


def unfinished_sessions(reports: Path) -> tuple[str, ...]:
    """One line for each session without a judged end, oldest first."""
    lines = []
    for path in sorted(_folder(reports).glob("*.json")):
        facts = read_facts(path)
        state = "is still running" if is_alive(facts) else "ended before it was judged"
        lines.append(f"the session of {facts.get('started', path.stem)} {state}")
    return tuple(lines)


def run_state(run: Run) -> RunState:
    """The state of a recorded run: one that has not ended is ``running``, ``killed``, or (elsewhere) ``started``."""
    process = run.facts.get("process")
    if run.status != "started" or not isinstance(process, dict) or process.get("host") != platform.node():
        return run.status
    return "running" if is_alive(process) else "killed"


def _folder(reports: Path) -> Path:
    return reports / "sessions"
