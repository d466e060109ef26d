"""What a model's folder says about itself, for a person who makes a project for it.

Only the configuration is read, never the weights. A field that is not there, or is not what its name says, is unknown:
configurations of many authors end up here, and nothing is judged by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ManifestError
from harness.safe.read import read_object, reason

__all__ = ["ModelDescription", "describe_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """A model in a few facts; empty or None where its folder does not say."""

    folder: Path
    architecture: str = ""
    dtype: str = ""
    max_length: int | None = None
    """Positions that it was made for."""
    heads: int | None = None
    """Attention heads; a number of GPUs that share the model must divide them."""
    quantization: str = ""
    weights: int = 0
    """Bytes of the safetensors files."""
    chat_template: str = ""
    """File that holds the chat template; empty where there is none."""


def describe_model(folder: Path) -> ModelDescription:
    """Read the configuration of the model in ``folder``.

    Raises:
        ManifestError: there is no such folder, or it holds no readable config.json.
    """
    if not folder.is_dir():
        raise ManifestError(f"no folder {folder}; name the folder of a model (with config.json and safetensors files)")
    config = _object(folder / "config.json", needed=True)
    # Models for images and text keep the language model's fields in a table of their own.
    inner = config.get("text_config")
    fields = {**config, **(inner if isinstance(inner, dict) else {})}
    architectures = config.get("architectures")
    quantization = config.get("quantization_config")
    return ModelDescription(
        folder=folder,
        architecture=_text(architectures[0]) if isinstance(architectures, list) and architectures else "",
        dtype=_text(fields.get("dtype") or fields.get("torch_dtype")),
        max_length=_number(fields.get("max_position_embeddings")),
        heads=_number(fields.get("num_attention_heads")),
        quantization=_text(quantization.get("quant_method")) if isinstance(quantization, dict) else "",
        weights=sum(p.stat().st_size for p in folder.glob("*.safetensors") if p.is_file()),
        chat_template=_template(folder),
    )


def _template(folder: Path) -> str:
    if (folder / "chat_template.jinja").is_file():
        return "chat_template.jinja"
    for name in ("tokenizer_config.json", "chat_template.json"):
        if (folder / name).is_file() and _object(folder / name).get("chat_template"):
            return name
    return ""


def _object(path: Path, *, needed: bool = False) -> dict[str, Any]:
    try:
        return read_object(path)
    except (OSError, ValueError) as error:
        if needed:
            raise ManifestError(f"{path}: cannot be read: {reason(error)}; name the folder of a model") from error
        return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 100 else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None
