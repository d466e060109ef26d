"""Whether what is on the disk is whole: each file by its kind, and nothing that should be gone.

A state file is judged by its bytes, with the standard library where that is possible, so that a reader of the harness
that is too lenient hides nothing.
"""

from __future__ import annotations

import json
import sqlite3
import tomllib
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from harness.errors import HarnessError
from harness.models.adapters.folder import FILES
from harness.project.manifest import MANIFEST_NAME, read_manifest
from harness.safe.files import digest_folder
from harness.store import Store

__all__ = ["strays", "unsound"]

_APPENDED = ("progress.jsonl",)
"""Files whose last line may be half: they are read line by line while they grow."""


def unsound(place: Path) -> list[str]:
    """One line for each file below ``place`` that is neither old nor new, and each version without its weights."""
    problems = []
    for path in sorted(place.rglob("*")):
        check = _CHECKS.get(path.suffix)
        if not path.is_file() or check is None or path.name in _APPENDED or _temporary(path, place):
            continue
        try:
            check(path)
        except Exception as error:  # noqa: BLE001 - whatever a damaged file raises is the finding
            problems.append(f"{path.relative_to(place)} is not whole: {type(error).__name__}: {error}")
    problems += _versions(place)
    return problems


def strays(*places: Path) -> list[str]:
    """Temporary files, folders and links below the places."""
    return [
        str(path.relative_to(place))
        for place in places
        for path in sorted(place.rglob("*"))
        if path.name.startswith(".tmp-") or path.suffix == ".part" or path.parent == place / "tmp"
    ]


def _temporary(path: Path, place: Path) -> bool:
    return any(part.startswith(".tmp-") for part in path.relative_to(place).parts)


def _versions(place: Path) -> list[str]:
    """Versions in the manifest whose weights are missing or others."""
    try:
        manifest = read_manifest(place / MANIFEST_NAME)
    except HarnessError as error:
        return [str(error)]
    return [
        f"{adapter.name} is registered without its weights"
        for adapter in manifest.adapters.values()
        if adapter.path is not None and digest_folder(adapter.path, FILES) != adapter.sha256
    ]


def _lines(path: Path) -> None:
    data = path.read_bytes()
    assert not data or data.endswith(b"\n"), "the last line has no end"
    for line in data.splitlines():
        json.loads(line)


def _page(path: Path) -> None:
    assert path.read_text("utf-8").rstrip().endswith("</html>"), "no end of the page"


def _workbook(path: Path) -> None:
    with zipfile.ZipFile(path) as book:
        assert book.testzip() is None, "a part is damaged"


def _database(path: Path) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "damaged"
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            return
    with Store(path) as store:
        for run in store.runs():
            store.results(run.id)
        store.trainings()


_CHECKS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_bytes()),
    ".jsonl": _lines,
    ".toml": lambda path: tomllib.loads(path.read_text("utf-8")),
    ".html": _page,
    ".xlsx": _workbook,
    ".sqlite": _database,
}
