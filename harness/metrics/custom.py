"""Metrics of your own: the entry-point group ``harness.metrics`` and :func:`register_metric`.

A metric is one function of answer and case that returns named numbers. Its names are prefixed with its own name
("politeness" returning {"score": 0.9} is stored as ``politeness.score``). A metric that returns one number under its
own name keeps that name, so the names of built-in scores are refused. A metric that raises, or returns a number that is
not finite, is an error of the harness run: never a failure of the model and never a pass.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Mapping
from functools import cache

from harness.cases.model import Case
from harness.errors import MetricError
from harness.metrics.inspection import INSPECTED
from harness.metrics.repetition import repetition
from harness.metrics.similarity import similarity
from harness.metrics.types import Metric

__all__ = ["GROUP", "built_in_names", "custom_scores", "forget_metrics", "register_metric", "registered_metrics"]

GROUP = "harness.metrics"

_registered: dict[str, Metric] = {}


def register_metric(name: str, metric: Metric | None = None) -> Callable[[Metric], Metric]:
    """Register a metric: ``register_metric("politeness", f)``, or ``@register_metric("politeness")`` over the function.

    Registering a name again replaces it: a conftest may be imported twice.

    Raises:
        MetricError: the name is no identifier, or that of a built-in score.
    """
    if not name.isidentifier():
        raise MetricError(f"metric {name!r}: the name must be an identifier")
    _check_name(name)

    def register(function: Metric) -> Metric:
        _registered[name] = function
        return function

    if metric is not None:
        register(metric)
    return register


def forget_metrics() -> None:
    """Forget what was registered by call (not the entry points)."""
    _registered.clear()


@cache
def built_in_names() -> frozenset[str]:
    """Names of the scores that the harness itself measures."""
    measured = {*repetition("a", "a").values, *similarity("a", "a"), *INSPECTED}
    more = {"seq_rep4", "compression_ratio", "near_copies", "turn_overlap", "turn_overlap_reference"}
    return frozenset({*measured, *more, "missing_patterns", "forbidden_patterns"})


def _check_name(name: str) -> None:
    if name in built_in_names():
        raise MetricError(f"metric {name!r}: is the name of a built-in score; give the metric another name")


@cache
def _installed() -> Mapping[str, Metric]:
    metrics: dict[str, Metric] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        _check_name(entry.name)
        try:
            metrics[entry.name] = entry.load()
        except Exception as error:
            raise MetricError(f"metric {entry.name!r} ({entry.value}) cannot be loaded: {error}") from error
    return metrics


def registered_metrics() -> dict[str, Metric]:
    """All custom metrics by name; one that was registered by call comes before an entry point of the same name."""
    return {**_installed(), **_registered}


def custom_scores(answer: str, case: Case) -> dict[str, float]:
    """What every custom metric says of the answer.

    Raises:
        MetricError: a metric raised, or returned something that is not a finite number; names metric and case.
    """
    scores: dict[str, float] = {}
    for name, metric in registered_metrics().items():
        try:
            values = dict(metric(answer, case))
        except Exception as error:
            raise MetricError(f"metric {name!r} on case {case.id}: {type(error).__name__}: {error}") from error
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise MetricError(f"metric {name!r} on case {case.id}: {key} = {value!r} is not a finite number")
            scores[name if key == name else f"{name}.{key}"] = float(value)
    return scores
