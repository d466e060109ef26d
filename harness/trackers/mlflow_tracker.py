"""MLflow: an entry is a run of an experiment; facts are tags, numbers are metrics, files are artifacts.

MLflow's client reads its own variables (``MLFLOW_TRACKING_URI``, ``MLFLOW_TRACKING_TOKEN`` ...). The client is used and
not the fluent interface, which adds the user's name, the source file and the commit by itself.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from harness.trackers.entry import Entry

__all__ = ["Mlflow"]

_TAGS_AT_ONCE, _METRICS_AT_ONCE = 100, 1000
"""The server's limits on one call."""


class Mlflow:
    """Sends to the server of ``uri``, or of ``MLFLOW_TRACKING_URI``."""

    def __init__(self, root: Path, *, uri: str = "", experiment: str = "") -> None:  # noqa: ARG002 - every tracker's call
        """Connect; ``experiment`` defaults to ``MLFLOW_EXPERIMENT_NAME`` or ``harness`` and is made when absent."""
        self._client = MlflowClient(tracking_uri=uri or None)
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "harness"

    def send(self, entry: Entry) -> str:
        """Make a run, and end it as failed where something could not be sent."""
        known = self._client.get_experiment_by_name(self._experiment)
        experiment = known.experiment_id if known is not None else self._client.create_experiment(self._experiment)
        run = self._client.create_run(experiment, run_name=entry.name).info.run_id
        try:
            self._fill(run, entry)
        except BaseException:
            self._client.set_terminated(run, "FAILED")
            raise
        self._client.set_terminated(run, "FINISHED")
        return f"{self._client.tracking_uri}, experiment {self._experiment}, run {run}"

    def _fill(self, run: str, entry: Entry) -> None:
        now = int(time.time() * 1000)
        tags = [RunTag(f"harness.{key}", value) for key, value in {"kind": entry.kind, **entry.facts}.items()]
        metrics = [Metric(key, value, now, 0) for key, value in entry.metrics.items()]
        metrics += [Metric(key, value, now, step) for key, points in entry.series.items() for step, value in points]
        for start in range(0, len(tags), _TAGS_AT_ONCE):
            self._client.log_batch(run, tags=tags[start : start + _TAGS_AT_ONCE])
        for start in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(run, metrics=metrics[start : start + _METRICS_AT_ONCE])
        for file in entry.files:
            self._client.log_artifact(run, str(file))
