"""The tokenizer and chat template that an adapter was trained with, where they are not the model's.

Trainers leave both beside the weights, mostly as copies of the model's. Where they differ, the tests must render with
the adapter's: other prompts than in the training are another test. So a registration compares them by what they do
(vocabulary, rendered dialogues, end of turn), not by bytes, which every version of transformers writes differently.
Different ones are copied into a folder of their own, named in the manifest with a digest.

A token that the model has no row of the embedding for is refused, unless the adapter holds the larger embedding.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import AdapterError
from harness.models.adapters.lora import Lora
from harness.models.adapters.tensors import read_header
from harness.safe.files import digest_folder, new_folder
from harness.safe.read import read_object, read_text, reason

__all__ = [
    "TOKENIZER_FILES",
    "OwnTokenizer",
    "copy_tokenizer",
    "keep_own_tokenizer",
    "tokenizer_digest",
    "training_problem",
]

_WHOLE = ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt")
"""Each of them holds a vocabulary, so that the folder has a whole tokenizer."""
TOKENIZER_FILES = (
    *_WHOLE, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja",
)  # fmt: skip
_DIALOGUE = [
    {"role": "user", "content": "Zähle bis 3: 1, 2 … 诗经。"},
    {"role": "assistant", "content": "1, 2, 3."},
    {"role": "user", "content": "And now?"},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTokenizer:
    """What became of an adapter's own tokenizer."""

    kept: bool
    """Whether it was copied, since it does otherwise than the model's."""
    note: str = ""
    """For people: what differs, or why it cannot be used."""


def keep_own_tokenizer(folder: Path, model: Path, destination: Path) -> OwnTokenizer:
    """Copy an adapter's own tokenizer to ``destination``, if it does otherwise than the model's.

    Args:
        folder: of the adapter.
        model: folder of the base model.
        destination: must not exist; not made when the adapter's tokenizer does the same as the model's, or it has none.

    Raises:
        AdapterError: it has tokens that neither model nor adapter have rows for, or damaged files.
    """
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not files:
        return OwnTokenizer(kept=False)
    try:
        theirs = _load(model, model)
        own = _load(folder, model) if any(f.name in _WHOLE for f in files) else None
    except _Unloadable as error:
        return OwnTokenizer(kept=False, note=f"the model's tokenizer is used: {error}")
    own = own or _extended(folder, model)
    differences = _differences(own, theirs)
    if not differences:
        return OwnTokenizer(kept=False)
    _check_rows(own, folder, model)
    with new_folder(destination) as temporary:
        own.save_pretrained(str(temporary))
    return OwnTokenizer(kept=True, note=f"its own tokenizer is used: {', '.join(differences)}")


def training_problem(name: str) -> str:
    """Why the version ``name``, which has a tokenizer of its own, is not trained on, and what to do."""
    return (
        f"{name} has a tokenizer of its own, and a trainer takes the model's: write one model with harness adapters "
        f"export {name} --merge, name it under [models], and train on that"
    )


def tokenizer_digest(folder: Path) -> str:
    """sha256 over the files of a tokenizer's folder."""
    return digest_folder(folder, TOKENIZER_FILES)


def copy_tokenizer(source: Path, destination: Path) -> None:
    """Put the tokenizer of ``source`` in the place of that in ``destination``."""
    for name in TOKENIZER_FILES:
        (destination / name).unlink(missing_ok=True)
        if (source / name).is_file():
            shutil.copyfile(source / name, destination / name)


class _Unloadable(Exception):
    """A tokenizer that transformers does not read."""


def _load(folder: Path, model: Path) -> Any:
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(str(model), trust_remote_code=False)
        return AutoTokenizer.from_pretrained(str(folder), config=config, trust_remote_code=False)
    except Exception as error:  # its readers share no error class
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _Unloadable(f"that in {folder} cannot be loaded: {text}") from error


def _extended(folder: Path, model: Path) -> Any:
    """The model's tokenizer with the tokens and the template that the adapter's folder adds."""
    tokenizer = _load(model, model)
    try:
        added = read_object(folder / "added_tokens.json") if (folder / "added_tokens.json").is_file() else {}
        config = read_object(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
        template = read_text(folder / "chat_template.jinja") if (folder / "chat_template.jinja").is_file() else None
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder}: its tokenizer's files cannot be read: {reason(error)}") from error
    new = {token: number for token, number in added.items() if token not in tokenizer.get_vocab()}
    if new:
        tokenizer.add_tokens(sorted(new, key=lambda token: new[token]))
        known = tokenizer.get_vocab()
        if any(known[token] != number for token, number in new.items()):
            raise AdapterError(
                f"{folder}: added_tokens.json does not go on from the vocabulary of {model}: {_few(new)}"
            )
    template = template or config.get("chat_template")
    if isinstance(template, str):
        tokenizer.chat_template = template
    return tokenizer


def _differences(own: Any, theirs: Any) -> list[str]:
    differences = []
    mine, base = own.get_vocab(), theirs.get_vocab()
    if mine != base:
        new = [token for token in mine if token not in base]
        differences.append(f"{len(new)} more tokens ({_few(new)})" if new else "another vocabulary")
    if _rendered(own) != _rendered(theirs):
        differences.append("another chat template")
    elif own(_DIALOGUE[0]["content"])["input_ids"] != theirs(_DIALOGUE[0]["content"])["input_ids"]:
        differences.append("other ids of the same text")
    if own.eos_token_id != theirs.eos_token_id:
        differences.append(f"another end of turn ({own.eos_token!r}, not {theirs.eos_token!r})")
    return differences


def _rendered(tokenizer: Any) -> str | None:
    try:
        return str(tokenizer.apply_chat_template(_DIALOGUE, add_generation_prompt=True, tokenize=False))
    except Exception:  # noqa: BLE001 - a template is code; one that fails differs from one that does not
        return None


def _check_rows(own: Any, folder: Path, model: Path) -> None:
    """Refuse tokens without a row of the embedding."""
    highest = max(own.get_vocab().values())
    lora = Lora(folder)
    held = [lora.whole_shape(name)[0] for name in lora.whole if name.endswith("embed_tokens.weight")]
    rows = held or [
        info.shape[0]
        for path in sorted(model.glob("*.safetensors"))
        for name, info in read_header(path).items()
        if name.endswith("embed_tokens.weight")
    ]
    if rows and highest >= max(rows):
        raise AdapterError(
            f"{folder}: its tokenizer has token {highest}, and there are {max(rows)} rows of the embedding: it was "
            "trained with a larger vocabulary, which it does not hold; train with resize_vocab and additional_targets"
        )


def _few(tokens: Any) -> str:
    names = [json.dumps(token, ensure_ascii=False) for token in tokens]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
