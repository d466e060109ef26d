"""A training whose processes this one does not start: who starts them is written down, so that a later call goes on.

    attempt-N/elsewhere.json    who starts it (Slurm with a job's number, or people), on how many processes, and a
                                digest of what is trained

``--resume`` takes an attempt up when it is still under way or has ended well, and when it is the training that is asked
for: same stage, examples, parents and recipe. What the memory of the GPUs decides (ZeRO stage, gradient checkpointing,
size of a batch) is left out, since the machine that resumes may have other GPUs than those that train.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from harness.project.slurm import Slurm
from harness.safe.files import digest_file, write_text
from harness.safe.read import read_text
from trainers.attempt import FREE_TO_CHANGE, trainer_state
from trainers.job import Prepared, lineage
from trainers.launch import Launch
from trainers.placement import PLACED

__all__ = ["Elsewhere", "attempts_elsewhere", "digest_of", "launch_elsewhere", "write_elsewhere"]

_NAME = "elsewhere.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """One attempt that is started elsewhere."""

    by: Literal["slurm", "people"]
    asked: str
    """Digest of what is trained."""
    nodes: Annotated[int, Meta(ge=1, le=100_000)]
    devices: tuple[Annotated[int, Meta(ge=0, le=1023)], ...]
    cpu_processes: Annotated[int, Meta(ge=1, le=1024)]
    master_address: str = ""
    master_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    job: Annotated[str, Meta(pattern=r"^[0-9]{0,12}\Z")] = ""
    """Slurm's number of the job. It becomes a word of Slurm's commands, so nothing else is read."""
    cluster: Annotated[str, Meta(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?\Z")] = ""
    """Slurm's name of the cluster, where it has several."""

    def finished(self, folder: Path) -> bool:
        """Whether the trainer's own state in the attempt's folder says that every step was made."""
        state = trainer_state(folder / "output") or {}
        steps, wanted = state.get("global_step"), state.get("max_steps")
        return type(steps) is int and type(wanted) is int and steps >= max(1, wanted)


def digest_of(prepared: Prepared) -> str:
    """Digest of what a training learns from what, by which recipe."""
    recipe = prepared.request.recipe
    kept = {k: v for k, v in recipe.to_mapping().items() if k not in FREE_TO_CHANGE | PLACED}
    values = {
        "stage": prepared.request.stage, "examples": digest_file(prepared.data.train),
        "lineage": lineage(prepared.request).notes(), "recipe": kept, "per_update": recipe.per_update,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_elsewhere(prepared: Prepared, *, job: str = "", cluster: str = "") -> Elsewhere:
    """Write down that Slurm starts the attempt as that ``job``, or that people start it."""
    launch = prepared.request.launch
    written = Elsewhere(
        by="slurm" if job else "people", asked=digest_of(prepared), nodes=launch.nodes, devices=launch.devices,
        cpu_processes=launch.cpu_processes, master_address=launch.master_address, master_port=launch.master_port,
        job=job, cluster=cluster,
    )  # fmt: skip
    write_text(prepared.folder / _NAME, json.dumps(asdict(written)) + "\n")
    return written


def attempts_elsewhere(output: Path) -> Iterator[tuple[Path, Elsewhere]]:
    """Attempts below ``output`` that were started elsewhere, newest first; a damaged note counts as none."""
    numbered = [p for p in output.glob(f"attempt-*/{_NAME}") if p.parent.name.removeprefix("attempt-").isdigit()]
    for path in sorted(numbered, key=lambda p: int(p.parent.name.removeprefix("attempt-")), reverse=True):
        try:
            yield path.parent.absolute(), msgspec.json.decode(read_text(path).encode(), type=Elsewhere)
        except (OSError, ValueError, msgspec.MsgspecError):
            continue


def launch_elsewhere(output: Path, launch: Launch, slurm: Slurm) -> Launch:
    """The processes of the newest attempt that was started elsewhere, for a call that names none; else ``launch``.

    How many examples an update has depends on the number of processes, so a call that goes on must count with the same.

    Args:
        output: folder of the attempts.
        launch: what the call asks for.
        slurm: resources of a further job, where Slurm started that one.
    """
    for _, noted in attempts_elsewhere(output):
        return replace(
            launch, nodes=noted.nodes, devices=noted.devices, cpu_processes=noted.cpu_processes, node_rank=0,
            master_address=noted.master_address, master_port=noted.master_port,
            slurm=slurm if noted.by == "slurm" else None,
        )  # fmt: skip
    return launch
