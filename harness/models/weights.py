"""The adapter weights of a request: the value that travels from an adapter's version to the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["AdapterWeights"]


@dataclass(frozen=True, slots=True)
class AdapterWeights:
    """A LoRA to put on the engine's model for one request."""

    name: str
    """Version name, unique per content: vLLM caches KV blocks by name and path."""
    path: Path
    """Folder with adapter_config.json and adapter_model.safetensors."""
    digest: str
    """sha256 of the weights and their configuration."""
