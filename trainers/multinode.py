"""Describes what would be started: for a dry run, and for several nodes, which people or Slurm start.

The harness does not log in to several nodes. It writes the job into a folder that all nodes see. Where ``sbatch`` is
there, :mod:`trainers.slurm` submits the script; elsewhere people start what is printed. Data are prepared once, before
any node trains, because nodes that write the same cache at once corrupt it. The master port is fixed, since a random
one would differ on every node; a job of Slurm takes it from its number, so that two jobs on one node do not meet.
Afterwards ``--resume``, or ``harness train --collect FOLDER``, checks and registers the weights.

Everything that is not ours is quoted, in the shell's lines and in those of Slurm's options.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from harness.errors import TrainerError
from harness.project.slurm import Slurm
from trainers.base import TrainRequest
from trainers.job import ENTRY, JOB, launch_variables

__all__ = ["node_commands", "prepare_command", "slurm_script"]


def prepare_command(request: TrainRequest, python: Path, folder: Path) -> str:
    """The line that builds the dataset, once."""
    return _line(request, [str(python), str(ENTRY), str(folder / JOB), "prepare"])


def node_commands(request: TrainRequest, python: Path, folder: Path) -> tuple[str, ...]:
    """One line for each node, in the order of their ranks; a single one for one node."""
    launch = request.launch
    if launch.nodes == 1:
        return (_line(request, launch.command(python, ENTRY, folder / JOB)),)
    ranks = [replace(launch, node_rank=rank) for rank in range(launch.nodes)]
    return tuple(_line(request, each.command(python, ENTRY, folder / JOB)) for each in ranks)


def slurm_script(request: TrainRequest, python: Path, folder: Path) -> str:
    """A batch script for ``sbatch``: the master is the first node that Slurm gives, the rank is the node's number.

    Raises:
        TrainerError: the folder's path cannot stand in a batch script.
    """
    launch, slurm = request.launch, request.launch.slurm or Slurm()
    if any(ord(c) < 32 or ord(c) == 127 for c in str(folder)):
        raise TrainerError(f"{str(folder)!r}: control characters in a path cannot stand in a batch script; rename it")
    command = launch.command(python, ENTRY, folder / JOB)
    words = [shlex.quote(w) for w in command]
    for option, value in (
        ("--node_rank", '"$SLURM_NODEID"'), ("--master_addr", '"$MASTER_ADDR"'), ("--master_port", '"$MASTER_PORT"'),
    ):  # fmt: skip
        if option in command:
            words[command.index(option) + 1] = value
    variables = launch_variables(request)
    if launch.devices:
        # Which GPUs of a shared node are the job's is Slurm's to say.
        del variables["CUDA_VISIBLE_DEVICES"]
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    options = {
        "job-name": "harness-train", "nodes": str(launch.nodes), "ntasks-per-node": "1",
        **({"gpus-per-node": str(len(launch.devices))} if launch.devices else {}),
        **dict(slurm.options()),
        # In the name of a file, Slurm replaces what follows a percent sign.
        "output": f"{str(folder).replace('%', '%%')}/slurm-%j.log", "no-requeue": "",
    }  # fmt: skip
    head = "\n".join(f"#SBATCH --{name}{f'={shlex.quote(value)}' if value else ''}" for name, value in options.items())
    prepare = " ".join(shlex.quote(w) for w in (str(python), str(ENTRY), str(folder / JOB), "prepare"))
    # Below the ports that the kernel gives to connections.
    port = str(launch.master_port) if launch.master_port else "$((10000 + SLURM_JOB_ID % 20000))"
    return f"""#!/bin/bash
{head}
set -euo pipefail

export PATH={shlex.quote(str(python.parent))}:"$PATH"
{exports}

# sed and not head, which ends before it has read all: the broken pipe would end the job.
MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)"
export MASTER_ADDR MASTER_PORT={port}
# From Slurm 22.05 on, srun no longer takes this from sbatch.
[ -z "${{SLURM_CPUS_PER_TASK:-}}" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"

# Once, on one node: nodes that prepare the same data at the same time corrupt each other's cache.
srun --nodes=1 --ntasks=1 {prepare}
# In single quotes: every node fills in its own number.
srun --kill-on-bad-exit=1 bash -c {_single(" ".join(words))}
"""


def _single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _line(request: TrainRequest, command: list[str]) -> str:
    """One line for a shell, with the variables that it needs."""
    variables = [f"{k}={shlex.quote(v)}" for k, v in launch_variables(request).items()]
    return " ".join([*variables, *(shlex.quote(w) for w in command)])
