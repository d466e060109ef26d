"""``harness history``: the recorded runs, newest first: how each ended, what it measured, and which way that moved.

A run whose process was killed has no end in the database. It is shown as killed, with the command that takes up its
stored answers.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from harness.cli.parsers import count, examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings, table
from harness.errors import HarnessError
from harness.judging.results import CaseResult, Status
from harness.language import tr
from harness.project.settings import Settings, read_settings
from harness.reports.conclusion import judge_run, recorded_flags
from harness.runs.sessions import run_state
from harness.safe.escape import for_terminal
from harness.store import IMPORTED, SHOWN, Run, Store

__all__ = ["add_parser", "run"]

_ID_TO_THE_SECOND = 15
"""Characters of a run's id that are its time; enough to name it where no other run began in that second."""


def add_parser(subparsers: Any) -> None:
    """``harness history [--adapter NAME] [--tag NAME] [--limit N] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "history",
        help="the recorded runs, newest first",
        **examples("harness history", "harness history --adapter v4.0 --limit 5", "harness history --tag nightly"),
    )
    parser.add_argument("--adapter", metavar="NAME", help="only runs with this adapter version")
    parser.add_argument("--tag", metavar="NAME", help="only runs with this tag (pytest badcases --run-tag NAME)")
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="maximum of runs; default: 20")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print a row per run and adapter."""
    settings = project_settings()
    with Store.existing(settings.database) as store:
        history = _History(store, settings)
        runs = [r for r in history.runs if args.adapter is None or args.adapter in r.adapters]
        runs = [r for r in runs if args.tag is None or args.tag in r.facts.get("tags", ())][: args.limit]
        rows = [row for stored in runs for row in history.rows(stored, args.adapter)]
        short = history.short_ids()
    if args.json:
        echo_json(rows)
    elif not rows:
        echo(tr("no such run is recorded; run: pytest badcases"))
    else:
        echo(_table(rows, short))
        for line in _unfinished(rows):
            hint(for_terminal(line))
    return 0


class _History:
    """The runs of a project and what is derived from them, each once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._figures: dict[tuple[str, str], _Figures] = {}

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs that people look at, newest first."""
        return self._store.runs(kinds=SHOWN)

    def short_ids(self) -> dict[str, str]:
        """The part of each id that no other one begins with."""
        times = Counter(r.id[:_ID_TO_THE_SECOND] for r in self.runs)
        return {r.id: r.id[:_ID_TO_THE_SECOND] if times[r.id[:_ID_TO_THE_SECOND]] == 1 else r.id for r in self.runs}

    def rows(self, stored: Run, adapter: str | None) -> Iterator[dict[str, Any]]:
        """A row for each adapter of a run, or for the one that was asked for."""
        state = run_state(stored)
        gates = self._gates(stored)
        for name in stored.adapters:
            if adapter not in (None, name):
                continue
            mine = self._of(stored, name)
            before = self._previous(stored, name)
            yield {
                "run": stored.id,
                "started": stored.started,
                "finished": stored.finished,
                "status": state,
                "kind": stored.kind,
                "gate": gates.get(name),
                "adapter": name,
                "repetition": mine.repetition,
                "repetition_change": _difference(mine.repetition, before.repetition if before else None),
                "pass": mine.passed,
                "fail": mine.failed,
                "error": mine.errors,
                "of": mine.results if stored.kind == IMPORTED else stored.planned // max(1, len(stored.adapters)),
                "pass_rate_change": _difference(mine.pass_rate, before.pass_rate if before else None),
                "results": mine.results,
                "commit": stored.facts.get("commit"),
                "host": (stored.facts.get("process") or {}).get("host"),
                "tags": list(stored.facts.get("tags", ())),
                "command": list(stored.facts.get("command", ())),
            }

    def _gates(self, stored: Run) -> Mapping[str, str]:
        """The gate's outcome by adapter, by the limits that the run was asked to keep to; none before its end."""
        if stored.status != "finished" or stored.kind == IMPORTED:
            return {}
        try:
            settings = read_settings(self._settings.root, recorded_flags(stored))
            return {name: gate.outcome.value for name, gate in judge_run(stored, self._store, settings).items()}
        except HarnessError:
            # A baseline file that is gone, say; harness gate has the reason.
            return dict.fromkeys(stored.adapters, "not judgeable")

    def _of(self, stored: Run, adapter: str) -> _Figures:
        if (stored.id, adapter) not in self._figures:
            results = self._store.results(stored.id)
            for name in stored.adapters:
                self._figures[stored.id, name] = _figures([r for r in results if r.adapter == name])
        return self._figures[stored.id, adapter]

    def _previous(self, stored: Run, adapter: str) -> _Figures | None:
        """The figures of the finished run on the adapter before this one, of the same kind."""
        older = (r for r in self.runs[self.runs.index(stored) + 1 :] if r.kind == stored.kind)
        run = next((r for r in older if adapter in r.adapters and r.status == "finished"), None)
        return None if run is None else self._of(run, adapter)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """One adapter's results in one run."""

    repetition: float | None
    passed: int
    failed: int
    errors: int
    results: int

    @property
    def pass_rate(self) -> float | None:
        judged = self.passed + self.failed
        return self.passed / judged if judged else None


def _figures(results: Sequence[CaseResult]) -> _Figures:
    of = Counter(r.verdict.status for r in results)
    scored = [r.repetition for r in results if r.repetition is not None]
    return _Figures(
        repetition=round(sum(scored) / len(scored), 4) if scored else None,
        passed=of[Status.PASS],
        failed=of[Status.FAIL],
        errors=of[Status.ERROR],
        results=len(results),
    )


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else round(now - before, 4)


def _table(rows: Sequence[Mapping[str, Any]], short: Mapping[str, str]) -> str:
    """The rows for a person; columns that would say nothing are left out."""
    columns = {
        tr("run"): [short[r["run"]] for r in rows],
        tr("date"): [_date(r["started"]) for r in rows],
        tr("adapter"): [r["adapter"] for r in rows],
        tr("result"): [_result(r) for r in rows],
        tr("repetition"): [_repetition(r) for r in rows],
        tr("passed"): [_passed(r) for r in rows],
    }
    if any(r["commit"] for r in rows):
        columns[tr("commit")] = [_commit(r["commit"]) for r in rows]
    if len({r["host"] for r in rows if r["host"]}) > 1:
        columns[tr("host")] = [r["host"] or "-" for r in rows]
    if any(r["tags"] for r in rows):
        columns[tr("tags")] = [" ".join(r["tags"]) for r in rows]
    return table(tuple(columns), list(zip(*columns.values(), strict=True)))


def _date(started: str) -> str:
    """The local time, with the year where it is not this one's."""
    moment = datetime.fromisoformat(started).astimezone()
    return f"{moment:%m-%d %H:%M}" if moment.year == datetime.now().astimezone().year else f"{moment:%Y-%m-%d}"


def _result(row: Mapping[str, Any]) -> str:
    return tr("imported") if row["kind"] == IMPORTED else tr(str(row["gate"] or row["status"]))


def _passed(row: Mapping[str, Any]) -> str:
    errors = tr(", {n} errors", n=row["error"]) if row["error"] else ""
    return _with_arrow(f"{row['pass']}/{row['of']}", row["pass_rate_change"]) + errors


def _repetition(row: Mapping[str, Any]) -> str:
    value = row["repetition"]
    return "-" if value is None else _with_arrow(f"{value:.3f}", row["repetition_change"])


def _with_arrow(value: str, change: float | None) -> str:
    """A value, and which way it has moved since the run before; ASCII where the output takes nothing else."""
    up, down, same = ("↑", "↓", "=") if (sys.stdout.encoding or "").lower().startswith("utf") else ("+", "-", "=")
    arrow = " " if change is None else same if change == 0 else up if change > 0 else down
    return f"{value} {arrow}"


def _commit(commit: str | None) -> str:
    """Seven digits, and a plus sign where files had changed."""
    return "-" if not commit else commit[:7] + ("+" if commit.endswith("-dirty") else "")


def _unfinished(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each killed or interrupted run: how far it came, and what takes up its answers."""
    for run_id in dict.fromkeys(r["run"] for r in rows if r["status"] in ("killed", "interrupted")):
        of_run = [r for r in rows if r["run"] == run_id]
        command = shlex.join(of_run[0]["command"])
        if of_run[0]["command"][:1] != ["pytest"]:
            continue
        done, planned = (sum(r[name] for r in of_run) for name in ("results", "of"))
        if of_run[0]["status"] == "killed":
            yield tr("run {run} was killed after {done} of {planned} results", run=run_id, done=done, planned=planned)
        else:
            yield tr(
                "run {run} was interrupted after {done} of {planned} results", run=run_id, done=done, planned=planned
            )
        yield tr("  continue with: {command} (stored answers are used again)", command=command)
