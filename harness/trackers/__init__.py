"""Experiment trackers behind one seam, and the only place that knows MLflow, W&B and TensorBoard by name.

    conclusion, training -> entry -> a process for each tracker -> the tracker

A tracker takes an :class:`Entry`: a flat value of ids, numbers and files. It never decides anything. Each one runs in a
process of its own under a deadline (:mod:`harness.trackers.sending`), because these packages start threads, print, wait
for networks and take seconds to import. A tracker that fails is a warning. The verdict and the exit code stay.

Not supported: live curves while a training runs; LLaMA-Factory's own ``report_to`` does that.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import SettingsError
from harness.trackers.entry import Entry, Tracker

__all__ = ["INSTALL", "Entry", "Tracker", "open_tracker"]

INSTALL = {
    "mlflow": "pip install 'badcase-harness[mlflow]'",
    "tensorboard": "pip install 'badcase-harness[tensorboard]'",
    "wandb": "pip install 'badcase-harness[wandb]'",
}
"""How to install what a shipped tracker needs."""

_SHIPPED = {
    "jsonl": "harness.trackers.jsonl_tracker:JsonLines",
    "mlflow": "harness.trackers.mlflow_tracker:Mlflow",
    "tensorboard": "harness.trackers.tensorboard_tracker:TensorBoard",
    "wandb": "harness.trackers.wandb_tracker:Wandb",
}


def open_tracker(name: str, root: Path, options: Mapping[str, Any]) -> Tracker:
    """The tracker of that name for the project at ``root``; imports its package.

    Args:
        name: a shipped one, or ``module:Class`` of your own, which is called like the shipped ones.
        root: the project's folder.
        options: ``[tool.harness.tracker_options.NAME]``, keyword arguments.

    Raises:
        ImportError: its package is not installed.
        SettingsError: there is no such class, it does not take the options, or what it makes is no tracker.
    """
    module, _, attribute = _SHIPPED.get(name, name).partition(":")
    imported = importlib.import_module(module)
    try:
        tracker = getattr(imported, attribute)(root, **options)
    except (AttributeError, TypeError) as error:
        raise SettingsError(
            f"tracker {name!r} cannot be made of the project's folder and its options: {error}"
        ) from error
    if not isinstance(tracker, Tracker):
        raise SettingsError(f"tracker {name!r} is a {type(tracker).__name__}, which has no send(entry)")
    return tracker
