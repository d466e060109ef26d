"""Exports a version as plain files: the adapter, or base and adapters as one model; and uploads it to the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import AdapterError, SettingsError
from harness.models.adapters.folder import publish
from harness.models.adapters.merge import merge
from harness.models.adapters.stack import stack
from harness.models.adapters.tokenizer import copy_tokenizer

__all__ = ["export", "push"]


def export(
    model: Path, chain: Sequence[Path], destination: Path, *, merged: bool, tokenizer: Path | None = None
) -> Path:
    """Write ``destination``, which must not exist: a complete model, or one LoRA (a chain is stacked into one).

    A version's own ``tokenizer`` goes with it.

    Raises:
        AdapterError: it exists, there is no space, or the chain does not belong on the model.
    """
    if merged:
        return merge(model, chain, destination, tokenizer)
    if destination.exists():
        raise AdapterError(f"{destination} exists already; name a new folder")
    if len(chain) == 1:
        publish(chain[0], destination)
    else:
        stack(chain, destination)
    if tokenizer is not None:
        copy_tokenizer(tokenizer, destination)
    return destination


def push(folder: Path, repository: str, *, private: bool = True) -> str:
    """Upload a folder to the hub (``HF_ENDPOINT``, with the token that huggingface_hub finds); returns its address.

    Raises:
        SettingsError: ``repository`` is not ``owner/name``.
        AdapterError: huggingface_hub is not installed, or the hub refused.
    """
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise SettingsError(f"--push {repository!r}: write OWNER/NAME")
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise AdapterError("--push needs huggingface_hub; run: harness setup") from error
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=str(folder), commit_message=f"Upload {folder.name}")
    except Exception as error:  # its HTTP library shares no error class with anything
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise AdapterError(f"--push {repository}: the hub did not take it: {text}; {folder} is complete") from error
    return str(commit.commit_url)
