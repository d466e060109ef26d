"""An evaluation-first regression harness for fine-tuned language models.

The packages, in the order of the data; each imports only what stands above it:

    cases       case files to frozen cases
    project     settings and the adapters manifest
    models      base models, adapters, prompts as token ids
    metrics     texts to scores
    engines     requests to answers; a beam search stops early on what the metrics prove
    judging     scores to verdicts and results
    store       the run database
    runs        an evaluation from its cases to its recorded results
    suite       figures, comparison and gate of a whole suite
    reports     terminal, HTML, XLSX, Markdown and JSON
    trackers    runs and trainings to MLflow, Weights & Biases or TensorBoard
    pairs       failing cases to preference pairs
    triage      production logs to case folders
    migrate     folders of scripts and old answers to a project and its first runs
    fix         pairs to a trained, tested and blessed adapter (``trainers`` runs the training)
    view        a local web page to look at all of it and work on it
    plugin      the pytest plugin
    cli         the command line

Below all of them: ``safe`` (files and escaping), ``language`` (English and Chinese), ``setup`` (environments) and
``errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.plugin.badcase import BadCase
    from harness.reports.notebooks import evaluate
    from harness.reports.tables import load_run, open_run

__all__ = ["BadCase", "__version__", "evaluate", "load_run", "open_run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Imported on first use: pytest loads this package in every project, also in those without bad cases.
    if name == "BadCase":
        from harness.plugin.badcase import BadCase

        return BadCase
    if name == "evaluate":
        from harness.reports.notebooks import evaluate

        return evaluate
    if name in ("load_run", "open_run"):
        from harness.reports import tables

        return getattr(tables, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
