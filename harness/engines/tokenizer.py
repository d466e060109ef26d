"""A model's tokenizer as far as an engine outside of this machine's model needs it: token ids to text.

The ``tokenizers`` package alone loads in a tenth of a second, transformers in two. It is taken where the folder's files
say all that there is to say; a tokenizer of another kind is loaded by transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.engines.vllm_generations import Text
from harness.errors import EngineMissing
from harness.safe.read import read_facts

__all__ = ["ModelText", "load_text"]

_NAMED = ("bos_token", "eos_token", "pad_token", "unk_token", "additional_special_tokens", "extra_special_tokens")


class ModelText(Text, Protocol):
    """Decodes token ids, and knows which one ends a text."""

    eos_token_id: int | None


def load_text(model_path: Path, *, trust_remote_code: bool = False) -> ModelText:
    """The tokenizer in a model's folder.

    Raises:
        EngineMissing: it needs a package that is not installed, or cannot be read.
    """
    config = read_facts(model_path / "tokenizer_config.json")
    plain = not config.get("clean_up_tokenization_spaces") and not trust_remote_code
    try:
        if plain and (model_path / "tokenizer.json").is_file():
            return _Fast(model_path, config)
        from transformers import AutoTokenizer

        trusted = {"trust_remote_code": True} if trust_remote_code else {}
        text: ModelText = AutoTokenizer.from_pretrained(model_path, **trusted)
    except Exception as error:
        raise EngineMissing(f"the tokenizer in {model_path} cannot be loaded: {error}") from error
    return text


class _Fast:
    def __init__(self, model_path: Path, config: dict[str, Any]) -> None:
        from tokenizers import AddedToken, Tokenizer

        self._tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
        named = [name for key in _NAMED for name in _contents(config.get(key))]
        known = [name for name in named if self._tokenizer.token_to_id(name) is not None]
        self._tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in known])
        ends = _contents(config.get("eos_token"))
        self.eos_token_id: int | None = self._tokenizer.token_to_id(ends[0]) if ends else None

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=skip_special_tokens))


def _contents(value: Any) -> list[str]:
    """The texts of a special token, or of several, as tokenizer_config.json has them."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        inner = value.get("content")
        return [inner] if isinstance(inner, str) else [text for part in value.values() for text in _contents(part)]
    return [text for part in value for text in _contents(part)] if isinstance(value, list) else []
