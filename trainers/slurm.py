"""A training as a job of Slurm: submitted, watched until it has left the queue, cancelled with the call.

    sbatch --parsable    submits, and gives the job's number and, on several clusters, the cluster's name
    squeue --states=all  the job's state while Slurm's controller knows it, which it does for some minutes after the end
    sacct                the final state afterwards, where the site keeps accounts
    scancel              ends the job when the call is interrupted

``sbatch --wait`` would be less code. But a call that is killed loses a job that it only waits for, and here a later
one (``--resume``) finds it by its number. A controller that does not answer is asked again: an error of ``squeue`` is
no end of a job, unless it says that the number is unknown. Where nobody knows the final state, the trainer's own files
decide (:func:`trainers.llamafactory_trainer.finished_steps`), as they do anyway.

Not supported: arrays, jobs that Slurm starts again by itself (``--no-requeue`` is set, since LLaMA-Factory would go on
in a half-written folder), and heterogeneous jobs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TrainerError
from harness.safe.secrets import names_secret
from trainers.base import TrainRequest
from trainers.job import environment

__all__ = ["SlurmJob", "SlurmState", "cancel", "slurm_here", "state_of", "submit", "wait"]

_SECONDS = 60
"""For one of Slurm's commands to answer."""
_UNKNOWN_FOR = 600.0
"""Seconds for which the controller may be silent about a job before its files decide."""
_UNKNOWN = 3
"""Answers in a row that the number is unknown, until a job counts as ended."""
_FASTEST, _SLOWEST = 0.5, 15.0
"""Seconds between two questions: a short job is seen soon, and a long one does not burden the controller."""
_ID = re.compile(r"([0-9]{1,12})(?:;([A-Za-z0-9_.-]{1,64}))?\Z")
_STATE = re.compile(r"[A-Z_]{1,40}")
_GOING = {
    "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STAGE_OUT", "SIGNALING", "RESIZING", "STOPPED",
    "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT", "EXPEDITING", "POWER_UP_NODE",
}  # fmt: skip
"""States of a job that has not ended."""


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A submitted job."""

    id: str
    cluster: str = ""

    def __str__(self) -> str:
        return f"Slurm job {self.id}" + (f" on {self.cluster}" if self.cluster else "")


@dataclass(frozen=True, slots=True)
class SlurmState:
    """What Slurm says about a job."""

    name: str
    """``PENDING``, ``RUNNING``, ``COMPLETED``, ``TIMEOUT`` ...; empty: nobody knows it any more."""
    reason: str = ""
    """Why it waits."""

    @property
    def going(self) -> bool:
        """Whether the job has not ended."""
        return self.name in _GOING

    @property
    def waits(self) -> bool:
        """Whether the job has not begun."""
        return self.going and self.name not in ("RUNNING", "COMPLETING")

    def __str__(self) -> str:
        return f"{self.name or 'no longer known'}" + (f" ({self.reason})" if self.reason else "")


def slurm_here(environment: Mapping[str, str] | None = None) -> bool:
    """Whether jobs can be submitted here: ``sbatch`` is there, and this is no job of Slurm's or torchrun's itself."""
    values = os.environ if environment is None else environment
    inside = any(name in values for name in ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "RANK"))
    return not inside and shutil.which("sbatch", path=values.get("PATH")) is not None


def submit(script: Path, request: TrainRequest, python: Path) -> SlurmJob:
    """Submit a batch script.

    Raises:
        TrainerError: Slurm refuses it, in its own words.
    """
    # Slurm hands the variables on to the job and keeps them. No training needs a key but the one of its own reports.
    own = ("WANDB_",) if request.recipe.report_to == "wandb" else ()
    variables = {
        k: v for k, v in environment(request, python).items()
        if k.startswith(own) or not (names_secret(k) or k.startswith("HARNESS_"))
    }  # fmt: skip
    if request.launch.devices:
        # Which GPUs of a shared node are the job's is Slurm's to say.
        variables.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", str(script)], capture_output=True, text=True, timeout=_SECONDS, check=False,
            env=variables, cwd=script.parent,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise TrainerError(f"sbatch does not run: {error}; the job is in {script}") from error
    match = _ID.match(_last(done.stdout)) if done.returncode == 0 else None
    if match is None:
        words = _last(done.stderr) or _last(done.stdout) or f"exit code {done.returncode}"
        raise TrainerError(
            f"sbatch refused {script}: {words[:300]}; see --partition, --account, --time, --memory, and "
            "[tool.harness.slurm]"
        )
    return SlurmJob(match[1], match[2] or "")


def state_of(job: SlurmJob) -> SlurmState | None:
    """The state of a job; None where Slurm does not answer now."""
    known = _ask("squeue", job, "--noheader", f"--jobs={job.id}", "--states=all", "--format=%T|%r")
    if known is not None and known[1]:
        name, _, reason = known[1].splitlines()[0].strip().partition("|")
        if _STATE.fullmatch(name):
            return SlurmState(name, "" if reason == "None" else reason[:100])
    gone = known is not None and (known[0] == 0 or "invalid job id" in known[2].lower())
    if not gone:
        return None
    kept = _ask("sacct", job, "--noheader", "--allocations", "--parsable2", f"--jobs={job.id}", "--format=State")
    # "CANCELLED by 1000"
    match = _STATE.match(kept[1].strip()) if kept is not None and kept[0] == 0 else None
    ended = SlurmState(match[0] if match else "")
    # The accounts lag behind, and may never hear of the end.
    return SlurmState("") if ended.going else ended


def cancel(job: SlurmJob) -> None:
    """Cancel a job.

    Raises:
        TrainerError: that is not certain; the command to do it by hand.
    """
    done = _ask("scancel", job, job.id)
    if done is None or (done[0] and "invalid job id" not in done[2].lower()):
        words = _last(done[2]) if done else "scancel does not answer"
        raise TrainerError(
            f"{job} may still run, since it could not be cancelled: {words[:300]}; run: scancel {job.id}"
        )


def wait(job: SlurmJob, tick: Callable[[SlurmState], object], *, every: float) -> SlurmState:
    """Wait until a job has ended, calling ``tick`` every so many seconds with its last known state.

    An exception in ``tick`` (or Ctrl-C) cancels the job before it goes on.

    Raises:
        TrainerError: it could not be cancelled.
    """
    state, unknown = SlurmState("PENDING"), 0
    asked, pause, answered = 0.0, _FASTEST, time.monotonic()
    try:
        while True:
            now = time.monotonic()
            if now - asked >= pause:
                asked, pause = now, min(_SLOWEST, pause * 1.5)
                new = state_of(job)
                answered = answered if new is None else now
                unknown = unknown + 1 if new is not None and not new.name else 0
                # One answer that nobody knows the job is not enough: the job would be left alone while it runs.
                if new is not None and (new.name or unknown >= _UNKNOWN):
                    state = new
                elif now - answered > _UNKNOWN_FOR:
                    state = SlurmState("")
            tick(state)
            if not state.going:
                return state
            time.sleep(every)
    except BaseException:
        cancel(job)
        raise


def _ask(command: str, job: SlurmJob, *words: str) -> tuple[int, str, str] | None:
    """Exit code, output and errors of one of Slurm's commands; None where it is not there or does not answer."""
    cluster = [f"--clusters={job.cluster}"] if job.cluster else []
    try:
        done = subprocess.run(
            [command, *cluster, *words], capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.returncode, done.stdout, done.stderr


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
