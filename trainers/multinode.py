"""Describes what would be started: for a dry run, and for several nodes, which people or Slurm start.

The harness does not start several nodes, since it would need to log in elsewhere. It writes the job into a folder that
all nodes see and prints what to run where. Data are prepared once, before any node trains, because nodes that write the
same cache at once corrupt it. The master port is fixed, since a random one would differ on every node. Afterwards
``harness train --collect FOLDER`` checks and registers the weights.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

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
    """A batch script for ``sbatch``: the master is the first node that Slurm gives, the rank is the node's number."""
    launch = request.launch
    command = launch.command(python, ENTRY, folder / JOB)
    words = [shlex.quote(w) for w in command]
    for option, value in (("--node_rank", '"$SLURM_NODEID"'), ("--master_addr", '"$MASTER_ADDR"')):
        if option in command:
            words[command.index(option) + 1] = value
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in launch_variables(request).items())
    gpus = f"#SBATCH --gpus-per-node={len(launch.devices)}\n" if launch.devices else ""
    prepare = " ".join(shlex.quote(w) for w in (str(python), str(ENTRY), str(folder / JOB), "prepare"))
    return f"""#!/bin/bash
#SBATCH --job-name=harness-train
#SBATCH --nodes={launch.nodes}
#SBATCH --ntasks-per-node=1
{gpus}#SBATCH --output={folder / "slurm-%j.log"}
set -euo pipefail

export PATH={shlex.quote(str(python.parent))}:"$PATH"
{exports}
MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
export MASTER_ADDR MASTER_PORT={launch.master_port}

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
