"""Records what each version computes, and refuses a server that computes something else under its name.

The records are in ``reports/fingerprints``, one file for each content of model and adapter. An engine that loads
checked weights writes them. Where only servers were ever asked, the first one is believed, and the run says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.engines.base import Engine
from harness.engines.fingerprint import MAX_DISTANCE, Fingerprint, distance, take_fingerprint
from harness.errors import EngineError
from harness.models.target import Target
from harness.safe.files import write_text
from harness.safe.read import read_facts
from harness.safe.records import from_data, to_data

__all__ = ["check_fingerprints"]

_LOCAL = ("vllm", "transformers")
"""Engines that load checked weights."""
_NOISE = 0.01
"""Nats an answer. Two engines of one version may differ by as much, so below it nothing follows from who is nearer."""


def check_fingerprints(engine: Engine, targets: Iterable[Target], folder: Path) -> tuple[str, ...]:
    """Compare what ``engine`` computes with the records, or make them.

    Args:
        engine: a running one.
        targets: versions that the run uses, all on one model.
        folder: of the records.

    Returns:
        Versions that a server was believed, since nothing was recorded.

    Raises:
        EngineError: a server computes something else than was recorded.
    """
    if engine.info.name not in (*_LOCAL, "server"):
        return ()
    believed = []
    for target in targets:
        path = folder / f"{target.digest[:32]}.json"
        recorded = _fingerprint(read_facts(path))
        local = engine.info.name in _LOCAL
        if recorded is not None and local and recorded.engine in _LOCAL:
            continue
        found = take_fingerprint(engine, target.weights)
        if found is None:
            continue
        if recorded is None or local:
            write_text(
                path, json.dumps({"version": target.name, "model": target.model_digest, **to_data(found)}) + "\n"
            )
            if not local:
                believed.append(target.name)
            continue
        _compare(found, recorded, target, folder, path)
    return tuple(believed)


def _compare(found: Fingerprint, recorded: Fingerprint, target: Target, folder: Path, path: Path) -> None:
    own = distance(found, recorded)
    others = [facts for other in folder.glob("*.json") if other != path and (facts := read_facts(other))]
    nearer = [
        str(facts.get("version"))
        for facts in others
        if facts.get("model") == target.model_digest
        and (other := _fingerprint(facts)) is not None
        and distance(found, other) < own / 2
    ]
    if own > MAX_DISTANCE or (nearer and own > _NOISE):
        names = ", ".join(nearer)
        raise EngineError(
            f"the server does not compute what version {target.name!r} was recorded to compute: answers to fixed "
            f"prompts differ by {own:.2g} nats{f', and are nearer to those of {names}' if names else ''}; it serves "
            f"other weights, or another quantisation; where that is meant, remove {path}"
        )


def _fingerprint(facts: Mapping[str, object]) -> Fingerprint | None:
    """The fingerprint in a record; None for a damaged one."""
    try:
        return from_data(Fingerprint, {name: facts[name] for name in ("engine", "answers", "logprobs")})
    except (KeyError, ValueError):
        return None
