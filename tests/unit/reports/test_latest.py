"""``reports/latest`` is the last run, on every file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ReportError
from harness.reports.latest import point_latest


def run_folder(reports: Path, name: str) -> Path:
    folder = reports / "runs" / name
    folder.mkdir(parents=True)
    (folder / "summary.md").write_text(name)
    return folder


def test_latest_leads_to_the_newest_reports(tmp_path: Path) -> None:
    """A link that moves with the folder of reports, replaced by each run."""
    for name in ("one", "two"):
        latest = point_latest(tmp_path, run_folder(tmp_path, name))
        assert (latest / "summary.md").read_text() == name
    assert latest.readlink() == Path("runs/two")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "runs"]


def test_without_links_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has none refuses them; the copy is replaced by the next run, and by a link where it can be."""

    def refused(self: Path, target: object, target_is_directory: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "symlink_to", refused)
        for name in ("one", "two"):
            latest = point_latest(tmp_path, run_folder(tmp_path, name))
            assert (latest / "summary.md").read_text() == name
            assert not latest.is_symlink()
    assert point_latest(tmp_path, run_folder(tmp_path, "three")).is_symlink()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Somebody's own file or folder of that name is named and kept."""
    latest = tmp_path / "latest"
    latest.write_text("mine") if kind == "file" else (latest / "mine").mkdir(parents=True)
    with pytest.raises(ReportError, match="move it away"):
        point_latest(tmp_path, run_folder(tmp_path, "one"))
    assert latest.is_file() or (latest / "mine").is_dir()


def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path) -> None:
    """Somebody deleted the run that it led to."""
    (tmp_path / "latest").symlink_to("runs/gone")
    assert (point_latest(tmp_path, run_folder(tmp_path, "one")) / "summary.md").is_file()
