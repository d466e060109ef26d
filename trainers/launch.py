"""Which processes train: how many, on which devices, over which nodes.

One process is started directly. More processes, and everything with DeepSpeed, start through ``torch.distributed.run``
and never through LLaMA-Factory's own command line, which leaves workers training after a kill, splits paths at spaces
and takes ``torchrun`` from PATH.

On one node ``torch.distributed.run`` chooses its ports itself, with ``--standalone``: its stores listen on port 0 and
ask the kernel which port that is, so no port is taken by another process between choice and use. Several nodes must
agree on a port before they start, so theirs is fixed. Not supported: LLaMA-Factory's Ray launcher; 0.9.5 reserves ten
CPUs and a GPU for every GPU of the whole cluster and never starts.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import SettingsError
from harness.project.slurm import Slurm
from harness.setup.gpus import visible_gpus

__all__ = ["GPUS_ELSEWHERE", "Launch", "free_port", "parse_devices", "uses_deepspeed"]

_NUMBER = re.compile(r"[0-9]{1,4}")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_MAX_PROCESSES = 1024
GPUS_ELSEWHERE = tuple(range(64))
"""Devices of a node that is not this machine, whose number nobody here knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Processes of one training."""

    devices: tuple[int, ...] = ()
    """CUDA devices on this node; empty: the CPU."""
    cpu_processes: int = 1
    """Processes when there are no devices."""
    deepspeed: bool = False
    nodes: int = 1
    node_rank: int = 0
    master_address: str = "127.0.0.1"
    master_port: int = 0
    """0: one node chooses itself, and so does a job of Slurm; must be given for several nodes that people start."""
    slurm: Slurm | None = None
    """What is asked of Slurm, where it starts the nodes; it knows the first node's address, and people need not."""

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.cpu_processes <= _MAX_PROCESSES:
            problems.append(f"{self.cpu_processes} CPU processes (expected 1..{_MAX_PROCESSES})")
        if self.nodes < 1 or not 0 <= self.node_rank < self.nodes:
            problems.append(f"node rank {self.node_rank} of {self.nodes} nodes (expected 0..{max(self.nodes, 1) - 1})")
        if self.slurm is None and self.nodes > 1 and not 0 < self.master_port < 65536:
            problems.append("several nodes need a master port: a random one would differ on every node")
        if not 0 <= self.master_port < 65536:
            problems.append(f"master port {self.master_port} (expected 1..65535)")
        if self.slurm is None and self.nodes > 1 and self.master_address in ("127.0.0.1", "localhost", ""):
            problems.append("several nodes need the first node's address, which localhost is not")
        if problems:
            raise SettingsError("launch: " + "; ".join(problems))

    @classmethod
    def on_gpus(
        cls,
        gpus: str,
        *,
        deepspeed: str | None = None,
        available: tuple[int, ...] | None = None,
        only_planned: bool = False,
    ) -> Launch:
        """Devices by number or list; without any, the first GPU, or the CPU where there is none.

        Args:
            gpus: number or list; empty: not said.
            deepspeed: as in a recipe.
            available: devices of this machine; None: asked.
            only_planned: nothing starts, so a machine without GPUs may plan for one that has them.

        Raises:
            SettingsError: not a number or list, or a device that does not exist.
        """
        visible = visible_gpus() if available is None else available
        if only_planned and gpus.strip() and not visible:
            visible = GPUS_ELSEWHERE
        devices = parse_devices(gpus, visible) if gpus.strip() else visible[:1]
        return cls(devices=devices, deepspeed=uses_deepspeed(deepspeed))

    @property
    def processes(self) -> int:
        """On this node."""
        return len(self.devices) or self.cpu_processes

    @property
    def world_size(self) -> int:
        """On all nodes."""
        return self.processes * self.nodes

    @property
    def torchrun(self) -> bool:
        """Whether ``torch.distributed.run`` is needed."""
        return self.world_size > 1 or self.deepspeed

    def with_deepspeed(self, deepspeed: str | None) -> Launch:
        """The same processes for a recipe's ``deepspeed``."""
        return replace(self, deepspeed=uses_deepspeed(deepspeed))

    def command(self, python: Path, entry: Path, job: Path) -> list[str]:
        """The words that start the training on this node; never a shell line."""
        if not self.torchrun:
            return [str(python), str(entry), str(job)]
        words = [str(python), "-m", "torch.distributed.run", "--nproc_per_node", str(self.processes)]
        if self.nodes == 1 and not self.master_port:
            # The address is said too: workers look for their store under the machine's name otherwise, which not every
            # machine can resolve.
            words += ["--standalone", "--local_addr", "127.0.0.1"]
        else:
            words += [
                "--nnodes", str(self.nodes), "--node_rank", str(self.node_rank), "--master_addr", self.master_address,
                "--master_port", str(self.master_port),
            ]  # fmt: skip
        return [*words, str(entry), str(job)]


def uses_deepspeed(deepspeed: str | None) -> bool:
    """Whether a recipe's ``deepspeed`` starts DeepSpeed; ``"none"`` says that it must not."""
    return deepspeed not in (None, "none")


def parse_devices(text: str, available: tuple[int, ...]) -> tuple[int, ...]:
    """``"8"``: the first eight devices; ``"0-3,6"`` or ``"2,"``: these.

    Raises:
        SettingsError: another form, a device twice, or one that is not there.
    """
    text = text.strip()
    have = f"this machine has {', '.join(map(str, available)) or 'none'}"
    if _NUMBER.fullmatch(text):
        count = int(text)
        if not 1 <= count <= len(available):
            raise SettingsError(f"gpus = {text!r}: asks for {count} GPUs; {have}")
        return available[:count]
    wanted: list[int] = []
    for part in [p.strip() for p in text.split(",") if p.strip()] or [text]:
        match = _RANGE.fullmatch(part)
        if match is None or len(part) > 9:
            raise SettingsError(
                f"gpus = {text!r}: {part!r} is not a device; write a number, or a list such as 0-7 or 0,2,5"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= _MAX_PROCESSES:
            raise SettingsError(f"gpus = {text!r}: {part!r} is not a range")
        wanted += range(first, last + 1)
    twice = sorted({d for d in wanted if wanted.count(d) > 1})
    if twice:
        raise SettingsError(f"gpus = {text!r}: device {twice[0]} is named twice")
    missing = [d for d in wanted if d not in available]
    if missing:
        raise SettingsError(f"gpus = {text!r}: there is no device {', '.join(map(str, missing))}; {have}")
    return tuple(wanted)


def free_port() -> int:
    """A TCP port that no process listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
