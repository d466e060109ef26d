"""A project of its own for a benchmark: the bundled bad cases, and a manifest that only knows the model as shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

__all__ = ["make_project"]

ROOT = Path(__file__).resolve().parents[2]


def make_project(place: Path, settings: str = "", tag: str | None = None) -> None:
    """Fill the new folder ``place``.

    Args:
        place: must not exist.
        settings: further lines of ``[tool.harness]``.
        tag: keep only the cases with this tag, so that they are the whole suite of the project.
    """
    place.mkdir(parents=True)
    shutil.copy(ROOT / "adapters_manifest.toml", place)
    shutil.copytree(ROOT / "badcases", place / "badcases", ignore=shutil.ignore_patterns("__pycache__"))
    for path in place.glob("badcases/*/test.json") if tag is not None else ():
        records = json.loads(path.read_text("utf-8"))
        kept = [record for record in records if tag in record.get("tags", ())]
        path.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")
    text = f'[tool.harness]\nadapter = "v4.0"\n{settings}\n[tool.pytest.ini_options]\n'
    (place / "pyproject.toml").write_text(text)
