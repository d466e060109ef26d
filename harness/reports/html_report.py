"""The HTML report: one file without any dependency, made to be forwarded.

The verdict comes first, then the gate and the suite's figures, then what changed (broken, fixed, still failing), then
what passes, folded away; facts about training and run come last. There is no script and no remote asset. The content
security policy forbids both, so markup that slipped through could do nothing. Every string goes through
:func:`harness.reports.markup.el`, which escapes it. Not supported: sorting and searching beyond what a browser offers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from harness.judging.results import Status
from harness.reports.html_cases import CaseView, card
from harness.reports.html_facts import breakdown, facts, legend
from harness.reports.markup import Html, el, join, raw, table
from harness.reports.model import Report, as_score, as_share, headline, shortfall
from harness.reports.style import style_hash, style_sheet
from harness.suite.compare import CHANGE_ORDER, ROLES, ChangeKind, changes
from harness.suite.figures import Figures, figures
from harness.suite.gate import GateOutcome, GateVerdict

__all__ = ["to_html"]

_ROLE_NOTES = {"fix": "trained on", "holdout": "siblings, never trained on", "guard": "must keep passing"}
_CHANGE_CLASS = {"broken": "bad", "fixed": "good", "still failing": "warn", "not judged": "odd", "still passing": ""}
_GATE_CLASS = {
    GateOutcome.PASSED: "good",
    GateOutcome.FAILED: "bad",
    GateOutcome.INSUFFICIENT: "odd",
    GateOutcome.NOT_JUDGEABLE: "odd",
}
_CHANGE_NOTES = {
    "broken": "passed before, fails now",
    "fixed": "failed before, passes now",
    "still failing": "failed before and now",
    "not judged": "no verdict on one of the two sides",
    "still passing": "passed before and now",
}
_STATUS_NOTES = {
    "FAIL": "the answer broke a rule",
    "ERROR": "there is no judgement",
    "SKIP": "not judged",
    "PASS": "nothing wrong",
}
_OPEN_AT_FIRST = 2
"""Cards of the first group that are open when the page is; of the fixed cases always one."""


def to_html(report: Report) -> str:
    """The whole page."""
    policy = f"default-src 'none'; style-src {style_hash()}; base-uri 'none'; form-action 'none'"
    groups = _groups(report)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"{_verdict_words(report)[0]} - {headline(report)}"),
        el("style", raw(style_sheet())),
    )
    body = el(
        "body",
        el("header", el("div", _verdict(report))),
        el("main", _tiles(report), _overview(report), _nav(groups), _cases(groups), breakdown(report), facts(report)),
        el("footer", legend()),
    )
    return raw("<!doctype html>\n") + el("html", head, body, lang="en") + "\n"


def _verdict_words(report: Report) -> tuple[str, str]:
    """(words, class) of the verdict chip."""
    if report.gate is not None:
        return f"Gate: {report.gate.outcome}", _GATE_CLASS[report.gate.outcome]
    status = figures(report.after.results).status if report.after is not None else Status.SKIP
    words = {Status.PASS: "Passed", Status.FAIL: "Failed", Status.ERROR: "Errors", Status.SKIP: "Nothing judged"}[
        status
    ]
    return words, {Status.PASS: "good", Status.FAIL: "bad", Status.ERROR: "odd", Status.SKIP: "warn"}[status]


def _verdict(report: Report) -> Html:
    words, style = _verdict_words(report)
    missing = shortfall(report)
    run = report.run
    origin = " · ".join(filter(None, (run.model, run.started[:16].replace("T", " "), f"run {run.id}")))
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
        ("Repetition score", "repetition", as_score, "0 none, 1 nothing else"),
        ("Repeater rate", "repeaters", as_share, "cases that loop"),
        ("Cut-off rate", "cutoffs", as_share, "answers without an end"),
    )
    tiles = [
        _tile(title, None if old is None else getattr(old, name).estimate, getattr(new, name).estimate, show, note)
        for title, name, show, note in rates
    ]
    note = f"of {new.cases}{_undecided(new)}"
    passing = _tile(
        "Passing cases",
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
    parts = [f"{total.errors} error{'s' if total.errors > 1 else ''}"] if total.errors else []
    parts += [f"{total.skipped} skipped"] if total.skipped else []
    parts += [f"{total.expected_failures} expected to fail"] if total.expected_failures else []
    parts += [f"{total.unexpected_passes} pass unexpectedly"] if total.unexpected_passes else []
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
        name = el("th", role or "all", el("div", _ROLE_NOTES.get(role, ""), class_="soft small"))
        cells = [el("td", str(count[k]), class_=f"num {_CHANGE_CLASS[k] if count[k] else 'zero'}") for k in order]
        rows.append(el("tr", name, cells, class_=None if role else "total"))
    title = f"What {report.after.name} changed against {report.before.name}"
    return el("section", el("h2", title), table(("role", *order), rows))


def _gate_table(gate: GateVerdict | None) -> Html | None:
    if gate is None or not gate.checks:
        return None
    rows = [
        el(
            "tr",
            el("th", check.title),
            el("td", check.text),
            el("td", el("span", str(check.outcome), class_=f"chip {_GATE_CLASS[check.outcome]}"), class_="num"),
        )
        for check in gate.checks
    ]
    return el("section", el("h2", "Gate"), table(("limit", "measured", ""), rows, numbers_from=2))


Group = tuple[str, str, str, tuple[CaseView, ...]]
"""(name, note, class, cases)"""


def _groups(report: Report) -> tuple[Group, ...]:
    """Cases in the order of interest: by change when two adapters are compared, else by verdict."""
    by_adapter = [(a.name, {r.case.id: r for r in a.results}) for a in report.adapters]

    def view(case_id: str) -> CaseView:
        return CaseView(tuple((name, by_case.get(case_id)) for name, by_case in by_adapter))

    if report.before is not None and report.after is not None:
        changed = changes(report.before.results, report.after.results)
        return tuple(
            (kind, _CHANGE_NOTES[kind], _CHANGE_CLASS[kind], views)
            for kind in CHANGE_ORDER
            if (views := tuple(view(c.result.case.id) for c in changed if c.kind == kind))
        )
    results = report.after.results if report.after is not None else ()
    styles = {"FAIL": "bad", "ERROR": "odd", "SKIP": "warn", "PASS": "good"}
    return tuple(
        (status, _STATUS_NOTES[status], styles[status], views)
        for status in ("FAIL", "ERROR", "SKIP", "PASS")
        if (views := tuple(view(r.case.id) for r in results if r.verdict.status == status))
    )


def _nav(groups: Sequence[Group]) -> Html | None:
    roles: Counter[str] = Counter(v.result.case.role for *_, views in groups for v in views)
    links = [
        el("a", f"{name.capitalize() if name.islower() else name} ", el("b", str(len(views))), href=f"#{_anchor(name)}")
        for name, _, _, views in groups
    ]
    if not links:
        return None
    choices = None
    if len(roles) > 1:
        choices = el(
            "span",
            [
                el("label", el("input", type="radio", name="role", id=f"role-{role}", checked=role == "all"), role)
                for role in ("all", *(r for r in ROLES if roles[r]))
            ],
            class_="roles",
        )
    return el("nav", links, choices)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _cases(groups: Sequence[Group]) -> Iterator[Html]:
    number = 0
    for index, (name, note, style, views) in enumerate(groups):
        cards: list[Html] = []
        for view in views:
            number += 1
            limit = _OPEN_AT_FIRST if index == 0 else int(name == "fixed")
            cards.append(card(view, number, expanded=len(cards) < limit))
        title = el(
            "h2",
            el("span", name.capitalize() if name.islower() else name, class_=style),
            el("small", f"{len(views)} case{'' if len(views) == 1 else 's'}: {note}"),
        )
        if name in ("still passing", "PASS"):
            body = el(
                "details", el("summary", title), cards, class_="group", open=len(groups) == 1 and len(views) <= 30
            )
        else:
            body = join(title, cards)
        yield el("section", body, id=_anchor(name))
