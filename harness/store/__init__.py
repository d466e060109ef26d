"""The run database, from which every report is derived."""

from __future__ import annotations

from harness.store.database import IMPORTED, SHOWN, SUITE, Run, RunStatus, Store, Training

__all__ = ["IMPORTED", "SHOWN", "SUITE", "Run", "RunStatus", "Store", "Training"]
