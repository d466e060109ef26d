"""The record of a server that ``harness serve`` runs on this machine, so that other commands find it.

It lies in the user's cache folder, readable by the user alone, since it holds the server's key. A record counts only
while its process runs, its model's files are as they were, and its options are those that are wanted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.models.embedded import cache_folder
from harness.safe.files import replace_with
from harness.safe.processes import is_alive
from harness.safe.read import read_facts, read_object
from harness.safe.records import from_data, to_data

__all__ = ["WarmServer", "deciding_options", "file_stamps", "find_server", "forget_server", "record_server"]

_OF_CALLS = frozenset({"max_model_len", "max_loras", "max_lora_rank", "n_best", "max_num_seqs", "kv_cache_gib",
                       "gpu_memory_utilization", "dtype", "trust_remote_code", "base_url"})  # fmt: skip
"""Options that are compared by their own rule, or that change no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmServer:
    """A running server."""

    address: str
    model: str
    """Its served name."""
    model_path: str
    stamps: Mapping[str, str]
    """Of the model's files when it started."""
    dtype: str
    """As it was asked for."""
    max_model_len: int
    max_loras: int
    max_lora_rank: int
    trust_remote_code: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    """Any other option of the engine that may change an answer."""
    forks: bool = False
    """Whether it copies the last block of a fork's parent (harness/engines/vllm_fork.py)."""
    process: Mapping[str, Any]
    """See :func:`harness.safe.processes.process_facts`."""

    def fits(self, wanted: Mapping[str, Any]) -> bool:
        """Whether an engine that is opened with ``wanted`` would compute the same, and this one has room for it."""
        longest = wanted.get("max_model_len")
        return (
            (longest is None or longest <= self.max_model_len)
            and wanted.get("max_loras", 0) <= self.max_loras
            and wanted.get("max_lora_rank", 0) <= self.max_lora_rank
            and wanted.get("dtype", "auto") == self.dtype
            and wanted.get("trust_remote_code", False) == self.trust_remote_code
            and deciding_options(wanted) == self.options
        )


def deciding_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that must be the same for two engines to compute the same, other than those with a rule above."""
    return {name: value for name, value in options.items() if name not in _OF_CALLS}


def record_server(server: WarmServer, key: str) -> Path:
    """Write the record; it holds the key."""
    path = _path(Path(server.model_path))

    def write(temporary: Path) -> None:
        temporary.chmod(0o600)
        # Not through to_data alone: it takes known secrets out of every text, and this one is the key.
        temporary.write_text(json.dumps({**to_data(server), "key": key}), "utf-8")

    return replace_with(path, write)


def forget_server(path: Path, server: WarmServer) -> None:
    """Remove the record that :func:`record_server` wrote, unless a later server of that model has taken its place."""
    if read_facts(path).get("process") in (None, dict(server.process)):
        path.unlink(missing_ok=True)


def find_server(model_path: Path, wanted: Mapping[str, Any]) -> tuple[WarmServer, str] | None:
    """The server of that model on this machine, and its key; None where there is none that can be used.

    Args:
        model_path: folder of the model.
        wanted: options that an engine would be opened with.
    """
    try:
        facts = read_object(_path(model_path))
        key = facts.pop("key")
        server = from_data(WarmServer, facts)
    except (OSError, ValueError, KeyError):
        return None
    if not isinstance(key, str) or not is_alive(server.process) or server.stamps != file_stamps(model_path):
        return None
    return (server, key) if server.fits(wanted) else None


def file_stamps(folder: Path) -> dict[str, str]:
    """Size and time of change of each file of a model's folder."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_file():
            facts = path.stat()
            found[path.name] = f"{facts.st_size}-{facts.st_mtime_ns}"
    return found


def _path(model_path: Path) -> Path:
    name = hashlib.sha256(str(model_path.resolve()).encode()).hexdigest()[:24]
    return cache_folder() / "servers" / f"{name}.json"
