"""The tracker without a package or a server: a line of JSON for each entry, its files beside it.

It serves teams that collect runs in a shared folder, and it is the fake of the tests.
"""

from __future__ import annotations

from pathlib import Path

from harness.safe.files import append_line, copy_file, sweep_below
from harness.safe.records import dump
from harness.trackers.entry import Entry

__all__ = ["JsonLines"]


class JsonLines:
    """Appends to ``tracked.jsonl`` in a folder; files go into ``files/NAME``."""

    def __init__(self, root: Path, *, folder: str = "reports/tracked") -> None:
        """Keep entries in ``folder``, which is relative to the project."""
        self._folder = root / folder

    def send(self, entry: Entry) -> str:
        """Append the entry; a second one of that name is a second line, with the newer files."""
        sweep_below(self._folder / "files")
        for file in entry.files:
            copy_file(file, self._folder / "files" / entry.name / file.name)
        line = {"name": entry.name, "kind": entry.kind, "facts": entry.facts, "metrics": entry.metrics}
        files = [f"files/{entry.name}/{file.name}" for file in entry.files]
        return str(append_line(self._folder / "tracked.jsonl", dump({**line, "series": entry.series, "files": files})))
