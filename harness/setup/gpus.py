"""The NVIDIA GPUs that a child process may use, and their memory.

Engines and trainings ask here, so that both see the same GPUs. ``CUDA_VISIBLE_DEVICES`` may hold numbers or the
driver's UUIDs. Numbers are found without any tool, by the driver's files; memory and UUIDs need ``nvidia-smi``. torch
is not asked, since importing it takes seconds and the harness's environment may have a build for the CPU.

Not supported: parts of a GPU (MIG), which have names of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["Gpu", "gpus_with_memory", "visible_gpus"]

_SECONDS = 20
"""For ``nvidia-smi`` to answer."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU."""

    name: str
    total: int
    """Bytes."""
    index: int = 0
    """Its number, as ``CUDA_VISIBLE_DEVICES`` takes it."""


def visible_gpus(environment: Mapping[str, str] | None = None) -> tuple[int, ...]:
    """Numbers of the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves, in its order; all of them where it is not set.

    Args:
        environment: None: this process's.
    """
    wanted = _wanted(environment)
    if wanted is not None and any(not part.isdecimal() for part in wanted):
        return tuple(gpu.index for gpu in gpus_with_memory(environment))
    there = sorted(int(p.name) for p in Path("/proc/driver/nvidia/gpus_by_minor").glob("*") if p.name.isdigit())
    if not there:
        there = sorted(int(m[1]) for p in Path("/dev").glob("nvidia*") if (m := re.fullmatch(r"nvidia(\d+)", p.name)))
    return _chosen({str(number): number for number in there}, wanted)


def gpus_with_memory(environment: Mapping[str, str] | None = None) -> tuple[Gpu, ...]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` leaves, in its order; empty where ``nvidia-smi`` is not there.

    Args:
        environment: None: this process's.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    numbers: dict[str, Gpu] = {}
    uuids: dict[str, Gpu] = {}
    for line in done.stdout.splitlines():
        index, uuid, name, total, *_ = [*(part.strip() for part in line.split(",")), "", "", ""]
        if total.isdecimal() and index.isdecimal():
            numbers[index] = uuids[uuid] = Gpu(name=name, total=int(total) << 20, index=int(index))
    wanted = _wanted(environment)
    return _chosen(numbers if wanted is None else numbers | uuids, wanted)


def _wanted(environment: Mapping[str, str] | None) -> list[str] | None:
    """The entries of ``CUDA_VISIBLE_DEVICES``; None where it is not set."""
    value = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    return None if value is None else [part for word in value.split(",") if (part := word.strip())]


def _chosen(found: Mapping[str, T], wanted: list[str] | None) -> tuple[T, ...]:
    return tuple(found.values()) if wanted is None else tuple(found[part] for part in wanted if part in found)
