"""From preference pairs to a new adapter, in an environment of the trainer's own.

    recipe + examples -> data on disk -> launch -> progress -> checked adapter

Four names are public: a :class:`TrainRequest` goes into a :class:`Trainer`, :class:`TrainProgress` comes out while it
works, and a :class:`TrainResult` at the end.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from harness.errors import SettingsError
from trainers.base import Checkpoint, Drift, Stage, Trainer, TrainProgress, TrainRequest, TrainResult, WatchedText
from trainers.own_trainer import OwnTrainer

__all__ = [
    "Checkpoint",
    "Drift",
    "Stage",
    "TrainProgress",
    "TrainRequest",
    "TrainResult",
    "Trainer",
    "WatchedText",
    "open_trainer",
]


def open_trainer(name: str, root: Path) -> Trainer:
    """The trainer of that name for the project at ``root``.

    Raises:
        SettingsError: an unknown name, or one that makes no trainer. ``module:attribute`` is called with ``root``.
    """
    if name == "llamafactory":
        from trainers.llamafactory_trainer import LlamaFactory

        return LlamaFactory(root)
    if name == "scripted":
        from trainers.scripted import ScriptedTrainer

        return ScriptedTrainer()
    if ":" in name:
        return _own(name, root)
    raise SettingsError(f"trainer = {name!r}: known are 'llamafactory', 'scripted' and module:attribute of your own")


def _own(name: str, root: Path) -> Trainer:
    module, _, attribute = name.partition(":")
    try:
        own = getattr(importlib.import_module(module), attribute)(root)
    except (ImportError, AttributeError, TypeError) as error:
        raise SettingsError(f"trainer = {name!r}: cannot be made with the project's folder: {error}") from error
    if not isinstance(own, Trainer):
        raise SettingsError(
            f"trainer = {name!r}: made a {type(own).__name__}, which has no train(request, on_progress)"
        )
    return OwnTrainer(name, own)
