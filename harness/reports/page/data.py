"""A report as the plain data that the page's script reads: cases in the order to show, answers cut at their loops.

The script gets text and numbers, never markup. Answers are folded as in every other report, so a run of thousands of
loops stays small; ``harness view`` can ask for a whole answer. Every value that is not there is null.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.judging.results import Attempt, CaseResult, Status
from harness.language import tr
from harness.reports.answer import split_answer
from harness.reports.model import Report
from harness.reports.reasons import end_words, reason_line, score_lines
from harness.safe.escape import for_page
from harness.suite.compare import CHANGE_ORDER, changes

__all__ = ["packed", "page_data"]

_TEXT_LIMIT = 12_000
_VERDICT_ORDER = ("FAIL", "ERROR", "SKIP", "PASS")


def page_data(report: Report) -> dict[str, Any]:
    """Versions and cases of a report; a case's ``sides`` stand in the order of the versions, null where it did not run.

    Cases come in the order of interest: by change where two versions are compared, else by verdict.
    """
    by_adapter = [{r.case.id: r for r in a.results} for a in report.adapters]
    cases = [
        _case(result, change, [by_case.get(result.case.id) for by_case in by_adapter])
        for result, change in _in_order(report)
    ]
    return {"adapters": [{"name": for_page(a.name), "earlier": a.earlier} for a in report.adapters], "cases": cases}


def packed(data: Mapping[str, Any]) -> str:
    """The data as gzip in base64: a tenth of the size, and no letter of it can end a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 6, mtime=0)).decode("ascii")


def _in_order(report: Report) -> list[tuple[CaseResult, str | None]]:
    if report.before is not None and report.after is not None:
        compared = changes(report.before.results, report.after.results)
        seen = {c.result.case.id for c in compared}
        between = {r.case.id: r for a in report.adapters[1:-1] for r in a.results if r.case.id not in seen}
        return [*((c.result, c.kind) for kind in CHANGE_ORDER for c in compared if c.kind == kind),
                *((r, None) for r in between.values())]  # fmt: skip
    results = report.after.results if report.after is not None else ()
    return [(r, None) for status in _VERDICT_ORDER for r in results if r.verdict.status == status]


def _case(result: CaseResult, change: str | None, sides: Sequence[CaseResult | None]) -> dict[str, Any]:
    case = result.case
    return {
        "id": for_page(case.id),
        "folder": for_page(case.folder),
        "role": case.role,
        "tags": [for_page(tag) for tag in case.tags],
        "messages": [[m.role, for_page(_shortened(m.content))] for m in case.messages],
        "prompt": for_page(" ".join(case.prompt[:400].split())[:200]),
        "standard": None if case.standard_answer is None else for_page(case.standard_answer),
        "source": for_page(case.source),
        "note": for_page(result.note),
        "change": change,
        "sides": [None if side is None else _side(side) for side in sides],
    }


def _side(result: CaseResult) -> dict[str, Any]:
    worst = result.worst
    scores = worst.scores.values if worst is not None and worst.scores is not None else {}
    return {
        "verdict": str(result.verdict.status),
        "repeater": result.verdict.repeater,
        "words": "" if result.verdict.status is Status.PASS else for_page(reason_line(result)),
        "reasons": [[for_page(r.rule), for_page(r.text)] for r in result.verdict.reasons],
        "repetition": _rounded(result.repetition),
        "similarity": _rounded(scores.get("similarity")),
        "units": _rounded(scores.get("units")),
        "shown": next((n for n, a in enumerate(result.attempts) if a is worst), 0),
        "attempts": [_attempt(a) for a in result.attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    loops = attempt.scores.loops if attempt.scores is not None else ()
    parts = split_answer(attempt.answer, loops, cut_over=_TEXT_LIMIT)
    return {
        "sample": attempt.sample,
        "verdict": str(attempt.verdict.status),
        "end": end_words(attempt),
        "reasons": [[for_page(r.rule), for_page(r.text)] for r in attempt.verdict.reasons],
        "parts": [[p.kind, for_page(p.text)] for p in parts],
        "facts": [[title, for_page(text)] for title, text in score_lines(attempt)],
    }


def _shortened(text: str) -> str:
    if len(text) <= 2 * _TEXT_LIMIT:
        return text
    hidden = tr("{n} characters not shown", n=f"{len(text) - 2 * _TEXT_LIMIT:,}")
    return f"{text[:_TEXT_LIMIT]} [… {hidden} …] {text[-_TEXT_LIMIT:]}"


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(float(value), 4)
