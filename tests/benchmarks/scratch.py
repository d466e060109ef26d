"""A project of its own for a benchmark: the bundled bad cases, and a manifest that only knows the model as shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["make_project"]

ROOT = Path(__file__).resolve().parents[2]


def make_project(place: Path, settings: str = "") -> None:
    """Fill the new folder ``place``; ``settings`` are further lines of ``[tool.harness]``."""
    place.mkdir(parents=True)
    shutil.copy(ROOT / "adapters_manifest.toml", place)
    shutil.copytree(ROOT / "badcases", place / "badcases", ignore=shutil.ignore_patterns("__pycache__"))
    text = f'[tool.harness]\nadapter = "v4.0"\n{settings}\n[tool.pytest.ini_options]\n'
    (place / "pyproject.toml").write_text(text)
