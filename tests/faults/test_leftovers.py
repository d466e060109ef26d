"""What killed writers left behind is removed by the next one, and what a living one is writing is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.safe.files import new_folder, write_text

FILE = """
import sys, time
from pathlib import Path
from harness.safe.files import replace_with
def write(path):
    path.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
replace_with(Path(sys.argv[1]) / "report.json", write)
"""
FOLDER = """
import sys, time
from pathlib import Path
from harness.safe.files import new_folder
with new_folder(Path(sys.argv[1]) / "v4.1") as folder:
    (folder / "adapter_config.json").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".tmp-*"))


@pytest.mark.parametrize("script", [FILE, FOLDER], ids=["file", "folder"])
def test_the_next_write_removes_what_a_killed_writer_left(tmp_path: Path, script: str) -> None:
    """22 of 150 kills left a temporary file for ever."""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(2.1)
        write_text(tmp_path / "other.json", "{}")
        assert len(left(tmp_path)) == 1, "a living writer's file was removed"
        os.kill(writer.pid, signal.SIGKILL)
    write_text(tmp_path / "other.json", "{}")
    assert left(tmp_path) == []


def test_a_new_folder_removes_them_too(tmp_path: Path) -> None:
    """A merged model that was never finished takes gigabytes."""
    stale = tmp_path / ".tmp-v4.1-abc"
    stale.mkdir()
    (stale / "model.safetensors").write_bytes(b"half")
    time.sleep(2.1)
    with new_folder(tmp_path / "v4.2") as folder:
        (folder / "a").touch()
    assert left(tmp_path) == []
