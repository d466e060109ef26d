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

__all__ = ["TOKENIZER_FILES", "FileDigests", "locate_model", "model_digest"]

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
"""Files of a model folder that decide its token ids."""


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
    """sha256 over configuration, tokenizer and weights of a model folder; big files are hashed once per change."""
    files = sorted(p for p in folder.iterdir() if p.name in {*TOKENIZER_FILES, "config.json"} or _is_weight(p))
    return hashlib.sha256("".join(f"{p.name}\0{digests.digest(p)}\n" for p in files).encode()).hexdigest()


def _is_weight(path: Path) -> bool:
    return path.suffix == ".safetensors" or path.name.endswith(".safetensors.index.json")
