"""Computes what is derived from a tuple of results once: the gate and every report ask for the same figures.

A tuple is known by its identity and is held, so that no other one gets it. Lists may change and are never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

__all__ = ["once"]

T = TypeVar("T")

_MAX_COMPUTED = 16
_computed: dict[tuple[int, str], tuple[object, Any]] = {}


def once(of: Sequence[object], name: str, compute: Callable[[], T]) -> T:
    """What ``compute`` gives for ``of``, kept under ``name`` while it is among the newest."""
    if not isinstance(of, tuple):
        return compute()
    key = (id(of), name)
    known = _computed.get(key)
    if known is None:
        known = (of, compute())
        # Threads of the page do this at the same time, so nothing here relies on what another line has seen.
        for oldest in list(_computed)[: max(0, len(_computed) + 1 - _MAX_COMPUTED)]:
            _computed.pop(oldest, None)
        _computed[key] = known
    value: T = known[1]
    return value
