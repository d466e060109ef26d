"""The report as data, for programs: everything in it, with the answers exactly as the model gave them.

A run of up to ``MAX_RESULTS`` results is one object, ``report.json``. A larger one is ``report.jsonl.gz``: its first
line is the same object without the results, and each further line is one result, so that neither writer nor reader
holds it all at once. :func:`read_report` reads both. ``report.schema.json`` beside this module describes them.

ASCII only, so a lone surrogate survives as its escape and no reader has encoding problems. English only, since programs
match sentences. The schema's number rises when a field changes its meaning or goes away, not when one is added.
"""

from __future__ import annotations

import gzip
import json
import zlib
from contextvars import copy_context
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

import harness
from harness.errors import UsageError
from harness.judging.results import CaseResult
from harness.language import set_language
from harness.reports.model import AdapterResults, Report, headline, shortfall
from harness.reports.reasons import reason_line
from harness.safe.files import replace_with, write_text
from harness.safe.read import json_problem, read_json, reason
from harness.safe.records import to_data
from harness.suite.compare import changes
from harness.suite.figures import grouped_figures
from harness.suite.gate import GateVerdict
from harness.suite.same_answers import same_answers

__all__ = ["MAX_RESULTS", "SCHEMA", "json_schema", "read_report", "to_json", "write_json"]

SCHEMA = 2
MAX_RESULTS = 1_000
"""Results up to which the report is one object."""
_LINES = ".jsonl.gz"
_COMPRESSION = 6
_LARGEST = 2**28
"""Bytes of a report, and characters of a line, that are read."""


def to_json(report: Report) -> str:
    """The whole report as one JSON object.

    Its fields are described in ``report.schema.json``.
    """
    return _dump(copy_context().run(_whole, report), indent=1) + "\n"


def write_json(report: Report, path: Path) -> Path:
    """Write the report to ``path``, or a large one beside it as ``.jsonl.gz``; the other form is removed.

    Returns:
        The path that was written.

    Raises:
        StoreError: it could not be written.
    """
    lines = path.with_suffix(_LINES)
    large = sum(len(a.results) for a in report.adapters) > MAX_RESULTS
    written = replace_with(lines, lambda p: _write_lines(report, p)) if large else write_text(path, to_json(report))
    (path if large else lines).unlink(missing_ok=True)
    return written


def read_report(path: Path) -> dict[str, Any]:
    """A report of either form as the object of ``report.json``.

    Args:
        path: ``report.json``, ``report.jsonl.gz``, or the folder of a run that holds one of them.

    Raises:
        UsageError: there is none, or it is damaged or of another schema.
    """
    if path.is_dir():
        path = next((p for name in ("report.json", f"report{_LINES}") if (p := path / name).is_file()), path)
    try:
        data = _read_lines(path) if path.name.endswith(_LINES) else read_json(path, largest=_LARGEST)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zlib.error) as error:
        why = reason(error) if isinstance(error, OSError | ValueError) else "it is not whole"
        raise UsageError(f"{path}: no report can be read ({why}); write it with: harness report") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{path}: is no report of schema {SCHEMA}; write it again with: harness report")
    return data


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``report.json``, and of the first line of ``report.jsonl.gz``.

    The other lines are described by its ``#/$defs/result``.
    """
    return dict(json.loads((files(__package__) / "report.schema.json").read_text(encoding="utf-8")))


# -- writing -----------------------------------------------------------------------------------------------------------


def _whole(report: Report) -> dict[str, Any]:
    set_language("en")
    data = _head(report)
    for adapter, shown in zip(report.adapters, data["adapters"], strict=True):
        shown["results"] = [_result(r) for r in adapter.results]
    return data


def _write_lines(report: Report, path: Path) -> None:
    # No time and no name in the header, so that equal reports are equal files.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as file:
        copy_context().run(_fill, report, file)


def _fill(report: Report, file: gzip.GzipFile) -> None:
    set_language("en")
    file.write(_dump(_head(report)).encode("ascii") + b"\n")
    for adapter in report.adapters:
        for result in adapter.results:
            file.write(_dump(_result(result)).encode("ascii") + b"\n")


def _head(report: Report) -> dict[str, Any]:
    """The report without its results."""
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
    return dict(to_data(data))


def _gate(gate: GateVerdict) -> dict[str, Any]:
    checks = [{**to_data(check), "passed": check.passed} for check in gate.checks]
    return {"outcome": gate.outcome, "passed": gate.passed, "text": gate.text, "checks": checks}


def _adapter(adapter: AdapterResults) -> dict[str, Any]:
    overall, *groups = grouped_figures(adapter.results)
    return {
        **to_data(replace(adapter, results=())),
        "count": len(adapter.results),
        "figures": dict(overall.summary()),
        "same_answers": [{"answer": s.answer, "cases": list(s.cases)} for s in same_answers(adapter.results)],
        "groups": {group.group: dict(group.summary()) for group in groups},
    }


def _result(result: CaseResult) -> dict[str, Any]:
    return {**to_data(result), "reason": to_data(reason_line(result))}


def _dump(data: dict[str, Any], indent: int | None = None) -> str:
    return json.dumps(data, ensure_ascii=True, allow_nan=False, indent=indent)


# -- reading -----------------------------------------------------------------------------------------------------------


def _read_lines(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="ascii") as file:
        data = _line(file)
        for adapter in data["adapters"]:
            adapter["results"] = [_line(file) for _ in range(adapter["count"])]
        if file.read(1):
            raise ValueError("it has more lines than results")
    return data


def _line(file: TextIO) -> dict[str, Any]:
    line = file.readline(_LARGEST)
    if not line.endswith("\n") or (problem := json_problem(line)):
        raise ValueError(problem if line.endswith("\n") else "it is not whole")
    value: dict[str, Any] = json.loads(line)
    return value
