"""A PostgreSQL server of the tests' own, from the system's package: a temporary cluster on a loopback port.

PostgreSQL refuses to run as root, so root runs it as the user ``postgres``, whom the package makes. Without the package
the tests that need a server are skipped with a reason; in CI, where it must be there, they fail.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["PASSWORD", "Server", "postgres_server"]

PASSWORD = "a-password-of-tests"
_USER = "postgres"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int

    def address(self, name: str, password: str = "") -> str:
        """The address of a database, with or without a password."""
        secret = f":{password}" if password else ""
        return f"postgresql+psycopg://{_USER}{secret}@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str, name: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement in a database; returns its rows."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=_USER, password=PASSWORD, dbname=name, autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """Make an empty database; returns its name."""
        name = f"t_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name}")
        return name


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A server in a folder of its own, which ends and goes with the context."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data, port = folder / "data", _free_port()
        _run(str(programs / "initdb"), "-D", str(data), "-U", _USER, "-A", "scram-sha-256", "--pwfile", str(secret),
             "-E", "UTF8", "--no-locale", "--no-sync")  # fmt: skip
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=60"
        control = (str(programs / "pg_ctl"), "-D", str(data), "-w")
        _run(*control, "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield Server(port)
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = [Path(p).parent for p in [shutil.which("initdb")] if p]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    there = next((folder for folder in found if (folder / "initdb").is_file()), None)
    if there is None:
        reason = "PostgreSQL is not installed: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return there


def _run(*command: str) -> None:
    words = ["runuser", "-u", _USER, "--", *command] if os.geteuid() == 0 else list(command)
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", check=False,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:1])}: {done.stdout[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
