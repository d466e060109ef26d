"""From preference pairs to a new adapter, in an environment of the trainer's own.

    recipe + examples -> data on disk -> launch -> progress -> checked adapter

Everybody else sees four names: a :class:`TrainRequest` goes into a :class:`Trainer`, :class:`TrainProgress` comes out
while it works and a :class:`TrainResult` at the end.
"""

from __future__ import annotations

from trainers.base import Checkpoint, Stage, Trainer, TrainProgress, TrainRequest, TrainResult, open_trainer

__all__ = [
    "Checkpoint",
    "Stage",
    "TrainProgress",
    "TrainRequest",
    "TrainResult",
    "Trainer",
    "open_trainer",
]
