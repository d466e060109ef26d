"""Adapter folders: what is in them, whether they may be loaded, and how several become one."""

from __future__ import annotations

from harness.models.adapters.folder import AdapterFacts, check, publish

__all__ = ["AdapterFacts", "check", "publish"]
