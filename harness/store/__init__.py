"""The run database: the truth that every report is derived from."""

from __future__ import annotations

from harness.store.database import Run, RunStatus, Store, Training

__all__ = ["Run", "RunStatus", "Store", "Training"]
