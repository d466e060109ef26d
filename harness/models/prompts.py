"""From a conversation to token ids, with the model's own chat template.

Token ids are made once, here, and everything downstream (engine, cache key, training data) gets ids. A training
therefore sees the same prompt as the tests. The template is code that came with the model; transformers runs it in a
sandbox. A template in an adapter's folder is used only where the manifest names it with a digest. Ids are remembered in
the store, since importing transformers takes longer than a fully cached run.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping, Sequence
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

    def __init__(
        self,
        folder: Path,
        cache: PromptCache | None = None,
        *,
        chat_template: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        """Prepare to render for one model; its tokenizer is loaded on first need.

        Args:
            folder: of the tokenizer.
            cache: what was rendered before.
            chat_template: Jinja text that takes the place of the tokenizer's own.
            chat_template_kwargs: arguments of the template in every conversation.
            trust_remote_code: whether code in the folder may run.
        """
        self.folder = folder
        self.chat_template = chat_template
        self.chat_template_kwargs: Mapping[str, Any] = chat_template_kwargs or {}
        self._cache = cache
        self._trust_remote_code = trust_remote_code
        self._tokenizer: Any = None
        digests = "".join(f"{p.name}\0{digest_file(p)}\n" for p in text_files(folder))
        own = f"\n{chat_template}" if chat_template is not None else ""
        self.digest = hashlib.sha256(f"{_renderer()}\n{digests}{own}".encode()).hexdigest()
        """sha256 over tokenizer, chat template and configuration, and the version of transformers."""

    def prompt_ids(
        self, messages: Sequence[Message], chat_template_kwargs: Mapping[str, Any] | None = None
    ) -> tuple[int, ...]:
        """Ids of the conversation, up to and with the header of the answer to generate.

        Args:
            messages: the conversation.
            chat_template_kwargs: arguments of the template, over those of the model.

        Raises:
            EngineMissing: transformers is not installed.
            ManifestError: the model has no chat template, it refuses this conversation, or it does not know one of its
                arguments.
        """
        turns = [{"role": m.role, "content": m.content} for m in messages]
        kwargs = {**self.chat_template_kwargs, **(chat_template_kwargs or {})}
        key = hashlib.sha256(json.dumps([self.digest, turns, kwargs] if kwargs else [self.digest, turns]).encode())
        return self._remembered(key.hexdigest(), turns, kwargs)

    def _remembered(self, key: str, turns: list[dict[str, str]], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
        if self._cache is not None and (known := self._cache.prompt_ids(key)) is not None:
            return known
        ids = tuple(self._render(turns, kwargs))
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
                self._tokenizer = AutoTokenizer.from_pretrained(
                    str(self.folder), trust_remote_code=self._trust_remote_code
                )
            except (OSError, ValueError) as error:
                raise ManifestError(f"{self.folder}: its tokenizer cannot be loaded: {error}") from error
            if self.chat_template is not None:
                self._tokenizer.chat_template = self.chat_template
        return self._tokenizer

    def _render(self, turns: list[dict[str, str]], kwargs: Mapping[str, Any]) -> list[int]:
        template = self.tokenizer.chat_template
        try:
            import jinja2
        except ImportError as error:
            raise EngineMissing("rendering prompts needs jinja2; run: harness setup") from error
        if not template:
            raise ManifestError(
                f"{self.folder}: the model has no chat template; name a file with one: chat_template = "
                '"template.jinja" in its [models] entry'
            )
        for name in kwargs:
            # jinja2 takes any variable, also one that a typing error made up.
            if not re.search(rf"\b{re.escape(name)}\b", str(template)):
                raise ManifestError(f"{self.folder}: the chat template has no variable {name!r} (chat_template_kwargs)")
        try:
            out = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, **kwargs)
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            raise ManifestError(f"{self.folder}: the chat template does not take this conversation: {error}") from error
        return list(out["input_ids"])


def _renderer() -> str:
    """What renders prompts, for the key under which they are remembered."""
    try:
        return f"transformers {importlib.metadata.version('transformers')}"
    except importlib.metadata.PackageNotFoundError:
        return ""
