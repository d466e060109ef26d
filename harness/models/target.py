"""From an adapter's name to what an engine loads: checked weights on the right model, with digests for the cache.

Fails closed. A folder whose digest is not the manifest's, a format that could run code, weights on the wrong base or a
chain that does not fit together is an :class:`~harness.errors.AdapterError` before an engine starts. Each adapter
folder is read and hashed once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import AdapterError, ManifestError
from harness.models.embedded import cache_folder
from harness.models.folder import FileDigests, locate_model, model_digest
from harness.models.prompts import PromptCache, PromptRenderer
from harness.models.weights import AdapterWeights
from harness.project.manifest import Adapter, Manifest, Model
from harness.project.settings import Settings
from harness.safe.files import locked
from harness.safe.read import read_text, reason

if TYPE_CHECKING:
    from harness.models.adapters.lora import Lora

__all__ = ["ModelCache", "Target", "engine_options", "open_renderer", "resolve_target"]


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
    model: Model | None = None
    """The manifest's entry of the base model."""
    own_tokenizer: bool = False
    """Whether prompts are rendered with a tokenizer that is not the model's."""
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
    model_path = base = locate_model(manifest.models[adapter.model], settings.root)
    loras = _opened(manifest.chain(name), base)
    model = manifest.models[adapter.model]
    tokenizer = _own_tokenizer(manifest.tokenizer_of(name))
    weights = None if settings.merge else _weights(name, loras)
    if weights is None and loras:
        model_path = _merged(loras, base, tokenizer)
        if model_digest(model_path, cache) == model_digest(base, cache):
            raise AdapterError(f"adapter {name!r} changes no weight of {base} by as much as a rounding error")
    return Target(
        adapter=adapter,
        model_path=model_path,
        model_digest=model_digest(model_path, cache),
        renderer=open_renderer(model, tokenizer or model_path, cache),
        weights=weights,
        model=model,
        own_tokenizer=tokenizer is not None,
        rank=sum(lora.facts.rank for lora in loras) if weights else 0,
        base_path=base,
        parents=tuple(lora.folder for lora in loras),
    )


def open_renderer(model: Model, folder: Path, cache: PromptCache | None = None) -> PromptRenderer:
    """The renderer of a model's prompts, as its entry in the manifest wants it.

    Args:
        model: the manifest's entry.
        folder: of the tokenizer: the model's, or a version's own.
        cache: what was rendered before.

    Raises:
        ManifestError: the chat template's file cannot be read.
    """
    try:
        template = None if model.chat_template is None else read_text(model.chat_template)
    except (OSError, ValueError) as error:
        raise ManifestError(
            f'[models."{model.name}"] chat_template: {model.chat_template} cannot be read: {reason(error)}'
        ) from error
    return PromptRenderer(
        folder,
        cache,
        chat_template=template,
        chat_template_kwargs=model.chat_template_kwargs,
        trust_remote_code=model.trust_remote_code,
    )


def _own_tokenizer(version: Adapter | None) -> Path | None:
    """The folder of a version's own tokenizer, as the manifest says it is."""
    if version is None or version.tokenizer is None:
        return None
    from harness.models.adapters.tokenizer import tokenizer_digest

    if tokenizer_digest(version.tokenizer) != version.tokenizer_sha256:
        raise AdapterError(
            f"adapter {version.name!r}: its tokenizer in {version.tokenizer} is missing or was changed; restore it, or "
            "register the adapter as a new version"
        )
    return version.tokenizer


def _opened(chain: Sequence[Adapter], base: Path) -> list[Lora]:
    """The chain's adapters, opened once: digests as the manifest says, trained as one chain on this model."""
    if not chain:
        return []
    from harness.models.adapters.folder import two_files
    from harness.models.adapters.lineage import check_lineage
    from harness.models.adapters.lora import Lora, open_all

    loras = open_all(adapter.path for adapter in chain if adapter.path is not None)
    for adapter, lora in zip(chain, loras, strict=True):
        if lora.facts.digest != adapter.sha256:
            raise AdapterError(
                f"adapter {adapter.name!r}: {adapter.path} has digest {lora.facts.digest[:12]}..., the manifest says "
                f"{adapter.sha256[:12]}...; the files were changed: restore them, or register them as a new version"
            )
    check_lineage(base, loras)
    clean = [two_files(lora.folder, lora.facts.digest, cache_folder() / "adapters") for lora in loras]
    return [lora if lora.folder == folder else Lora(folder) for lora, folder in zip(loras, clean, strict=True)]


def _weights(name: str, loras: Sequence[Lora]) -> AdapterWeights | None:
    """The chain as one LoRA; None where an engine cannot load it as one (whole modules, or a rank beyond its limit)."""
    if not loras:
        return None
    from harness.models.adapters.stack import can_stack, stack

    if not can_stack(loras):
        return None
    if len(loras) == 1 and loras[0].canonical:
        return AdapterWeights(name, loras[0].folder, loras[0].facts.digest)
    digest = hashlib.sha256("\n".join(lora.facts.digest for lora in loras).encode()).hexdigest()
    path = cache_folder() / "stacked" / digest[:24]
    if not path.is_dir():
        stack(loras, path)
    return AdapterWeights(name, path, digest)


def _merged(loras: Sequence[Lora], base: Path, tokenizer: Path | None) -> Path:
    """The model with the chain merged into it; made once."""
    from harness.models.adapters.lineage import fingerprint
    from harness.models.adapters.merge import merge
    from harness.models.adapters.tokenizer import tokenizer_digest

    own = [tokenizer_digest(tokenizer)] if tokenizer is not None else []
    parts = [fingerprint(base), *(x.facts.digest for x in loras), *own]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    path = cache_folder() / "merged" / key[:24]
    with locked(path, seconds=3600):
        if not path.is_dir():
            merge(base, loras, path, tokenizer)
    return path


def engine_options(
    targets: Iterable[Target], options: Mapping[str, Any], *, longest: int | None = None
) -> dict[str, Any]:
    """What an engine must be opened with to answer on ``targets``.

    Args:
        targets: adapter versions on one model.
        options: ``[tool.harness.engine_options]``; these win.
        longest: tokens of the longest prompt and its answer together; None: the engine's own limit.
    """
    chosen = list(targets)
    weighted = [target for target in chosen if target.weights is not None]
    return {
        **({} if longest is None else {"max_model_len": longest}),
        # 0 is not the same as 1: without adapters an engine leaves its LoRA layers out.
        "max_loras": len(weighted),
        "max_lora_rank": max((target.rank for target in weighted), default=0),
        **({"trust_remote_code": True} if any(t.model and t.model.trust_remote_code for t in chosen) else {}),
        **options,
    }
