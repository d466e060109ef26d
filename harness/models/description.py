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

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


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
    layers: int | None = None
    kv_heads: int | None = None
    """Heads of keys and values; as many as ``heads`` where the configuration has no number of its own."""
    head_size: int | None = None
    hidden_size: int | None = None
    inner_size: int | None = None
    """Width of a feed-forward layer."""
    vocabulary: int | None = None
    """Rows of the output layer."""
    experts: int | None = None
    """Of a mixture; None for a dense model."""
    active_inner_size: int | None = None
    """Width of the feed-forward layers that one token passes: of a mixture, the experts that it is sent to."""
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
    heads, hidden = _number(fields.get("num_attention_heads")), _number(fields.get("hidden_size"))
    architectures = config.get("architectures")
    quantization = config.get("quantization_config")
    inner_size = _number(fields.get("intermediate_size"))
    experts = next((n for name in _EXPERTS if (n := _number(fields.get(name)))), None)
    chosen = _number(fields.get("num_experts_per_tok")) if experts else 1
    expert_size = _number(fields.get("moe_intermediate_size")) or inner_size
    return ModelDescription(
        folder=folder,
        architecture=_text(architectures[0]) if isinstance(architectures, list) and architectures else "",
        dtype=_text(fields.get("dtype") or fields.get("torch_dtype")),
        max_length=_number(fields.get("max_position_embeddings")),
        heads=heads,
        layers=_number(fields.get("num_hidden_layers")),
        kv_heads=_number(fields.get("num_key_value_heads")) or heads,
        head_size=_number(fields.get("head_dim")) or (max(1, hidden // heads) if hidden and heads else None),
        hidden_size=hidden,
        inner_size=inner_size,
        vocabulary=_number(fields.get("vocab_size")),
        experts=experts,
        active_inner_size=expert_size * chosen if experts and expert_size and chosen else inner_size,
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
