"""How far a run or a training is, as one line: rewritten on a terminal, repeated now and then in a log.

Not supported: a bar for each case. People who wait want to know how much is left and whether it still moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.language import tr
from harness.runs.runner import RunnerProgress

if TYPE_CHECKING:
    from trainers.base import TrainProgress

__all__ = ["PacedLines", "ProgressLine", "duration", "progress_line", "state_text", "training_line"]


def progress_line(progress: RunnerProgress, engine: str) -> str:
    """``generating (vllm): 12/48 answers (6 stored), 1,204 tokens, 01:10, about 02:30 left``."""
    # An engine of one's own, or a script, is named by its module or kind: a path would fill the line.
    engine = engine.partition(":")[0]
    done = tr("{done}/{total} answers", done=progress.done, total=progress.total)
    if progress.stored:
        done += tr(" ({n} stored)", n=progress.stored)
    parts = [f"{state_text(progress.state)} ({engine}): {done}"]
    if progress.tokens:
        parts.append(tr("{n} tokens", n=f"{progress.tokens:,}"))
    parts.append(duration(progress.seconds))
    generated, left = progress.done - progress.stored, progress.total - progress.done
    if progress.state == "generating" and generated and left:
        parts.append(tr("about {time} left", time=duration(progress.seconds / generated * left)))
    return ", ".join(parts)


def state_text(state: str) -> str:
    """What a run is doing, in the reader's language."""
    match state:
        case "starting":
            return tr("starting the engine")
        case "proving":
            return tr("proving that the adapter acts")
        case "generating":
            return tr("generating")
        case _:
            return state


def duration(seconds: float) -> str:
    """``mm:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def training_line(progress: TrainProgress) -> str:
    """``training, step 3/48, loss 1.234, margin +0.52, accuracy 100 %, 812 tokens/s, 02:10 left``."""
    parts: list[str] = [tr(progress.phase)]
    if progress.total_steps:
        parts.append(tr("step {n}/{total}", n=progress.step, total=progress.total_steps))
    if progress.loss is not None:
        parts.append(tr("loss {value}", value=f"{progress.loss:.3f}"))
    if progress.margin is not None:
        parts.append(tr("margin {value}", value=f"{progress.margin:+.2f}"))
    if progress.accuracy is not None:
        parts.append(tr("accuracy {value}", value=f"{progress.accuracy:.0%}"))
    if progress.tokens_per_second is not None:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.remaining is not None and progress.phase == "training":
        parts.append(tr("{time} left", time=duration(progress.remaining)))
    if progress.detail:
        parts.append(progress.detail)
    return ", ".join(parts)


class PacedLines:
    """Writes a line at once when the state changes, otherwise at most every ``every`` seconds."""

    def __init__(self, write: Callable[[str], None], every: float) -> None:
        self._write = write
        self._every = every
        self._last = float("-inf")
        self._state = ""

    def show(self, state: str, text: str) -> None:
        """Write ``text``, or drop it when the last line of the same state is recent."""
        now = time.monotonic()
        if state == self._state and now - self._last < self._every:
            return
        self._last, self._state = now, state
        self._write(text)


class ProgressLine:
    """The progress of a run, written through :class:`PacedLines`."""

    def __init__(self, write: Callable[[str], None], engine: str, every: float) -> None:
        self._lines = PacedLines(write, every)
        self._engine = engine

    def __call__(self, progress: RunnerProgress) -> None:
        self._lines.show(progress.state, progress_line(progress, self._engine))
