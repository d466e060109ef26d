"""Calls a command of the harness again and again in one process, so that a kill meets its work and not its start.

    python -m tests.soak.again WORDS ...        harness WORDS, for ever
    python -m tests.soak.again register N       register versions w.0 to w.N-1 and acknowledge each in acknowledged.txt

The file ``begun`` in the current folder says that the first call is about to begin.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness.cli import main
from harness.project.manifest import MANIFEST_NAME, Adapter, read_manifest, register

__all__ = ["register_all"]


def register_all(place: Path, count: int) -> None:
    """Register what is not there yet; a name is acknowledged after its registration has returned."""
    manifest = place / MANIFEST_NAME
    there = read_manifest(manifest).adapters
    descriptor = os.open(place / "acknowledged.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in range(count):
        name = f"w.{number}"
        if name not in there:
            register(manifest, Adapter(name=name, model="tiny", parent="v4.0"))
            os.write(descriptor, f"{name}\n".encode())
    os.close(descriptor)


def _main(words: list[str]) -> None:
    if words[0] == "register":
        Path("begun").touch()
        register_all(Path.cwd(), int(words[1]))
        return
    # What the first call imports belongs to the start.
    main(words)
    Path("begun").touch()
    while True:
        main(words)


if __name__ == "__main__":
    _main(sys.argv[1:])
