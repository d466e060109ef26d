"""From a conversation to token ids, with the model's own chat template.

Token ids are made once, here, and everything downstream (engine, cache key, training data) gets ids. A training
therefore sees the same prompt as the tests. The template is code that came with the model; transformers runs it in a
sandbox, and a template in an adapter folder is never used. Ids are remembered in the store, since importing
transformers takes longer than a fully cached run.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.cases.model import Message
from harness.errors import EngineMissing, ManifestError
from harness.models.folder import text_files
from harness.safe.escape import well_formed
from harness.safe.files import digest_file

__all__ = ["PromptCache", "PromptRenderer"]


class PromptCache(Protocol):
    """Remembers rendered prompts; the run database does."""

    def prompt_ids(self, key: str) -> tuple[int, ...] | None:
        """Token ids saved under ``key``; None when there are none."""
        ...

    def save_prompt_ids(self, key: str, ids: tuple[int, ...]) -> None:
        """Save token ids under ``key``."""
        ...


class PromptRenderer:
    """Renders conversations of one model to token ids with its own chat template."""

    def __init__(self, folder: Path, cache: PromptCache | None = None) -> None:
        self.folder = folder
        self._cache = cache
        self._tokenizer: Any = None
        digests = "".join(f"{p.name}\0{digest_file(p)}\n" for p in text_files(folder))
        self.digest = hashlib.sha256(f"{_renderer()}\n{digests}".encode()).hexdigest()
        """sha256 over tokenizer, chat template and configuration, and the version of transformers."""

    def prompt_ids(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Ids of the conversation, up to and with the header of the answer to generate.

        Raises:
            EngineMissing: transformers is not installed.
            ManifestError: the model has no chat template, or it refuses this conversation.
        """
        turns = [{"role": m.role, "content": m.content} for m in messages]
        key = hashlib.sha256(json.dumps([self.digest, turns]).encode()).hexdigest()
        if self._cache is not None and (known := self._cache.prompt_ids(key)) is not None:
            return known
        ids = tuple(self._render(turns))
        if self._cache is not None:
            self._cache.save_prompt_ids(key, ids)
        return ids

    def answer_ids(self, text: str) -> tuple[int, ...]:
        """Ids of an answer's text alone, without any special token."""
        return tuple(self.tokenizer(well_formed(text), add_special_tokens=False)["input_ids"])

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


def _renderer() -> str:
    """What renders prompts, for the key under which they are remembered."""
    try:
        return f"transformers {importlib.metadata.version('transformers')}"
    except importlib.metadata.PackageNotFoundError:
        return ""
