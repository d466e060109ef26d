"""From an adapter's name to what an engine loads: checked weights on the right model, with digests for the cache.

Fails closed: a folder whose digest is not the manifest's, a format that could run code, weights on the wrong base or a
chain that cannot be stacked is an :class:`~harness.errors.AdapterError` before an engine starts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import AdapterError
from harness.models.embedded import cache_folder
from harness.models.folder import FileDigests, locate_model, model_digest
from harness.models.prompts import PromptCache, PromptRenderer
from harness.models.weights import AdapterWeights
from harness.project.manifest import Adapter, Manifest
from harness.project.settings import Settings
from harness.safe.files import locked

__all__ = ["ModelCache", "Target", "resolve_target"]


class ModelCache(FileDigests, PromptCache, Protocol):
    """What is remembered between runs about models; the run database implements it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One adapter version, ready to be loaded."""

    adapter: Adapter
    model_path: Path
    model_digest: str
    renderer: PromptRenderer
    weights: AdapterWeights | None
    rank: int = 0
    base_path: Path | None = None
    """Folder of the model that the weights were trained on, where ``model_path`` is a merged one."""
    parents: tuple[Path, ...] = ()
    """Adapter folders on the base model that make this version, oldest first."""

    @property
    def name(self) -> str:
        return self.adapter.name

    @property
    def digest(self) -> str:
        """Content of model and weights together."""
        return hashlib.sha256(
            f"{self.model_digest}\0{self.weights.digest if self.weights else ''}".encode()
        ).hexdigest()


def resolve_target(name: str, manifest: Manifest, settings: Settings, cache: ModelCache) -> Target:
    """Find, check and digest everything that the adapter ``name`` consists of.

    Raises:
        ManifestError: unknown adapter or model folder.
        AdapterError: its folder is missing, damaged or not what the manifest says.
    """
    adapter = manifest.adapter(name)
    model_path = locate_model(manifest.models[adapter.model], settings.root)
    chain = manifest.chain(name)
    weights, rank = _weights(chain, model_path)
    parents, base = tuple(a.path for a in chain if a.path is not None), model_path
    if settings.merge:
        weights, rank = None, 0
    if weights is None and parents:
        model_path = _merged(chain, base)
        if model_digest(model_path, cache) == model_digest(base, cache):
            raise AdapterError(f"adapter {name!r} changes no weight of {base} by as much as a rounding error")
    return Target(
        adapter=adapter,
        model_path=model_path,
        model_digest=model_digest(model_path, cache),
        renderer=PromptRenderer(model_path, cache),
        weights=weights,
        rank=rank,
        base_path=base,
        parents=parents,
    )


def _weights(chain: tuple[Adapter, ...], model_path: Path) -> tuple[AdapterWeights | None, int]:
    if not chain:
        return None, 0
    from harness.models.adapters.folder import check
    from harness.models.adapters.lineage import check_lineage
    from harness.models.adapters.stack import can_stack

    folders, rank = [], 0
    for adapter in chain:
        assert adapter.path is not None
        facts = check(adapter.path)
        if facts.digest != adapter.sha256:
            raise AdapterError(
                f"adapter {adapter.name!r}: {adapter.path} has digest {facts.digest[:12]}..., the manifest says "
                f"{adapter.sha256[:12]}...; the files were changed: restore them, or register them as a new version"
            )
        rank += facts.rank
        folders.append((adapter.path, facts.digest))
    check_lineage(model_path, [path for path, _ in folders])
    if not can_stack([path for path, _ in folders]):
        # An engine takes no modules saved whole, and no rank beyond its limit.
        return None, 0
    name = chain[-1].name
    if len(folders) == 1:
        path, digest = folders[0]
    else:
        from harness.models.adapters.stack import stack

        digest = hashlib.sha256("\n".join(d for _, d in folders).encode()).hexdigest()
        path = cache_folder() / "stacked" / digest[:24]
        if not path.is_dir():
            stack(tuple(f for f, _ in folders), path)
    return AdapterWeights(name, path, digest), rank


def _merged(chain: tuple[Adapter, ...], model_path: Path) -> Path:
    """The model with a chain merged into it, for chains that no engine can be given as one LoRA; made once."""
    from harness.models.adapters.lineage import fingerprint
    from harness.models.adapters.merge import merge

    key = hashlib.sha256("\n".join([fingerprint(model_path), *(a.sha256 for a in chain)]).encode()).hexdigest()
    path = cache_folder() / "merged" / key[:24]
    with locked(path, seconds=3600):
        if not path.is_dir():
            merge(model_path, [a.path for a in chain if a.path is not None], path)
    return path
