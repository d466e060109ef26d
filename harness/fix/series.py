"""The curves of a training for experiment trackers, by step: rewards, drift, and what each checkpoint fixes and breaks.

The loss is kept apart, since every report draws it. The paths are the names under which a tracker shows the curves.
"""

from __future__ import annotations

from collections import defaultdict

from harness.fix.checkpoints import Selection
from trainers import TrainResult

__all__ = ["training_series"]


def training_series(training: TrainResult, selection: Selection | None = None) -> dict[str, list[list[float]]]:
    """[step, value] by path; drift is in nats a token, ``cutoff_rate`` 0..1, the others are counts or as trained."""
    series: dict[str, list[list[float]]] = defaultdict(list)
    for name, points in (("margin", training.margins), ("accuracy", training.accuracies)):
        series[f"training/{name}"] += [[step, value] for step, value in points]
    for checkpoint in training.checkpoints:
        for drift in checkpoint.drift:
            series[f"training/drift.{drift.kind}"].append([checkpoint.step, drift.kl])
    for judged in () if selection is None else selection.checkpoints:
        series["checkpoints/fixed"].append([judged.step, judged.fixed])
        series["checkpoints/broken"].append([judged.step, judged.broken + judged.guards_broken])
        series["checkpoints/cutoff_rate"].append([judged.step, judged.cutoff_rate])
    return {name: points for name, points in series.items() if points}
