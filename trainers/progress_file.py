"""Reads the progress file while it grows, and sums up the times when it is complete."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from harness.safe.files import write_text
from harness.safe.read import open_file
from trainers.base import Drift, OnProgress, Phase, TrainProgress
from trainers.examples import DataFacts

__all__ = ["Timing", "Watch", "write_timing"]

_TIMING = "time_consuming_statistics"


class Watch:
    """Follows one attempt's ``progress.jsonl``."""

    def __init__(self, path: Path, on_progress: OnProgress, began: float) -> None:
        """``began`` is a time of :func:`time.monotonic`."""
        self._path = path
        self._on_progress = on_progress
        self._began = began
        self._read = 0
        self._moved = time.monotonic()
        self._last = TrainProgress(phase="loading")
        self.failure: dict[str, Any] | None = None
        """The first failure that a process reported."""
        self.series: dict[str, list[tuple[int, float]]] = {"loss": [], "margins": [], "accuracies": []}
        self.steps: list[tuple[int, float]] = []
        """(step, seconds since the epoch) of every step that ended."""
        self.notes: list[str] = []
        """What the processes say that the user should know."""
        self.drift: dict[int, tuple[Drift, ...]] = {}
        """By step, what was measured at its checkpoint."""
        self.phases: dict[str, float] = {}
        """Seconds since the epoch at which a phase began."""
        self.detail = ""
        """Where the training runs, where that is not here."""

    def silence(self) -> tuple[bool, float]:
        """Whether the first step was made, and the seconds since the training last came forward."""
        return bool(self.steps), time.monotonic() - self._moved

    def queued(self) -> None:
        """Report that the training waits for its machines, which is no silence of its own."""
        self._moved = time.monotonic()
        self._on_progress(TrainProgress(phase="queued", elapsed=time.monotonic() - self._began, detail=self.detail))

    def tick(self) -> None:
        """Read new lines and report the training's position."""
        # A training goes on without its progress, and a line that a full disk has cut costs a figure.
        with suppress(OSError), open_file(self._path) as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                with suppress(ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                    self._take(json.loads(line))
        self._on_progress(replace(self._last, elapsed=time.monotonic() - self._began, detail=self.detail))

    def _take(self, row: dict[str, Any]) -> None:
        if row["phase"] == "failed":
            # Ranks that die because another one failed say so later.
            self.failure = self.failure or row
            return
        if "drift" in row:
            self.drift[int(row["step"])] = tuple(
                Drift(kind=kind, **{name: float(value) for name, value in values.items()})
                for kind, values in sorted(row["drift"].items())
            )
            return
        if "note" in row:
            self.notes.append(str(row["note"])[:500])
            return
        phase: Phase = row["phase"]
        step, moment = int(row.get("step", 0)), float(row["time"])
        if phase not in get_args(Phase):
            raise ValueError(f"no phase {phase!r}")
        if not math.isfinite(moment):
            raise ValueError(f"time is {moment}")
        last = self._last
        progress = TrainProgress(
            phase=phase,
            step=step,
            total_steps=int(row.get("total_steps", 0)),
            loss=_number(row, "loss", last.loss),
            margin=_number(row, "margins", last.margin),
            accuracy=_number(row, "accuracies", last.accuracy),
            tokens_per_second=_number(row, "tokens_per_second", last.tokens_per_second),
            elapsed=0.0,
            remaining=_number(row, "remaining", last.remaining),
        )
        if (phase, step) != (self._last.phase, self._last.step):
            self._moved = time.monotonic()
        self.phases.setdefault(phase, moment)
        for name, values in self.series.items():
            if isinstance(row.get(name), float):
                values.append((step, row[name]))
        if "loss" in row:
            self.steps.append((step, moment))
        self._last = progress


def _number(row: dict[str, Any], name: str, last: float | None) -> float | None:
    """A figure of a line; the last one where the line has none.

    Raises:
        ValueError: it is not finite. A training ends at such a figure and does not write it.
    """
    value = row.get(name, last)
    number = value if isinstance(value, float) else float(value) if type(value) is int else last
    if number is not None and not math.isfinite(number):
        raise ValueError(f"{name} is {number}")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where a training's time went; seconds of wall time."""

    total: float
    data: float
    """Checking and writing token ids."""
    loading: float
    """Processes, imports, dataset and model."""
    training: float
    saving: float
    steps: int
    """Updates made by this attempt."""
    step_mean: float
    step_median: float
    step_longest: float
    examples_per_second: float
    tokens_per_second: float

    @classmethod
    def of(cls, watch: Watch, data: DataFacts, *, total: float, prepared: float, ended: float, per_step: int) -> Timing:
        """From what was seen; ``ended`` is in seconds since the epoch, ``per_step`` counts examples an update."""
        begin = watch.phases.get("training", ended)
        saving = watch.phases.get("saving", ended)
        times = [begin, *(t for _, t in watch.steps)]
        each = [b - a for a, b in itertools.pairwise(times)] or [0.0]
        training = max(saving - begin, 1e-9)
        examples = len(watch.steps) * per_step / training
        return cls(
            total=total,
            data=prepared,
            loading=max(0.0, total - prepared - (ended - begin)),
            training=training,
            saving=max(0.0, ended - saving),
            steps=len(watch.steps),
            step_mean=statistics.fmean(each),
            step_median=statistics.median(each),
            step_longest=max(each),
            examples_per_second=examples,
            tokens_per_second=examples * data.tokens / max(1, data.rows),
        )


def write_timing(timing: Timing, folder: Path) -> None:
    """``time_consuming_statistics.json`` for programs and ``.txt`` for people."""
    values = {name: round(float(getattr(timing, name)), 3) for name in Timing.__slots__}
    write_text(folder / f"{_TIMING}.json", json.dumps(values, indent=2) + "\n")
    units = {"steps": "", "examples_per_second": " 1/s", "tokens_per_second": " 1/s"}
    lines = [f"{name.replace('_', ' '):<20} {value:>12,.3f}{units.get(name, ' s')}" for name, value in values.items()]
    write_text(folder / f"{_TIMING}.txt", "\n".join(lines) + "\n")
