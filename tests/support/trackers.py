"""Trackers of one's own that fail, each in another way. Light to import, since each test starts a process for one."""

from __future__ import annotations

import time
from pathlib import Path

from harness.trackers import Entry

__all__ = ["Broken", "Dying", "Hanging"]


class Broken:
    """A tracker whose network is down."""

    def __init__(self, root: Path) -> None:
        """Nothing is needed."""

    def send(self, entry: Entry) -> str:
        """Fail as a network does."""
        raise ConnectionError("no route to host tracker.example")


class Hanging(Broken):
    """A tracker whose server never answers."""

    def send(self, entry: Entry) -> str:
        """Wait for ever."""
        time.sleep(600)
        return ""


class Dying(Broken):
    """A tracker whose package ends the process."""

    def send(self, entry: Entry) -> str:
        """End without an answer."""
        raise SystemExit("segfault in a native library")
