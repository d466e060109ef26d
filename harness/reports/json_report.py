"""The report as data, for programs: everything in it, with the answers exactly as the model gave them.

ASCII only, so a lone surrogate survives as its escape and no reader has encoding problems. The schema's number rises
when a field changes its meaning or goes away, not when one is added.
"""

from __future__ import annotations

import json
from typing import Any

import harness
from harness.reports.model import AdapterResults, Report, headline, shortfall
from harness.safe.records import to_data
from harness.suite.compare import changes
from harness.suite.figures import grouped_figures
from harness.suite.gate import GateVerdict
from harness.suite.same_answers import same_answers

__all__ = ["SCHEMA", "to_json"]

SCHEMA = 2


def to_json(report: Report) -> str:
    """The whole report as one JSON object.

    ``schema``, ``harness`` (version), ``headline``, ``shortfall`` (null for a whole run), ``run``, ``gate``,
    ``training``, ``adapters`` (each with ``figures``, ``groups``
    by folder, tag and role, and ``results``) and ``changes`` (case and what became of it).
    """
    changed = changes(report.before.results, report.after.results) if report.before and report.after else ()
    data = {
        "schema": SCHEMA,
        "harness": harness.__version__,
        "headline": headline(report),
        "shortfall": shortfall(report),
        "run": to_data(report.run),
        "gate": _gate(report.gate) if report.gate is not None else None,
        "adapters": [_adapter(a) for a in report.adapters],
        "changes": [{"case": c.result.case.id, "role": c.result.case.role, "kind": c.kind} for c in changed],
        "training": to_data(report.training),
    }
    return json.dumps(to_data(data), ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def _gate(gate: GateVerdict) -> dict[str, Any]:
    checks = [{**to_data(check), "passed": check.passed} for check in gate.checks]
    return {"outcome": gate.outcome, "passed": gate.passed, "text": gate.text, "checks": checks}


def _adapter(adapter: AdapterResults) -> dict[str, Any]:
    overall, *groups = grouped_figures(adapter.results)
    return {
        **to_data(adapter),
        "figures": dict(overall.summary()),
        "same_answers": [{"answer": s.answer, "cases": list(s.cases)} for s in same_answers(adapter.results)],
        "groups": {group.group: dict(group.summary()) for group in groups},
    }
