"""What a training asks of Slurm; ``[tool.harness.slurm]`` has the defaults, options of a command go over them.

The values end up in the head of a batch script, so each one has a pattern of its own, and options that are not listed
here are refused: a misspelt or free one could ask for anything. What a site needs beyond this list can be set where
Slurm itself reads it, in ``SBATCH_*`` variables.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from harness.safe.validate import field_problems, from_mapping, number, raise_problems, whole

__all__ = ["Slurm"]

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}\Z"
_NAMES = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}(,[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}){0,15}\Z"
Name = Annotated[str, Meta(pattern=_NAME, description="a name of letters, digits, '_', '.' and '-'")]
Names = Annotated[str, Meta(pattern=_NAMES, description="a name, or several with commas between them")]
Time = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,4}-[0-9]{1,2}(:[0-9]{2}){0,2}|[0-9]{1,6}(:[0-9]{2}){0,2})\Z",
        description="a time such as 90 (minutes), 04:00:00 or 2-12:00:00",
    ),
]
Memory = Annotated[str, Meta(pattern=r"^[0-9]{1,9}[KMGT]?\Z", description="a size such as 512G; 0 is all of a node")]
Constraint = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.\-&|*()\[\]]{1,200}\Z", description="features of nodes, such as h100&ib")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """Resources of a training's job. What is None is left to Slurm's own defaults."""

    partition: Names | None = None
    account: Name | None = None
    time: Time | None = None
    """Limit of the job: minutes, ``hh:mm:ss`` or ``days-hh:mm:ss``."""
    cpus_per_task: Annotated[int, whole(1, 4096)] | None = None
    """CPUs on each node; a node has one task, which starts a process for each GPU."""
    memory: Memory | None = None
    """Memory of each node, such as ``512G``; ``0`` is all of it."""
    qos: Name | None = None
    constraint: Constraint | None = None
    """Features that the nodes must have."""
    reservation: Names | None = None
    exclusive: bool = False
    """Whether no other job shares the nodes."""
    gpu_memory: Annotated[float, number(1, 4096)] | None = None
    """GiB of each GPU of the nodes, for the count of memory on a machine that has no such GPU."""

    def __post_init__(self) -> None:
        raise_problems("slurm", field_problems(self).values())

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Slurm | None = None) -> Slurm:
        """``base`` (or the defaults) with ``values`` over it; None values count as absent.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        # TOML has integers, and a time in minutes or a memory in MB looks like one.
        given = {
            name: str(value) if name in ("time", "memory") and type(value) is int else value
            for name, value in values.items()
            if value is not None
        }
        return from_mapping(cls, given, base or cls(), "slurm")

    def options(self) -> Iterator[tuple[str, str]]:
        """Options of ``sbatch`` with their values; an empty value belongs to an option that takes none."""
        names = {"memory": "mem", "cpus_per_task": "cpus-per-task"}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "gpu_memory" or value in (None, False):
                continue
            yield names.get(field.name, field.name), "" if value is True else str(value)
