"""Runs a command on a pseudo terminal, as a person would see it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["output_on_terminal"]


def output_on_terminal(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, columns: int = 80, rows: int = 24
) -> Iterator[str]:
    """The output of ``command`` piece by piece, as it is written; the process has ended when the iterator has."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=there, stdout=there, stderr=there, start_new_session=True
    )
    os.close(there)
    pending = b""
    try:
        while True:
            try:
                data = os.read(here, 4096)
            except OSError:  # Linux says EIO when the last writer is gone.
                break
            if not data:
                break
            pending += data
            text = pending.decode("utf-8", errors="ignore")
            # A character may be cut in two by the buffer's end.
            pending = pending[len(text.encode()) :]
            yield text
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(here)
