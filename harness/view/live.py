"""What is under way: how far a suite's run and a training are.

Everything is read from what they leave anyway: results in the store, lines in the training's progress file. A run whose
process is gone is told as such.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.runs.progress import duration
from harness.runs.sessions import run_state
from harness.safe.escape import shorten
from harness.view.reading import Reading, RunRow
from trainers import TrainProgress
from trainers.progress_file import Watch

__all__ = ["TrainingState", "live_state", "run_progress", "training_state"]

_UNDER_WAY = ("running", "started")
"""States of a run that may still bring results: on this machine, or on another one."""
_SILENT = 180.0
"""Seconds without a new line after which a training counts as stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """How far a training is, or how it ended."""

    name: str
    phase: str
    step: int
    total: int
    loss: float | None
    left: str
    """Time left, for people; empty where it is not known."""
    running: bool
    losses: tuple[tuple[int, float], ...]
    failure: str = ""


def run_progress(row: RunRow) -> dict[str, object]:
    """How far a run is, for the page's script."""
    run, left = row.run, ""
    state = run_state(run)
    if state in _UNDER_WAY and 0 < row.done < run.planned:
        passed = max((datetime.now(UTC) - datetime.fromisoformat(run.started)).total_seconds(), 0.0)
        left = duration(passed / row.done * (run.planned - row.done))
    return {"id": run.id, "status": state, "done": row.done, "planned": run.planned, "left": left}


def training_state(folder: Path) -> TrainingState | None:
    """How far the newest attempt of a training is; None where none has begun."""
    files = sorted(folder.glob("attempt-*/progress.jsonl"), key=lambda p: p.stat().st_mtime)
    if not files:
        return None
    last = TrainProgress(phase="loading")

    def keep(progress: TrainProgress) -> None:
        nonlocal last
        last = progress

    watch = Watch(files[-1], keep, time.monotonic())
    try:
        watch.tick()
    except (ValueError, KeyError, TypeError):
        return None
    done = (folder / "trained.json").exists() or watch.failure is not None
    running = not done and time.time() - files[-1].stat().st_mtime < _SILENT
    return TrainingState(
        name=folder.name,
        phase=last.phase,
        step=last.step,
        total=last.total_steps,
        loss=last.loss,
        left=duration(last.remaining) if running and last.remaining is not None and last.phase == "training" else "",
        running=running,
        losses=tuple(watch.series["loss"]),
        failure="" if watch.failure is None else shorten(str(watch.failure.get("message", "failed")), 300),
    )


def live_state(reading: Reading) -> dict[str, object]:
    """Runs and trainings that are under way, for the page's script."""
    states = [s for p in reading.trainings()[:5] if (s := training_state(p)) is not None and s.running]
    return {
        "runs": [p for row in reading.runs(limit=5) if (p := run_progress(row))["status"] in _UNDER_WAY],
        "trainings": [
            {"name": s.name, "phase": s.phase, "step": s.step, "total": s.total, "loss": s.loss, "left": s.left}
            for s in states
        ],
    }
