"""TensorBoard: an entry is a folder of event files, to look at with ``tensorboard --logdir FOLDER``.

tensorboardX writes the files, since it needs neither torch nor TensorFlow. TensorBoard has no artifacts, so files are
copied into the folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tensorboardX import SummaryWriter

from harness.safe.files import copy_file
from harness.trackers.entry import Entry

__all__ = ["TensorBoard"]


class TensorBoard:
    """Writes below a folder."""

    def __init__(self, root: Path, *, folder: str = "reports/tensorboard") -> None:
        """Write below ``folder``, which is relative to the project."""
        self._folder = root / folder

    def send(self, entry: Entry) -> str:
        """Write the entry's folder; an earlier one of that name is replaced."""
        folder = self._folder / entry.name
        shutil.rmtree(folder, ignore_errors=True)
        with SummaryWriter(str(folder)) as writer:
            for name, value in entry.metrics.items():
                writer.add_scalar(name, value, 0)
            for name, points in entry.series.items():
                for step, value in points:
                    writer.add_scalar(name, value, step)
            facts = "\n".join(f"    {key}: {value}" for key, value in {"kind": entry.kind, **entry.facts}.items())
            writer.add_text("facts", facts, 0)
        for file in entry.files:
            copy_file(file, folder / file.name)
        return str(folder)
