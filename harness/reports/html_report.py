"""The HTML report: one file without any dependency, made to be forwarded. ``harness view`` shows the same page.

The verdict comes first, then the gate and the suite's figures, then the cases, then charts, figures by group, and facts
about training and run. Everything but the cases is plain HTML, and readable without a script. The script and the style
sheet stand in the page and are allowed by their hashes. Every string goes through :func:`harness.reports.markup.el`,
which escapes it, or becomes a text node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from harness.judging.results import CaseResult, Status
from harness.language import tr
from harness.reports.charts import distribution_chart, paired_chart
from harness.reports.html_facts import breakdown, facts, legend
from harness.reports.markup import Child, Html, el, join, table
from harness.reports.model import Report, as_score, as_share, headline, shortfall
from harness.reports.page.data import packed, page_data
from harness.reports.page.document import case_section, document
from harness.suite.compare import ROLES, ChangeKind, changes, pair_up
from harness.suite.figures import Figures, figures
from harness.suite.gate import GateOutcome, GateVerdict

__all__ = ["run_page", "to_html"]

_ROLE_NOTES = {"fix": "", "holdout": "siblings, never trained on", "guard": "must keep passing"}
_CHANGE_CLASS = {"broken": "bad", "fixed": "good", "still failing": "warn", "not judged": "odd", "still passing": ""}
_GATE_CLASS = {
    GateOutcome.PASSED: "good",
    GateOutcome.FAILED: "bad",
    GateOutcome.INSUFFICIENT: "odd",
    GateOutcome.NOT_JUDGEABLE: "odd",
}


def to_html(report: Report) -> str:
    """The whole page as one file."""
    return document(_title(report), *_body(report), data=packed(page_data(report)))


def run_page(report: Report, live: Mapping[str, Any], *around: Child) -> str:
    """The same page for ``harness view``, whose script fetches the cases; ``around`` comes before everything."""
    return document(_title(report), *around, *_body(report), live=live)


def _title(report: Report) -> str:
    return f"{_verdict_words(report)[0]} - {headline(report)}"


def _body(report: Report) -> tuple[Html, ...]:
    return (
        el("header", el("div", _verdict(report))),
        el(
            "main", _tiles(report), _overview(report), case_section(), _charts(report), breakdown(report), facts(report)
        ),
        el("footer", legend()),
    )


def _verdict_words(report: Report) -> tuple[str, str]:
    """(words, class) of the verdict chip."""
    if report.gate is not None:
        return tr("Gate: {outcome}", outcome=tr(str(report.gate.outcome))), _GATE_CLASS[report.gate.outcome]
    status = figures(report.after.results).status if report.after is not None else Status.SKIP
    words = {
        Status.PASS: tr("Passed"), Status.FAIL: tr("Failed"), Status.ERROR: tr("Errors"),
        Status.SKIP: tr("Nothing judged"),
    }[status]  # fmt: skip
    return words, {Status.PASS: "good", Status.FAIL: "bad", Status.ERROR: "odd", Status.SKIP: "warn"}[status]


def _verdict(report: Report) -> Html:
    words, style = _verdict_words(report)
    missing = shortfall(report)
    run = report.run
    origin = " · ".join(filter(None, (run.model, run.started[:16].replace("T", " "), tr("run {id}", id=run.id))))
    return join(
        el("span", words, class_=f"chip big {style}"),
        el("h1", headline(report)),
        el("p", report.gate.text, class_=style) if report.gate is not None else None,
        el("p", missing, class_="bad") if missing else None,
        el("div", origin, class_="soft small"),
    )


def _tiles(report: Report) -> Html | None:
    after = report.after
    if after is None:
        return None
    new = figures(after.results)
    old = figures(report.before.results) if report.before is not None else None
    rates = (
        (tr("Repetition score"), "repetition", as_score, tr("0 none, 1 nothing else")),
        (tr("Repeater rate"), "repeaters", as_share, tr("cases that loop")),
        (tr("Cut-off rate"), "cutoffs", as_share, tr("answers without an end")),
    )
    tiles = [
        _tile(title, None if old is None else getattr(old, name).estimate, getattr(new, name).estimate, show, note)
        for title, name, show, note in rates
    ]
    note = tr("of {n} cases", n=new.cases) + _undecided(new)
    passing = _tile(
        tr("Passing cases"),
        None if old is None else -float(old.passed),
        -float(new.passed),
        lambda v: f"{-(v or 0):.0f}",
        note,
    )
    return el("div", tiles, passing, class_="tiles")


def _tile(title: str, old: float | None, new: float | None, show: Callable[[float | None], str], note: str) -> Html:
    """One figure, where lower is better, with the figure before."""
    style = None
    if old is not None and new is not None and show(old) != show(new):
        style = "good" if new < old else "bad"
    value = el("b", el("s", f"{show(old)} → ") if old is not None else None, el("span", show(new), class_=style))
    return el(
        "div", el("span", title, class_="soft small"), value, el("span", note, class_="soft small"), class_="tile"
    )


def _undecided(total: Figures) -> str:
    parts = [tr("{n} without a judgement", n=total.errors)] if total.errors else []
    parts += [tr("{n} skipped", n=total.skipped)] if total.skipped else []
    parts += [tr("{n} expected to fail", n=total.expected_failures)] if total.expected_failures else []
    parts += [tr("{n} pass unexpectedly", n=total.unexpected_passes)] if total.unexpected_passes else []
    return f" ({', '.join(parts)})" if parts else ""


def _overview(report: Report) -> Html | None:
    blocks = [_change_table(report), _gate_table(report.gate)]
    present = [b for b in blocks if b is not None]
    return el("div", present, class_="grid2") if present else None


def _change_table(report: Report) -> Html | None:
    if report.before is None or report.after is None:
        return None
    compared = changes(report.before.results, report.after.results)
    order: tuple[ChangeKind, ...] = ("fixed", "still failing", "broken", "still passing", "not judged")
    rows: list[Html] = []
    for role in (*ROLES, ""):
        mine = [c for c in compared if role in ("", c.result.case.role)]
        if not mine or (not role and len(rows) < 2):
            continue
        count = Counter(c.kind for c in mine)
        # "Trained on" is only true where something was trained.
        note = tr("trained on") if role == "fix" and report.training is not None else tr(_ROLE_NOTES.get(role, ""))
        name = el("th", role or tr("all"), el("div", note, class_="soft small") if note else None)
        cells = [el("td", str(count[k]), class_=f"num {_CHANGE_CLASS[k] if count[k] else 'zero'}") for k in order]
        rows.append(el("tr", name, cells, class_=None if role else "total"))
    title = tr("What {after} changed against {before}", after=report.after.name, before=report.before.name)
    return el("section", el("h2", title), table((tr("role"), *map(tr, order)), rows))


def _gate_table(gate: GateVerdict | None) -> Html | None:
    if gate is None or not gate.checks:
        return None
    rows = [
        el(
            "tr",
            el("th", check.title),
            el("td", check.text),
            el("td", el("span", tr(str(check.outcome)), class_=f"chip {_GATE_CLASS[check.outcome]}"), class_="num"),
        )
        for check in gate.checks
    ]
    return el("section", el("h2", tr("Gate")), table((tr("limit"), tr("measured"), ""), rows, numbers_from=2))


def _charts(report: Report) -> Html | None:
    shown = report.adapters if len(report.adapters) < 5 else (report.adapters[0], report.adapters[-1])
    drawn: list[tuple[str, Html | None]] = []
    if report.before is not None and report.after is not None:
        pairs = [
            (p.before.repetition, p.after.repetition)
            for p in pair_up(report.before.results, report.after.results)
            if p.before.repetition is not None and p.after.repetition is not None
        ]
        title = tr("Repetition before and after")
        drawn.append((title, paired_chart(report.before.name, report.after.name, pairs)))
    measured: tuple[tuple[str, Callable[[CaseResult], float | None], float | None], ...] = (
        (tr("Repetition"), lambda r: r.repetition, 1.0),
        (tr("Similarity to the standard answer"), lambda r: _score(r, "similarity"), 1.0),
        (tr("Length of the answers, in words or characters"), lambda r: _score(r, "units"), None),
    )
    for title, value, high in measured:
        values = {a.name: [v for r in a.results if (v := value(r)) is not None] for a in shown}
        drawn.append((title, distribution_chart(title, values, high)))
    cards = [el("div", el("h3", title), chart, class_="card figure") for title, chart in drawn if chart is not None]
    return el("section", el("h2", tr("Charts")), el("div", cards, class_="grid2"), class_="charts") if cards else None


def _score(result: CaseResult, name: str) -> float | None:
    worst = result.worst
    return None if worst is None or worst.scores is None else worst.scores.values.get(name)
