"""Adds an adapter that somebody else trained to the manifest: checked, with its own tokenizer, as one version.

``harness adapters add`` and ``harness init --model`` share it. Either the version is there with all its files, or
nothing is.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import UsageError
from harness.models.adapters.lineage import check_lineage
from harness.models.adapters.registration import register_version
from harness.models.adapters.tokenizer import keep_own_tokenizer, tokenizer_digest
from harness.models.folder import locate_model
from harness.project.manifest import Adapter, Manifest, check_name
from harness.project.settings import Settings

__all__ = ["add_version"]


def add_version(
    folder: Path,
    settings: Settings,
    manifest: Manifest,
    *,
    name: str,
    model: str,
    parent: str | None = None,
    on_top: bool = False,
    method: str = "",
    copy: bool = False,
) -> tuple[Adapter, str]:
    """Register the adapter in ``folder`` as the version ``name``.

    Args:
        folder: as its trainer left it.
        settings: the project's.
        manifest: the project's.
        name: of the version.
        model: name of its model in the manifest.
        parent: version that it grew from.
        on_top: whether the parent's weights are applied below it.
        method: how it was trained; empty for unknown.
        copy: whether its two files are copied into the project.

    Returns:
        The version, and a note on its tokenizer; empty when there is nothing to say.

    Raises:
        UsageError, ManifestError: the name is taken or no name.
        AdapterError: the adapter is damaged, or does not fit the model.
    """
    check_name("adapter", name)
    if name in manifest.adapters:
        raise UsageError(f"{name!r} exists already; choose another name")
    below = [a.path for a in manifest.chain(parent) if a.path is not None] if on_top and parent else []
    model_path = locate_model(manifest.models[model], settings.root)
    tokenizer = settings.adapters / f"{name}.tokenizer"
    own = keep_own_tokenizer(folder, model_path, tokenizer)
    version = Adapter(
        name=name,
        model=model,
        parent=parent,
        path=settings.adapters / name if copy else folder,
        method=method,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        on_top_of=parent if below else None,
        tokenizer=tokenizer if own.kept else None,
        tokenizer_sha256=tokenizer_digest(tokenizer) if own.kept else "",
        status="candidate",
    )
    try:
        registered = register_version(
            folder, version, settings.manifest_path, verify=lambda path: check_lineage(model_path, [*below, path])
        )
    except BaseException:
        shutil.rmtree(tokenizer, ignore_errors=True)
        raise
    return registered, own.note
