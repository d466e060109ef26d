"""Options that say where a training runs, for every command that trains: GPUs, nodes, Slurm, torchrun's environment.

--nodes N, sbatch here      a job of Slurm, which this call waits for
--nodes N, no sbatch        the job is written, and people start what is printed
NNODES, RANK, MASTER_...    defaults of --nodes, --node-rank, --master-address, --master-port, as torchrun's users
                            set them; nothing is submitted from inside such a launch, or from inside a job of Slurm
"""

from __future__ import annotations

import argparse
import os

from harness.errors import SettingsError
from harness.project.settings import Settings
from harness.project.slurm import Slurm
from trainers.launch import GPUS_ELSEWHERE, Launch, parse_devices
from trainers.recipe import Recipe
from trainers.slurm import slurm_here

__all__ = ["add_launch_options", "launch_of", "names_processes", "nodes_from_environment", "submits"]

_SLURM = ("partition", "account", "time", "cpus_per_task", "memory")


def add_launch_options(parser: argparse.ArgumentParser, *, ranks: bool = True) -> None:
    """Add the options, in groups of their own.

    Args:
        parser: of the command.
        ranks: whether the command prints what one node runs.
    """
    launch = parser.add_argument_group("launch")
    launch.add_argument("--gpus", metavar="N|LIST", help="number of GPUs (of each node), or a list such as 0-7")
    launch.add_argument("--cpu-processes", type=int, metavar="N", help="number of processes on the CPU")
    launch.add_argument(
        "--nodes", type=int, metavar="N",
        help="train on N nodes: with Slurm, or with commands that are printed; default: $NNODES, else 1",
    )  # fmt: skip
    if ranks:
        launch.add_argument(
            "--node-rank", type=int, metavar="R",
            help="print it for the node of this rank only; default: $RANK, else all",
        )  # fmt: skip
    else:
        parser.set_defaults(node_rank=None)
    launch.add_argument(
        "--master-address", metavar="HOST",
        help="address of the first node, for --nodes without Slurm; default: $MASTER_ADDR",
    )  # fmt: skip
    launch.add_argument(
        "--master-port", type=int, metavar="PORT", help="free port on the first node; default: $MASTER_PORT"
    )
    slurm = parser.add_argument_group("Slurm", "defaults: [tool.harness.slurm]")
    slurm.add_argument("--partition", metavar="NAME", help="partition, or several with commas")
    slurm.add_argument("--account", metavar="NAME", help="account that pays")
    slurm.add_argument("--time", metavar="LIMIT", help="limit of the job: minutes, hh:mm:ss or days-hh:mm:ss")
    slurm.add_argument("--cpus-per-task", type=int, metavar="N", help="CPUs on each node")
    slurm.add_argument("--memory", metavar="SIZE", help="memory of each node, such as 512G; 0 is all of it")


def nodes_from_environment(args: argparse.Namespace) -> None:
    """What torchrun's users set in the environment, where the call does not say it.

    Raises:
        SettingsError: a variable that is not a whole number; all of them.
    """
    problems = []
    for name, variable, kind, default in (
        ("nodes", "NNODES", int, 1), ("node_rank", "RANK", int, None), ("master_port", "MASTER_PORT", int, 0),
        ("master_address", "MASTER_ADDR", str, ""),
    ):  # fmt: skip
        if getattr(args, name) is not None:
            continue
        text = os.environ.get(variable, "").strip()
        try:
            setattr(args, name, kind(text) if text else default)
        except ValueError:
            problems.append(f"environment variable {variable} = {text!r} (expected a whole number)")
    if args.nodes == 1:
        args.node_rank = None
    if args.node_rank is not None and not 0 <= args.node_rank < args.nodes:
        problems.append(f"node rank {args.node_rank} of {args.nodes} nodes (expected 0..{args.nodes - 1})")
    if problems:
        raise SettingsError("; ".join(problems))


def submits(args: argparse.Namespace) -> bool:
    """Whether the training becomes a job of Slurm: several nodes or one of its options, and ``sbatch`` is here."""
    return (args.nodes > 1 or bool(_given(args))) and slurm_here()


def names_processes(args: argparse.Namespace) -> bool:
    """Whether the call says where the training runs."""
    return bool(args.nodes > 1 or args.gpus or args.cpu_processes is not None or _given(args))


def launch_of(args: argparse.Namespace, recipe: Recipe, settings: Settings) -> Launch:
    """The processes of the call; several nodes may have GPUs that this machine has not.

    Raises:
        SettingsError: options that do not go together, or that ask for what is not there.
    """
    slurm = Slurm.from_mapping(_given(args), settings.slurm)
    by_slurm = submits(args)
    if _given(args) and not by_slurm and args.nodes == 1:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in _given(args))
        raise SettingsError(f"{given}: there is no sbatch here, or this is a job of Slurm already; leave them out")
    if args.nodes > 1 or by_slurm:
        return _on_nodes(args, recipe, slurm if by_slurm else None)
    launch = Launch.on_gpus(recipe.gpus, deepspeed=recipe.deepspeed, only_planned=args.dry_run)
    if args.cpu_processes is None:
        return launch
    if launch.devices and recipe.gpus:
        raise SettingsError("--cpu-processes and --gpus do not go together")
    return Launch(devices=(), cpu_processes=args.cpu_processes, deepspeed=recipe.uses_deepspeed)


def _on_nodes(args: argparse.Namespace, recipe: Recipe, slurm: Slurm | None) -> Launch:
    if recipe.gpus and not recipe.gpus.isdecimal():
        raise SettingsError(f"--gpus {recipe.gpus}: with --nodes, give the number of GPUs of each node")
    if recipe.gpus and args.cpu_processes is not None:
        raise SettingsError("--cpu-processes and --gpus do not go together")
    launch = Launch(
        devices=parse_devices(recipe.gpus, GPUS_ELSEWHERE) if recipe.gpus else (),
        cpu_processes=args.cpu_processes or 1,
        deepspeed=recipe.uses_deepspeed,
        nodes=args.nodes,
        master_address=args.master_address,
        master_port=args.master_port,
        slurm=slurm,
    )
    if not recipe.gpus and args.cpu_processes is None:
        raise SettingsError(
            f"--nodes {args.nodes}: say how many GPUs each node has (--gpus 8), or --cpu-processes for nodes without"
        )
    return launch


def _given(args: argparse.Namespace) -> dict[str, object]:
    return {name: value for name in _SLURM if (value := getattr(args, name)) is not None}
