"""Files are written whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.safe.files import append_line, digest_folder, locked, replace_with, write_text


def test_text_is_written_with_its_folder(tmp_path: Path) -> None:
    """A file's folder is made when it is absent."""
    path = write_text(tmp_path / "a" / "b.txt", "grüße\n")
    assert path.read_bytes() == "grüße\n".encode()


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    """When writing breaks off, the old content stays and no temporary file is left."""
    path = write_text(tmp_path / "a.txt", "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("ne")
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        replace_with(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_mode_of_an_existing_file_is_kept(tmp_path: Path) -> None:
    """A file that others may not read stays one."""
    path = write_text(tmp_path / "a.txt", "old")
    path.chmod(0o600)
    write_text(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_in_the_way_is_an_error_that_names_it(tmp_path: Path) -> None:
    """What cannot be written is said with its path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/a\.txt"):
        write_text(tmp_path / "file" / "a.txt", "x")


def _write_for_ever(path: Path) -> None:
    for number in range(10_000_000):
        write_text(path, f"{number % 10}" * 200_000)


@pytest.mark.parametrize("seed", range(12), ids=lambda s: f"kill-{s}")
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path, seed: int) -> None:
    """After kill -9 in the middle of writing, the file is one whole version."""
    path = write_text(tmp_path / "a.txt", "0" * 200_000)
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(path,))
    process.start()
    time.sleep(0.01 + 0.003 * seed)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    text = path.read_text()
    assert len(text) == 200_000
    assert len(set(text)) == 1


def _add_lines(path: Path, times: int) -> None:
    for _ in range(times):
        with locked(path):
            write_text(path, path.read_text() + "x\n")


def test_locked_updates_are_not_lost(tmp_path: Path) -> None:
    """Four processes that each add lines under the lock lose none."""
    path = write_text(tmp_path / "a.txt", "")
    workers = [multiprocessing.get_context("fork").Process(target=_add_lines, args=(path, 25)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text().count("x") == 100


def test_a_lock_that_is_held_is_an_error_after_the_wait(tmp_path: Path) -> None:
    """Who cannot get the lock does not write."""
    with (
        locked(tmp_path / "a.txt"),
        pytest.raises(StoreError, match="being changed by another process"),
        locked(tmp_path / "a.txt", seconds=0.05),
    ):
        pass


def test_folder_digest_follows_content(tmp_path: Path) -> None:
    """The digest of a folder changes with a byte of a named file, and with nothing else."""
    write_text(tmp_path / "a", "1")
    before = digest_folder(tmp_path, ("a", "b"))
    write_text(tmp_path / "other", "x")
    assert digest_folder(tmp_path, ("b", "a")) == before
    write_text(tmp_path / "a", "2")
    assert digest_folder(tmp_path, ("a", "b")) != before


def test_a_line_is_added_after_half_a_line(tmp_path: Path) -> None:
    """What a killed writer left stays apart from the next line."""
    path = append_line(tmp_path / "a" / "lines", "one")
    with path.open("a") as file:
        file.write("tw")
    append_line(path, "three")
    assert path.read_text() == "one\ntw\nthree\n"
