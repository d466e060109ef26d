"""The Ray cluster: the one that is running, or one that is started on this machine and ended again.

A local Ray listens on the loopback interface only, wants a token from whoever connects, has no dashboard and sends no
usage statistics. Its files lie in a folder of its own, which goes with it. A process has one connection to Ray, so
engines of one process share it, and the last one to close ends it.

Invariant: what was not started here is never ended here: neither a cluster, nor a connection that the caller had.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.engines.on_ray.placement import Node
from harness.errors import EngineError, SettingsError
from harness.safe.secrets import keep_secret

__all__ = ["connect", "disconnect", "nodes", "worker_environment"]

_OBJECT_STORE = 128 << 20
"""Bytes of shared memory for a local Ray; requests and outcomes are small."""
_CONNECT = 10.0
"""Seconds."""
_LOCAL = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray takes the loopback interface by this switch alone.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    # One for the whole process, since the package reads it once, when it is imported.
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


@dataclass(slots=True, kw_only=True)
class _Connection:
    """The connection of this process."""

    users: int = 0
    ours: bool = False
    """Whether it was made here."""
    folder: Path | None = None
    """Of a local Ray."""
    before: Mapping[str, str | None] = field(default_factory=dict)
    """Environment variables as they were."""


_CONNECTION = _Connection()
_OPENED_BEFORE: list[bool] = []
"""Whether this process has started a Ray already: the package was then imported with the variables."""


def connect(address: str) -> Any:
    """Connect this process, or use its connection; returns the package ``ray``.

    Args:
        address: of a running cluster (``auto``: the one of this machine); empty: start a Ray here.

    Raises:
        SettingsError: an address that cannot be used.
        EngineError: there is no such cluster, or none can be started.
    """
    _check_address(address)
    connection = _CONNECTION
    # Nothing is sent to Ray's makers, whoever started the cluster.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    imported = "ray" in sys.modules
    if not address and connection.users == 0:
        keep_secret(_LOCAL["RAY_AUTH_TOKEN"])
        _set_variables(_LOCAL)
    import ray

    if not ray.is_initialized():
        if not address and imported and not _OPENED_BEFORE:
            _forget()
            raise EngineError(
                "Ray was imported before the harness could restrict it to this machine; call ray.init() yourself, or "
                "set ray_address"
            )
        connection.ours = True
        try:
            _init(ray, address)
        except Exception as error:
            with suppress(Exception):
                ray.shutdown()
            _forget()
            lines = str(error).strip().splitlines() or [type(error).__name__]
            what = f"ray_address = {address!r}: cannot connect" if address else "Ray does not start on this machine"
            raise EngineError(f"{what}: {lines[0]}") from error
        if not address:
            _OPENED_BEFORE.append(True)
    connection.users += 1
    return ray


def disconnect(ray: Any) -> None:
    """Give the connection back; the last user of one that was made here ends it, and a local Ray with it."""
    connection = _CONNECTION
    connection.users -= 1
    if connection.users or not connection.ours:
        return
    with _own_signals():
        ray.shutdown()
    _forget()


def nodes(ray: Any) -> list[Node]:
    """The machines of the cluster that are alive."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    return [
        Node(
            id=node["NodeID"], cpus=int(node["Resources"].get("CPU", 0)), gpus=int(node["Resources"].get("GPU", 0))
        )
        for node in alive
    ]  # fmt: skip


def worker_environment() -> dict[str, Any]:
    """Ray's ``runtime_env`` of actors: on a local Ray they find this very package, however this process found it."""
    if _CONNECTION.folder is None:
        return {}
    here = str(Path(__file__).resolve().parents[3])
    return {"env_vars": {"PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])}}


def _check_address(address: str) -> None:
    """Refuse what is no address, and a machine that does not listen, which Ray would ask for minutes."""
    if address in ("", "auto"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise SettingsError(f"ray_address = {address!r}: give HOST:PORT or auto, on a machine of the cluster")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"ray_address = {address!r}: no cluster answers there: {error}") from error


def _init(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    with _own_signals():
        if address:
            ray.init(address=address, **quiet)
            return
        # Sockets lie in it, whose paths have 107 characters at most.
        _CONNECTION.folder = Path(tempfile.mkdtemp(prefix="harness-ray-", dir=_short_folder()))
        ray.init(
            address="local", include_dashboard=False, object_store_memory=_OBJECT_STORE,
            _node_ip_address="127.0.0.1", _temp_dir=str(_CONNECTION.folder), **quiet,
        )  # fmt: skip


def _short_folder() -> str | None:
    """Where a long temporary folder is the default, a shorter one."""
    return "/tmp" if len(tempfile.gettempdir()) > 20 and Path("/tmp").is_dir() else None  # noqa: S108 - mkdtemp is safe


def _set_variables(wanted: Mapping[str, str]) -> None:
    _CONNECTION.before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)


def _forget() -> None:
    connection = _CONNECTION
    for name, value in connection.before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if connection.folder is not None:
        shutil.rmtree(connection.folder, ignore_errors=True)
    connection.users, connection.ours, connection.folder, connection.before = 0, False, None, {}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the process's own handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
