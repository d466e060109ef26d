"""The pages around a run's page: runs, versions with their history, trainings with their pairs.

They are plain HTML made in Python, complete without a script; the script adds what is under way and the buttons. Every
string goes through :func:`harness.reports.markup.el`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from harness.errors import HarnessError, StoreError, UsageError
from harness.language import tr
from harness.pairs import import_pairs
from harness.pairs.files import DATASET
from harness.pairs.model import Pair
from harness.project.manifest import Adapter, Manifest
from harness.reports.charts import history_chart, loss_chart
from harness.reports.markup import Child, Html, el, table
from harness.reports.model import as_score, as_share
from harness.reports.page.document import document
from harness.runs.sessions import run_state
from harness.runs.whole import newest_whole_run
from harness.safe.files import digest_file
from harness.store import IMPORTED, SUITE, Run, Store
from harness.suite.figures import Figures
from harness.view.edits import pairs_file
from harness.view.live import TrainingState, training_state
from harness.view.reading import LISTED, Reading, RunRow

__all__ = ["home_page", "navigation", "training_page", "trainings_page", "version_page", "versions_page"]

_STATUS = {"started": "odd", "running": "odd", "killed": "bad", "interrupted": "warn", "failed": "bad"}
_VERSION = {"blessed": "good", "refused": "bad"}
_MAX_PAIRS = 500
"""Pairs on one page; more are edited in their file."""


def navigation(here: str) -> Html:
    """The links on top of every page, and the place where what is under way is told."""
    links = (("/", tr("Runs")), ("/versions", tr("Versions")), ("/trainings", tr("Trainings")))
    return el(
        "nav",
        [el("a", text, href=path, class_="here" if path == here else None) for path, text in links],
        el("span", id="live", class_="soft", role="status"),
        el("button", tr("Undo"), type="button", data_action="undo", class_="plain"),
        class_="top", aria_label=tr("Pages"),
    )  # fmt: skip


def home_page(reading: Reading) -> str:
    """The runs, newest first."""
    rows = reading.runs()
    body = _run_lines(reading, rows)
    columns = (tr("run"), tr("version"), tr("passing"), tr("fail"), tr("error"), tr("repetition"), tr("repeaters"))
    content = table(columns, body, numbers_from=2) if rows else _no_run()
    return _page("/", tr("Runs"), content)


def _no_run() -> Html:
    return el(
        "div", el("p", tr("No run is recorded yet. Start one:")), el("pre", "pytest badcases"), class_="card body"
    )


def _run_lines(reading: Reading, rows: Sequence[RunRow]) -> list[Html]:
    """The lines of the list; repetition is computed from all results of a run, so only the newest ones show it."""
    ended = [row.run for row in rows[:LISTED] if row.run.results_seal and row.counts]
    known = reading.listed_figures(ended)
    late = {run.id for run in ended} - known.keys()
    names = reading.manifest().adapters
    return [line for row in rows for line in _run_line(row, known.get(row.run.id, {}), names, late=row.run.id in late)]


def _run_line(row: RunRow, known: Mapping[str, Figures], names: Collection[str], *, late: bool) -> Iterator[Html]:
    run = row.run
    state = run_state(run)
    status: Html | None
    if run.kind == IMPORTED:
        status = el("span", tr("imported"), class_="chip", title=", ".join(run.sources))
    else:
        status = None if state == "finished" else el("span", tr(state), class_=f"chip {_STATUS[state]}")
    for at, name in enumerate(run.adapters):
        count = row.counts.get(name, {})
        total = sum(count.values())
        figures = known.get(name) if total else None
        repetition = as_score(figures.repetition.estimate if figures else None)
        repeaters = as_share(figures.repeaters.estimate if figures else None)
        # Computed by a thread until the page is loaded again.
        if late:
            repetition = repeaters = "…"
        first = [
            el("a", run.started[:16].replace("T", " "), href=f"/run/{quote(run.id)}"), " ", status,
            el("div", run.id, class_="soft small"),
        ] if at == 0 else []  # fmt: skip
        yield el(
            "tr",
            el("th" if at == 0 else "td", first),
            el("td", _version_link(run, name, names)),
            el("td", f"{count.get('PASS', 0)} / {total}", class_="num"),
            el("td", str(count.get("FAIL", 0)), class_=f"num {'bad' if count.get('FAIL') else 'zero'}"),
            el("td", str(count.get("ERROR", 0)), class_=f"num {'odd' if count.get('ERROR') else 'zero'}"),
            el("td", repetition, class_="num"),
            el("td", repeaters, class_="num"),
        )


def _version_link(run: Run, name: str, names: Collection[str]) -> Child:
    """The version's page; a version of imported answers may have none."""
    known = run.kind != IMPORTED or name in names
    return el("a", name, href=f"/version/{quote(name)}") if known else name


def versions_page(reading: Reading) -> str:
    """Every version of the manifest."""
    rows = [
        el(
            "tr",
            el("th", el("a", a.name, href=f"/version/{quote(a.name)}")),
            el("td", a.parent or a.model),
            el("td", tr(a.method) if a.method else tr("as shipped")),
            el("td", el("span", tr(a.status), class_=f"chip {_VERSION.get(a.status, '')}") if a.status else ""),
            el("td", a.created[:10]),
        )
        for a in reading.manifest().adapters.values()
    ]
    columns = (tr("version"), tr("grew from"), tr("method"), tr("status"), tr("created"))
    return _page("/versions", tr("Versions"), table(columns, rows, numbers_from=9))


def version_page(reading: Reading, name: str) -> str:
    """One version: what it is, its history along the lineage, and its evidence.

    Raises:
        ManifestError: no such version.
    """
    manifest = reading.manifest()
    adapter = manifest.adapter(name)
    lineage = manifest.ancestors(name)
    runs = [row for row in reading.runs() if row.run.status == "finished"]
    answered = [row.run for row in runs if row.run.kind == SUITE]
    points = []
    for version in lineage:
        newest = next((run for run in answered if version in run.adapters), None)
        if newest is not None:
            figures = reading.figures(newest)[version]
            if figures.passes.estimate is not None:
                points.append((version, figures.passes.estimate, figures.repetition.estimate))
    chart = history_chart(points)
    own = [row for row in runs if name in row.run.adapters]
    columns = (tr("run"), tr("version"), tr("passing"), tr("fail"), tr("error"), tr("repetition"), tr("repeaters"))
    lines = _run_lines(reading, own[:20])
    return _page(
        "/versions",
        tr("Version {name}", name=name),
        el("div", el("section", el("div", _facts(adapter), class_="card")), _decision(reading, manifest, adapter),
           class_="grid2"),
        el("h2", tr("History: {lineage}", lineage=" → ".join(lineage))) if chart else None,
        el("div", chart, class_="card") if chart else None,
        el("h2", tr("Runs")),
        table(columns, lines, numbers_from=2)
        if lines
        else el("p", tr("No finished run of this version."), class_="soft"),
    )  # fmt: skip


def _facts(adapter: Adapter) -> Html:
    known: Mapping[str, object] = {
        "model": adapter.model, "parent": adapter.parent, "method": adapter.method, "rank": adapter.rank or "",
        "status": adapter.status, "created": adapter.created, "recipe": adapter.recipe, "run": adapter.run,
        "digest": adapter.sha256[:12], **adapter.facts,
    }  # fmt: skip
    shown = ((k, v) for k, v in known.items() if v not in (None, "", {}, []))
    return el("dl", ((el("dt", tr(k)), el("dd", _value(v))) for k, v in shown))


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _decision(reading: Reading, manifest: Manifest, adapter: Adapter) -> Html:
    """What speaks for the version, and the two buttons."""
    evidence: Html
    possible = False
    try:
        with Store.existing(reading.settings.database) as store:
            run = newest_whole_run(store, manifest, adapter.name)
    except (UsageError, StoreError) as error:
        evidence = el("p", str(error), class_="warn")
    else:
        possible = True
        figures = reading.figures(run)[adapter.name]
        share = as_share(figures.passes.estimate)
        text = tr("{passed} of {cases} cases pass ({share}), repetition score {repetition}, {cut} cut off.",
                  passed=figures.passed, cases=figures.cases, share=share,
                  repetition=as_score(figures.repetition.estimate), cut=figures.cutting_off)  # fmt: skip
        evidence = el("p", el("a", tr("run {id}", id=run.id), href=f"/run/{quote(run.id)}"), ": ", text)
    blessed = adapter.status == "blessed"
    buttons = [
        el("button", tr("Bless"), type="button", class_="main", data_action="bless", data_name=adapter.name,
           disabled=not possible or blessed),
        el("label", tr("Reason"), " ", el("input", id="reason", maxlength="300")),
        el("button", tr("Refuse"), type="button", data_action="refuse", data_name=adapter.name),
    ]  # fmt: skip
    note = tr("Blessing needs a run of the whole suite on these weights.")
    return el(
        "section",
        el("div", el("h2", tr("Evidence")), evidence, el("p", note, class_="soft small"),
           el("div", buttons, class_="actions"), class_="card body"),
    )  # fmt: skip


def trainings_page(reading: Reading) -> str:
    """Every training, newest first."""
    rows = []
    for folder in reading.trainings():
        state = training_state(folder)
        pairs = tr("yes") if (folder / DATASET).is_file() else ""
        rows.append(
            el(
                "tr",
                el("th", el("a", folder.name, href=f"/training/{quote(folder.name)}")),
                el("td", tr("not begun") if state is None else tr(state.phase)),
                el("td", "" if state is None or not state.total else f"{state.step} / {state.total}"),
                el("td", "" if state is None or state.loss is None else f"{state.loss:.3f}"),
                el("td", pairs),
            )
        )
    columns = (tr("training"), tr("state"), tr("step"), tr("loss"), tr("pairs"))
    content = table(columns, rows, numbers_from=9) if rows else el("p", tr("No training yet."), class_="soft")
    return _page("/trainings", tr("Trainings"), content)


def training_page(reading: Reading, name: str) -> str:
    """One training: how far it is, its loss, its pairs.

    Raises:
        UsageError: no such training.
    """
    folder = next((p for p in reading.trainings() if p.name == name), None)
    if folder is None:
        raise UsageError(f"there is no training {name!r}")
    state = training_state(folder)
    return _page("/trainings", tr("Training {name}", name=name), _progress(state), *_pairs(reading, folder))


def _progress(state: TrainingState | None) -> Html | None:
    if state is None:
        return el("p", tr("It has not begun. These pairs are used by: harness fix --failed"), class_="soft")
    words = [tr(state.phase), f"{state.step} / {state.total}" if state.total else ""]
    words += [f"{tr('loss')} {state.loss:.3f}" if state.loss is not None else "", state.left]
    bar = el("progress", value=state.step, max=state.total, aria_label=tr("Steps")) if state.total else None
    return el(
        "div",
        el("p", " · ".join(w for w in words if w)),
        el("p", state.failure, class_="bad") if state.failure else None,
        bar,
        loss_chart(state.losses),
        class_="card body",
        data_training=state.name if state.running else None,
    )


def _pairs(reading: Reading, folder: Path) -> Sequence[Child]:
    path = folder / DATASET
    if not path.is_file():
        return ()
    try:
        pairs = import_pairs(path)
    except HarnessError as error:
        return (el("p", str(error), class_="bad"),)
    try:
        editable = bool(pairs_file(reading.settings, folder.name))
        note = tr("Edit or drop pairs before the training: harness fix --failed uses what stands here.")
    except UsageError as error:
        editable, note = False, str(error)
    more = tr("{n} more pairs are in the file.", n=len(pairs) - _MAX_PAIRS) if len(pairs) > _MAX_PAIRS else ""
    digest = digest_file(path)
    return (
        el("h2", tr("Pairs"), el("small", str(len(pairs)))),
        el("p", note, class_="soft"),
        *(_pair(p, n, folder.name, digest, editable=editable) for n, p in enumerate(pairs[:_MAX_PAIRS])),
        el("p", more) if more else None,
    )


def _pair(pair: Pair, number: int, training: str, digest: str, *, editable: bool) -> Html:
    at = min(max(pair.fault_at, 0), len(pair.rejected))
    rejected = [pair.rejected[:at], el("mark", pair.rejected[at:])] if at else [pair.rejected]
    buttons = [
        el("button", tr(text), type="button", data_action=action)
        for action, text in (("edit-pair", "Edit"), ("drop-pair", "Drop"))
    ]
    return el(
        "details",
        el("summary", el("span", pair.case_id, class_="id", dir="auto"), " ",
           el("span", tr(pair.origin), class_="chip")),
        el("div", el("h3", tr("Prompt")), el("div", pair.prompt, class_="text quote", dir="auto", tabindex="0"),
           el("div",
              _text(tr("chosen"), pair.chosen, "chosen", [pair.chosen]),
              _text(tr("rejected"), pair.rejected, "rejected", rejected), class_="sides"),
           el("div", buttons, class_="actions") if editable else None, class_="body"),
        class_="card pair", open=number < 3, data_training=training, data_digest=digest, data_number=str(number),
    )  # fmt: skip


def _text(title: str, whole: str, field: str, parts: Sequence[Child]) -> Html:
    text = el("div", parts, class_="text", dir="auto", tabindex="0", data_field=field, data_whole=whole)
    return el("div", el("div", el("b", title), class_="head"), text, class_="side")


def _page(here: str, title: str, *content: Child) -> str:
    return document(f"{title} - harness", navigation(here), el("main", el("h1", title), content), live={})
