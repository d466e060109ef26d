"""The run database, from which every report is derived."""

from __future__ import annotations

from harness.store.database import Run, RunStatus, Store, Training

__all__ = ["Run", "RunStatus", "Store", "Training"]
