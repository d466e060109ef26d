"""Which engine runs inside the actors: its name and its own options, without those that concern Ray alone.

The identity of an engine on Ray is that of the engine inside. Where it runs, and in how many copies, changes no answer,
so stored answers of ``vllm`` serve ``ray`` and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import SettingsError

__all__ = ["RAY_OPTIONS", "inner_engine"]

RAY_OPTIONS = frozenset({"ray_address", "ray_engine", "replicas", "in_flight", "retries"})
"""Options of :class:`harness.engines.on_ray.engine.RayEngine`; the engine inside gets all others."""


def inner_engine(settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and options of the engine inside.

    Args:
        settings: options that the engine ``ray`` is opened with.

    Raises:
        SettingsError: an engine that cannot run inside an actor.
    """
    name = settings.get("ray_engine", "vllm")
    if name in ("ray", "server"):
        raise SettingsError(
            f"ray_engine = {name!r}: give an engine that loads the model itself: vllm, transformers or MODULE:ATTRIBUTE"
        )
    return name, {key: value for key, value in settings.items() if key not in RAY_OPTIONS}
