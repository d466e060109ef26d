"""Under which name a server serves a model or an adapter; loads adapters where that was asked for.

Served names are words of the server's operator and prove nothing: that an adapter acts, and that it is the one that was
recorded, is proved by log-probabilities (harness/engines/canary.py, harness/engines/fingerprint.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from harness.engines.server.replica import Replica
from harness.engines.server.replies import Refused, ServedModel, read_models
from harness.models.weights import AdapterWeights

__all__ = ["ServedNames", "base_model"]


def base_model(models: Sequence[ServedModel], wanted: str, model_path: Path) -> ServedModel:
    """The entry of the base model.

    Args:
        models: what the server lists.
        wanted: the name that the settings give; empty: find it.
        model_path: the model's folder here.

    Raises:
        Refused: none, or several that could be meant.
    """
    bases = [model for model in models if not model.parent]
    names = ", ".join(repr(model.id) for model in bases) or "none"
    if wanted:
        chosen = [model for model in bases if model.id == wanted]
    elif len({model.root or model.id for model in bases}) == 1:
        chosen = bases[:1]
    else:
        chosen = [m for m in bases if str(model_path) in (m.id, m.root) or Path(m.root or m.id).name == model_path.name]
    if len({model.root or model.id for model in chosen}) != 1:
        raise Refused(f"it serves the models {names}; say which by engine_options.model")
    return chosen[0]


class ServedNames:
    """The names of one replica."""

    def __init__(
        self, replica: Replica, models: Sequence[ServedModel], base: ServedModel, *, load: bool, most: int | None
    ) -> None:
        """See :class:`harness.engines.server.engine.ServerEngine` for ``load`` and ``most``."""
        self.base = base
        self._replica = replica
        self._load = load
        self._most = most
        self._lock = asyncio.Lock()
        self._adapters = {m.id for m in models if m.parent or m.id != base.id}

    async def of(self, adapter: AdapterWeights | None) -> str:
        """The name to ask for.

        Raises:
            Fault: the server does not serve it and does not load it.
        """
        if adapter is None:
            return self.base.id
        async with self._lock:
            return await self._of(adapter)

    async def _of(self, adapter: AdapterWeights) -> str:
        own = f"{adapter.name}-{adapter.digest[:16]}"
        for name in (own, adapter.name):
            if name in self._adapters:
                return name
        if not self._load:
            raise Refused(
                f"it does not serve adapter {adapter.name!r}; start it with --lora-modules {adapter.name}=FOLDER, or "
                "set engine_options.load_adapters = true where the server reads the same folders"
            )
        if self._most is not None and len(self._adapters) >= self._most:
            raise Refused(f"it has had its {self._most} adapters; start it again with more (harness serve --max-loras)")
        # KV blocks are cached by name and path: content in the name keeps two versions apart.
        try:
            await self._replica.post("/v1/load_lora_adapter", {"lora_name": own, "lora_path": str(adapter.path)})
        except Refused:
            # Another process may have loaded it meanwhile.
            models = read_models(await self._replica.get("/v1/models"))
            if own not in {model.id for model in models}:
                raise
        self._adapters.add(own)
        return own
