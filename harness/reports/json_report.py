"""The report as data, for programs: everything in it, the answers exactly as the model gave them.

ASCII only, so a lone surrogate survives as its escape and no consumer stumbles over an encoding. The schema's number
goes up when a field changes its meaning or goes away, not when one is added.
"""

from __future__ import annotations

import json
import math
from typing import Any

import harness
from harness.reports.model import Report, changes, figures, headline, shortfall
from harness.store.records import to_data

__all__ = ["SCHEMA", "to_json"]

SCHEMA = 1


def to_json(report: Report) -> str:
    """The whole report as one JSON object.

    ``schema``, ``harness`` (version), ``headline``, ``shortfall`` (null for a whole run), ``run``, ``gate``,
    ``training``, ``adapters`` (each with ``figures`` and ``results``) and ``changes`` (case and what became of it).
    """
    found = changes(report.before.results, report.after.results) if report.before and report.after else ()
    data = {
        "schema": SCHEMA,
        "harness": harness.__version__,
        "headline": headline(report),
        "shortfall": shortfall(report),
        "run": to_data(report.run),
        "gate": to_data(report.gate),
        "adapters": [{**to_data(a), "figures": to_data(figures(a.results))} for a in report.adapters],
        "changes": [{"case": c.result.case.id, "role": c.result.case.role, "kind": c.kind} for c in found],
        "training": to_data(report.training),
    }
    return json.dumps(_finite(data), ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def _finite(value: Any) -> Any:
    """The same data with NaN and the infinities as strings: JSON has no numbers for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
