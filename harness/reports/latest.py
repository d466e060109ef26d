"""``reports/latest``: always the reports of the last run, for links, scripts and pipelines.

It is a symbolic link to the run's folder, replaced in one step, so a reader sees the reports of one run. Where the file
system has no links it is a copy, with a file that names its run. Anything else under that name is left alone.

Trade-off: a copy is replaced in two steps, and a reader may find nothing between them. A run that was killed writes no
reports, so the link then leads to the run before it, until ``harness report`` writes them.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from harness.errors import ReportError
from harness.safe.files import new_folder, replace_link, write_text

__all__ = ["LATEST", "point_latest"]

LATEST = "latest"
_COPY_OF = "copy-of.txt"
"""File of a copy that names its run: such a folder is ours to replace."""


def point_latest(reports: Path, folder: Path) -> Path:
    """Make ``reports/latest`` lead to the reports in ``folder``.

    Args:
        reports: the project's folder of reports.
        folder: of the run, below ``reports``.

    Returns:
        ``reports/latest``.

    Raises:
        ReportError: something else has its name, or it could not be written.
    """
    latest = reports / LATEST
    ours = latest.is_symlink() or not latest.exists() or (latest / _COPY_OF).is_file()
    if not ours:
        raise ReportError(f"{latest} is no link to a run; move it away, it is to hold the reports of the last run")
    try:
        if not latest.is_symlink() and latest.is_dir():
            shutil.rmtree(latest)
        try:
            replace_link(latest, folder.relative_to(reports))
        except OSError:
            _copy(folder, latest)
    except OSError as error:
        raise ReportError(f"cannot write {latest}: {error.strerror or error}") from error
    return latest


def _copy(folder: Path, latest: Path) -> None:
    with suppress(FileNotFoundError):
        latest.unlink()
    with new_folder(latest) as copy:
        for path in folder.iterdir():
            if path.is_file():
                shutil.copy2(path, copy / path.name)
        write_text(copy / _COPY_OF, f"{folder.name}\n")
