"""A Slurm that is no Slurm: stand-ins for its commands, which run jobs on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["COMMANDS", "slurm_commands"]

COMMANDS = Path(__file__).parent / "slurm"
"""sbatch, squeue, sacct, scancel, srun and scontrol. What they do beside their work, files in their folder say: each
has it at its top."""


@contextmanager
def slurm_commands(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The commands on the path, with ``state`` in the place of Slurm's controller; jobs that still run are ended."""
    state.mkdir()
    monkeypatch.setenv("FAKE_SLURM", str(state))
    monkeypatch.setenv("PATH", str(COMMANDS), prepend=os.pathsep)
    for name in ("SLURM_JOB_ID", "RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    yield state
    (state / "hold").unlink(missing_ok=True)
    for job in state.glob("*/pid"):
        subprocess.run([COMMANDS / "scancel", job.parent.name], check=True)
