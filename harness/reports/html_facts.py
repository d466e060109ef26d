"""The reference part of the HTML report: figures by group, the training, the run, the legend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.language import tr
from harness.reports.charts import loss_chart
from harness.reports.markup import Html, el, table
from harness.reports.model import Report, TrainingFacts, as_score, as_share
from harness.suite.compare import ROLES
from harness.suite.figures import Figures, figures, grouped_figures

__all__ = ["breakdown", "facts", "legend"]


def breakdown(report: Report) -> Html | None:
    """Pass counts and repetition per role, folder and tag, for every adapter."""
    groups = {a.name: {g.group: g for g in grouped_figures(a.results)} for a in report.adapters}
    names = [n for n in dict.fromkeys(name for by_group in groups.values() for name in by_group) if n != "all"]
    if not names:
        return None
    patterns = any(g.missing.n or g.forbidden.n for by_group in groups.values() for g in by_group.values())
    rows = []
    for name in sorted(names, key=_order):
        kind, _, value = name.partition(":")
        rows.append(el("tr", el("th", f"{tr(kind)} ", el("b", value)), _cells(groups, name, patterns)))
    rows.append(el("tr", el("th", tr("all")), _cells(groups, "all", patterns), class_="total"))
    measured = (tr("passing"), tr("repetition"), tr("repeaters"),
                *((tr("lacks required"), tr("matches forbidden")) if patterns else ()))  # fmt: skip
    many = len(report.adapters) > 1
    columns = ["", *(f"{a.name} {n}" if many else n for a in report.adapters for n in measured)]
    return el("section", el("h2", tr("By role, folder and tag")), table(columns, rows))


def _order(name: str) -> tuple[int, int, str]:
    """Roles first and in their own order, then folders, then tags."""
    kind, _, value = name.partition(":")
    return ("role", "folder", "tag").index(kind), [str(r) for r in ROLES].index(value) if kind == "role" else 0, value


def _cells(groups: Mapping[str, Mapping[str, Figures]], name: str, patterns: bool) -> Iterator[Html]:
    for by_name in groups.values():
        group = by_name.get(name) or figures((), name)
        yield el("td", tr("{n} of {total}", n=group.passed, total=group.cases), class_="num")
        yield el("td", as_score(group.repetition.estimate), class_="num")
        yield el("td", as_share(group.repeaters.estimate), class_="num")
        for rate in (group.missing, group.forbidden) if patterns else ():
            yield el("td", as_share(rate.estimate), class_="num")


def facts(report: Report) -> Html:
    """How the last adapter was trained, where known, and what the run was."""
    run = report.run
    known: dict[str, str] = {
        "run": run.id,
        "command": run.command,
        "status": run.status,
        "started": run.started,
        "finished": run.finished or "",
        "imported from": ", ".join(run.imported),
        "seconds": "" if run.seconds is None else f"{run.seconds:,.1f}",
        "from the cache": f"{run.cached:,} answers" if run.cached else "",
        "model": run.model,
        "engine": f"{run.engine.name} {run.engine.version}" if run.engine is not None else "",
        **{f"adapter {a.name}": ", ".join(f"{k} {v}" for k, v in a.facts.items()) for a in report.adapters},
        "machine": ", ".join(run.machine.values()),
        "versions": ", ".join(f"{k} {v}" for k, v in run.versions.items()),
        **{key: _plain(value) for key, value in run.settings.items()},
    }
    about = el("section", el("h2", tr("This run")), el("div", _list(known), class_="card"))
    return el("div", _training(report.training), about, class_="grid2")


def _training(training: TrainingFacts | None) -> Html | None:
    if training is None:
        return None
    title = tr("How {name} was trained", name=training.adapter)
    note = el("small", tr("from {name}", name=training.parent)) if training.parent else None
    return el(
        "section",
        el("h2", title, note),
        el("div", loss_chart(training.losses), _list(training.facts), class_="card"),
    )


def _list(facts: Mapping[str, str]) -> Html:
    return el("dl", ((el("dt", tr(name)), el("dd", value)) for name, value in facts.items() if value))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def legend() -> tuple[Html, ...]:
    """How to read the marks and the scores."""
    marks = el(
        "p",
        el("span", tr("the first copy of a loop"), class_="first"),
        " · ",
        el("mark", tr("what repeats it")),
        " · ",
        tr("copies in bulk are folded to a count; the whole answers are in the JSON report"),
    )
    scores = tr(
        "Repetition is the excess over the case's own standard answer: a table or a refrain that the standard answer "
        "has too does not count. The repetition score is its mean over the cases, the repeater rate the share of cases "
        "that fail on it. ERROR means that there is no judgement; it is neither a pass nor the model's failure."
    )
    return marks, el("p", scores)
