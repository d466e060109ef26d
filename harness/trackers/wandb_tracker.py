"""Weights & Biases: an entry is a run; facts are its config, numbers its summary and history, files an artifact.

wandb reads its own variables (``WANDB_API_KEY``, ``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_MODE=offline`` ...). By
itself it would also send the command line, the packages, the git remote and patch, the machine and what the process
prints. All of that is switched off: only the entry leaves the machine.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import wandb

from harness.trackers.entry import Entry

__all__ = ["Wandb"]

_SILENT = {
    "console": "off", "disable_code": True, "disable_git": True, "save_code": False, "silent": True,
    "x_disable_machine_info": True, "x_disable_meta": True, "x_disable_stats": True, "x_save_requirements": False,
    "host": "-", "program": "harness",
}  # fmt: skip
"""Settings that keep everything but the entry on this machine."""


class Wandb:
    """Sends to the project ``project``, or that of ``WANDB_PROJECT``, or ``harness``."""

    def __init__(self, root: Path, *, project: str = "", entity: str = "") -> None:
        """Keep wandb's own files below the project's ``reports``."""
        self._project = project or os.environ.get("WANDB_PROJECT") or "harness"
        self._entity = entity or os.environ.get("WANDB_ENTITY") or None
        self._folder = root / "reports"

    def send(self, entry: Entry) -> str:
        """Make a run, or offline a folder for ``wandb sync``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=self._project, entity=self._entity, name=entry.name, job_type=entry.kind, dir=str(self._folder),
            config=dict(entry.facts), settings=wandb.Settings(**_SILENT),
        )  # fmt: skip
        steps: dict[int, dict[str, float]] = defaultdict(dict)
        for name, points in entry.series.items():
            for step, value in points:
                steps[step][name] = value
        for step in sorted(steps):
            run.log(steps[step], step=step)
        run.summary.update(dict(entry.metrics))
        if entry.files:
            artifact = wandb.Artifact(f"{entry.kind}-{entry.name}", type="harness-reports")
            for file in entry.files:
                artifact.add_file(str(file))
            run.log_artifact(artifact)
        where = run.url or f"kept offline; upload it with: wandb sync {Path(run.dir).parent}"
        run.finish()
        return str(where)
