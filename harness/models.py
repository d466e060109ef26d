"""From a model's entry in the manifest to a folder on this machine, and from a conversation to its token ids.

Token ids are made once, here, with the model's own chat template, and everything downstream (engine, cache key,
training data) gets ids: the tests' prompt is the training prompt because nobody renders it a second time. The template
is code that came with the model; transformers runs it sandboxed, and one in an adapter folder is never looked at.
Ids are remembered in the store, since importing transformers alone takes longer than a fully cached run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cases.model import Message
from harness.embedded import embedded_model
from harness.errors import EngineMissing, ManifestError
from harness.manifest import Model
from harness.store import Store

__all__ = ["PromptRenderer", "locate_model", "model_digest"]

_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


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


def model_digest(folder: Path, store: Store) -> str:
    """sha256 over configuration, tokenizer and weights of a model folder; big files are hashed once per change."""
    files = sorted(p for p in folder.iterdir() if p.name in {*_TOKENIZER_FILES, "config.json"} or _is_weight(p))
    return hashlib.sha256("".join(f"{p.name}\0{store.digest(p)}\n" for p in files).encode()).hexdigest()


def _is_weight(path: Path) -> bool:
    return path.suffix == ".safetensors" or path.name.endswith(".safetensors.index.json")


class PromptRenderer:
    """Renders conversations of one model to token ids with its own chat template."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.folder = folder
        self._store = store
        self._tokenizer: Any = None
        names = [n for n in _TOKENIZER_FILES if (folder / n).is_file()]
        digests = "".join(f"{n}\0{hashlib.sha256((folder / n).read_bytes()).hexdigest()}\n" for n in names)
        self.digest = hashlib.sha256(digests.encode()).hexdigest()
        """sha256 over the tokenizer's files and chat template."""

    def prompt_ids(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Ids of the conversation, up to and with the header of the answer to generate.

        Raises:
            EngineMissing: transformers is not installed.
            ManifestError: the model has no chat template, or it refuses this conversation.
        """
        turns = [{"role": m.role, "content": m.content} for m in messages]
        key = hashlib.sha256(json.dumps([self.digest, turns]).encode()).hexdigest()
        if self._store is not None and (known := self._store.prompt_ids(key)) is not None:
            return known
        ids = tuple(self._render(turns))
        if self._store is not None:
            self._store.save_prompt_ids(key, ids)
        return ids

    def answer_ids(self, text: str) -> tuple[int, ...]:
        """Ids of an answer's text alone, without any special token."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @property
    def end_of_turn(self) -> int:
        """Id that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    @property
    def tokenizer(self) -> Any:
        """The model's transformers tokenizer."""
        if self._tokenizer is None:
            try:
                from transformers import AutoTokenizer
            except ImportError as error:
                raise EngineMissing("rendering prompts needs transformers; run: harness setup") from error
            try:
                self._tokenizer = AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False)
            except (OSError, ValueError) as error:
                raise ManifestError(f"{self.folder}: its tokenizer cannot be loaded: {error}") from error
        return self._tokenizer

    def _render(self, turns: list[dict[str, str]]) -> list[int]:
        import jinja2

        try:
            out = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
        except (jinja2.TemplateError, ValueError) as error:
            raise ManifestError(f"{self.folder}: the chat template does not take this conversation: {error}") from error
        return list(out["input_ids"])
