"""How many replicas a cluster holds, and what each takes; pure arithmetic over the nodes' resources.

A replica lies on one node, since its engine is one process tree there. On a cluster with GPUs it takes
``tensor_parallel_size`` x ``pipeline_parallel_size`` of them; on one without, its share of a node's cores. Replicas for
which there is no room yet wait, and join when there is. Not supported: a replica over several nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import EngineError

__all__ = ["Node", "Placement", "place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine of the cluster."""

    id: str
    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What to ask Ray for."""

    replicas: int
    cpus: int
    """For each replica."""
    gpus: int
    """For each replica."""


def place(nodes: Sequence[Node], *, replicas: int | None, gpus: int) -> Placement:
    """The replicas to start.

    Args:
        nodes: machines that are alive.
        replicas: how many; None: as many as the cluster's GPUs allow, or one without GPUs.
        gpus: that each replica needs, on a cluster with GPUs.

    Raises:
        EngineError: no node is large enough for one.
    """
    largest = max((node.gpus for node in nodes), default=0)
    if largest:
        fitting = sum(node.gpus // gpus for node in nodes)
        if not fitting:
            raise EngineError(
                f"a replica takes {gpus} GPUs of one node (tensor_parallel_size x pipeline_parallel_size), and the "
                f"largest node of the Ray cluster has {largest}"
            )
        return Placement(replicas=replicas or fitting, cpus=0, gpus=gpus)
    cores = [node.cpus for node in nodes if node.cpus]
    wanted = replicas or 1
    each = min(cores, default=0) // math.ceil(wanted / len(cores)) if cores else 0
    if not each:
        raise EngineError(
            f"{wanted} replicas need a core each, and the Ray cluster has {sum(cores)} on {len(cores)} nodes; set a "
            "smaller number of replicas"
        )
    return Placement(replicas=wanted, cpus=each, gpus=0)
