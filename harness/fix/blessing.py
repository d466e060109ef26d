"""Blesses or refuses a version by hand, on the evidence that is recorded.

``harness fix`` decides by itself for the version that it trained. A person decides here about any version: blessing
needs files that are what the manifest says, and a run of the whole suite on them; refusing needs a reason, which the
manifest keeps.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import AdapterError, HarnessError, UsageError
from harness.models.adapters.folder import check
from harness.models.adapters.tokenizer import tokenizer_digest
from harness.models.adapters.ways import ways_of
from harness.models.folder import locate_model
from harness.project.manifest import Adapter, Manifest, set_status
from harness.project.settings import Settings
from harness.runs.whole import newest_whole_run
from harness.store import Store

__all__ = ["bless", "refuse", "version_problem"]


def bless(name: str, settings: Settings, manifest: Manifest) -> str:
    """Mark a version as blessed; returns the id of the run that is its evidence.

    Raises:
        ManifestError: no such version.
        AdapterError: its files are not what the manifest says.
        UsageError: no run of the whole suite on the version as it is now.
    """
    problem = version_problem(manifest.adapter(name), settings, manifest)
    if problem is not None:
        raise AdapterError(f"{name} cannot be blessed: {problem}")
    with Store.existing(settings.database) as store:
        evidence = newest_whole_run(store, manifest, name).id
    set_status(settings.manifest_path, name, "blessed", {"evidence": evidence})
    return evidence


def refuse(name: str, reason: str, settings: Settings) -> None:
    """Mark a version as refused, with the reason.

    Raises:
        ManifestError: no such version.
        UsageError: no reason.
    """
    if not reason.strip():
        raise UsageError(f"{name}: say why it is refused, in one line")
    set_status(settings.manifest_path, name, "refused", {"note": " ".join(reason.split())[:500]})


def version_problem(adapter: Adapter, settings: Settings, manifest: Manifest) -> str | None:
    """What is wrong with a version; None when its files, digest and lineage are right."""
    try:
        chain = manifest.chain(adapter.name)
        for part in chain:
            assert part.path is not None
            actual = check(part.path).digest
            if actual != part.sha256:
                return f"{part.path}: its files were changed; sha256 is {actual}, the manifest says {part.sha256}"
        own = manifest.tokenizer_of(adapter.name)
        if own is not None and tokenizer_digest(own.tokenizer or Path()) != own.tokenizer_sha256:
            return f"{own.tokenizer}: its tokenizer is missing or was changed"
        if chain:
            ways_of(locate_model(manifest.model_of(adapter.name), settings.root), [a.path for a in chain if a.path])
    except HarnessError as error:
        return str(error)
    return None
