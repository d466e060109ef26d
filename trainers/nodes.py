"""A training on several nodes: submitted to Slurm and watched, or written for people to start; taken up again later.

The nodes share the attempt's folder, so the progress file and the weights are read from it as if the training ran here.
A job that waits in the queue is not silent: deadlines count from the moment at which it runs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TrainerError, TrainingNotStarted
from harness.project.deadlines import Deadlines
from harness.safe.files import write_text
from trainers.attempt import trainer_state
from trainers.elsewhere import Elsewhere, attempts_elsewhere, digest_of, write_elsewhere
from trainers.job import Prepared
from trainers.launch import Launch
from trainers.multinode import node_commands, prepare_command, slurm_script
from trainers.process import last_lines
from trainers.progress_file import Watch
from trainers.slurm import SlurmJob, SlurmState, state_of, submit, wait

__all__ = ["Attempt", "End", "check_deadlines", "run_elsewhere", "runs_elsewhere", "taken_up"]

_EVERY = 0.5
"""Seconds between two looks at the progress file."""
_FILES_LAG = 30.0
"""Seconds after which files that another node has written are seen here, at the latest."""
_ENDINGS = {
    "TIMEOUT": "the time limit of the job was reached; give a longer --time",
    "DEADLINE": "the job could not end before its deadline",
    "OUT_OF_MEMORY": "a node ran out of memory; give more --memory",
    "NODE_FAIL": "a node failed",
    "BOOT_FAIL": "a node did not start",
    "PREEMPTED": "another job took its nodes",
    "CANCELLED": "the job was cancelled",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt of an earlier call that was started elsewhere."""

    folder: Path
    noted: Elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a training's processes have ended."""

    code: int
    log: Path
    job: str = ""
    """Whose job it was, with its last state; empty for processes of this machine."""
    words: str = ""
    """What the scheduler says about the end."""
    out_of_memory: bool = False
    """Whether the scheduler says that a node's memory ran out."""
    at: float | None = None
    """Seconds since the epoch; None: now."""


def runs_elsewhere(launch: Launch) -> bool:
    """Whether the processes are started by Slurm or by people, and not by this one."""
    return launch.slurm is not None or launch.nodes > 1


def taken_up(prepared: Prepared) -> Attempt | None:
    """The attempt of an earlier call that is the same training and is under way, waits for people, or has ended well.

    Raises:
        TrainerError: Slurm does not say what has become of it.
    """
    asked = digest_of(prepared)
    for folder, noted in attempts_elsewhere(prepared.request.output):
        if noted.asked != asked:
            continue
        if noted.finished(folder):
            return Attempt(folder, noted)
        if noted.by == "people":
            return None if _failure(folder) else Attempt(folder, noted)
        state = state_of(SlurmJob(noted.job, noted.cluster))
        if state is None:
            raise TrainerError(f"Slurm does not answer about job {noted.job} of an earlier call; try again")
        # It may have ended well since its files were looked at.
        return Attempt(folder, noted) if state.going or _files_follow(folder, noted, state) else None
    return None


def run_elsewhere(prepared: Prepared, python: Path, watch: Watch, earlier: Attempt | None) -> End:
    """Start what was not started, and wait for its end.

    Args:
        prepared: the training, whose job is written.
        python: of the trainer's environment, by the path that all nodes know.
        watch: on the attempt's progress.
        earlier: the attempt of an earlier call, where this one goes on with it.

    Raises:
        TrainingNotStarted: people start it; the message has the commands.
        TrainerError: Slurm refuses the job, or it made no step for too long.
    """
    folder, request = prepared.folder, prepared.request
    noted = earlier.noted if earlier is not None else None
    if noted is None and request.launch.slurm is not None:
        script = write_text(folder / "job.sbatch", slurm_script(request, python, folder))
        job = submit(script, request, python)
        noted = write_elsewhere(prepared, job=job.id, cluster=job.cluster)
    elif noted is None:
        noted = write_elsewhere(prepared)
    log = _log(folder, noted)
    if noted.finished(folder):
        return End(code=0, log=log, at=_written(folder))
    if noted.by == "people":
        raise TrainingNotStarted(_what_to_run(prepared, python, again=earlier is not None))
    job = SlurmJob(noted.job, noted.cluster)

    def tick(state: SlurmState) -> None:
        watch.detail = f"{job}, {state}"
        if state.waits:
            watch.queued()
        else:
            watch.tick()
            check_deadlines(watch, request.deadlines, log)

    state = wait(job, tick, every=_EVERY)
    # Nobody knows the end of a job that was forgotten; its files do.
    good = state.name in ("COMPLETED", "")
    _files_follow(folder, noted, state)
    how = _ENDINGS.get(state.name, "")
    return End(
        code=0 if good else 1, log=log, job=f"{job}, {state}", words=f"{how}; go on with --resume" if how else "",
        out_of_memory=state.name == "OUT_OF_MEMORY", at=_written(folder),
    )  # fmt: skip


def check_deadlines(watch: Watch, deadlines: Deadlines, log: Path) -> None:
    """Raise for a training that has made no step for too long; whoever runs its processes ends them.

    Raises:
        TrainerError: which deadline it was, and the last lines of the log.
    """
    stepped, seconds = watch.silence()
    name = "training_stall" if stepped else "training_start"
    limit: float = getattr(deadlines, name)
    if 0 < limit < seconds:
        what = "made no step for" if stepped else "did not make its first step within"
        lines = "".join(f"\n    {line}" for line in last_lines(log)[-6:])
        raise TrainerError(f"the training {what} {limit:g} seconds (deadlines.{name}) and was ended; log: {log}{lines}")


def _what_to_run(prepared: Prepared, python: Path, *, again: bool) -> str:
    """The commands for people, a line each."""
    request, folder = prepared.request, prepared.folder
    steps = (trainer_state(folder / "output") or {}).get("global_step")
    began = f"it is at step {steps}" if steps else "it has not ended"
    head = f"the training in {folder} waits for its nodes: {began}" if again else f"the training is written to {folder}"
    lines = [
        f"{head}; there is no sbatch here, so start it yourself, then go on with --resume. Every node must see the "
        "folder under this path.",
        f"    once, on any node: {prepare_command(request, python, folder)}",
        *(f"    node {rank}: {line}" for rank, line in enumerate(node_commands(request, python, folder))),
    ]
    return "\n".join(lines)


def _log(folder: Path, noted: Elsewhere) -> Path:
    return folder / (f"slurm-{noted.job}.log" if noted.by == "slurm" else "train.log")


def _files_follow(folder: Path, noted: Elsewhere, state: SlurmState) -> bool:
    """Whether a job that may have ended well has left its weights; on a shared folder they are seen a little later."""
    until = time.monotonic() + _FILES_LAG
    while state.name in ("COMPLETED", "") and not noted.finished(folder):
        if _failure(folder) or time.monotonic() >= until:
            return False
        time.sleep(_EVERY)
    return noted.finished(folder)


def _failure(folder: Path) -> bool:
    """Whether a process of the attempt has said that it failed."""
    watch = Watch(folder / "progress.jsonl", lambda _: None, time.monotonic())
    watch.tick()
    return watch.failure is not None


def _written(folder: Path) -> float | None:
    """When the trainer wrote its last state; None: it did not."""
    try:
        return (folder / "output" / "trainer_state.json").stat().st_mtime
    except OSError:
        return None
