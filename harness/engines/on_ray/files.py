"""Whether a node of the cluster sees the same model and adapters as the machine that asks.

Every node reads model and adapter folders at the paths that this machine knows them by: on shared storage, or as
copies. A copy of another version would answer under this one's name. So names and sizes of all files of a model are
compared, and the content of its small ones; an adapter's two files are compared whole.

Trade-off: a model's weights of equal names and sizes count as equal, since reading them takes minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.models.adapters.folder import FILES
from harness.safe.files import digest_file, digest_folder

__all__ = ["adapter_content", "adapter_difference", "model_contents", "model_difference"]

_SMALL = 32 << 20
"""Bytes of a file that is read: configurations, tokenizers, chat templates."""


def model_contents(folder: Path) -> dict[str, str]:
    """Each file of a model's folder with its size, or with its digest where it is small; empty without a folder."""
    contents = {}
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            size = path.stat().st_size
            contents[path.name] = digest_file(path) if size <= _SMALL else str(size)
    return contents


def model_difference(folder: Path, wanted: Mapping[str, str]) -> str | None:
    """Why the folder here is not the one that was meant, or None.

    Args:
        folder: at its path here.
        wanted: :func:`model_contents` on the machine that asks.
    """
    if not folder.is_dir():
        return f"there is no model at {folder}"
    there = model_contents(folder)
    differing = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if differing:
        return f"{folder} is another model than on the machine that asks: {', '.join(differing[:3])} differ"
    return None


def adapter_content(folder: Path) -> str:
    """Digest of an adapter's two files."""
    return digest_folder(folder, FILES)


def adapter_difference(folder: Path, wanted: str) -> str | None:
    """Why an adapter's folder here is not the one that was meant, or None.

    Args:
        folder: at its path here.
        wanted: :func:`adapter_content` on the machine that asks.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        return f"there is no {missing[0]} in {folder}"
    return None if adapter_content(folder) == wanted else f"{folder} has other files than on the machine that asks"
