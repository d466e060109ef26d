"""Adapter folders: what is in them, whether it may be loaded, and how several become one."""

from __future__ import annotations

from harness.models.adapters.folder import AdapterFacts, check, publish

__all__ = ["AdapterFacts", "check", "publish"]
