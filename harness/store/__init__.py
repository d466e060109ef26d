"""The run database, from which every report is derived."""

from __future__ import annotations

from harness.store.database import Store
from harness.store.records import IMPORTED, SHOWN, SUITE, Part, PartRecord, Run, RunStatus, Training

__all__ = ["IMPORTED", "SHOWN", "SUITE", "Part", "PartRecord", "Run", "RunStatus", "Store", "Training"]
