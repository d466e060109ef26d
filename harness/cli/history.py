"""``harness history``: the recorded runs, newest first."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings, table
from harness.judging.results import Status
from harness.store import Run, Store

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness history [--adapter NAME] [--limit N] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "history",
        help="the recorded runs, newest first",
        **examples("harness history", "harness history --adapter v4.0 --limit 5"),
    )
    parser.add_argument("--adapter", metavar="NAME", help="only runs with this adapter version")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="maximum of runs; default: 20")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print a row per run and adapter."""
    with Store.existing(project_settings().database) as store:
        rows = [row for stored in store.runs(adapter=args.adapter, limit=args.limit) for row in _rows(store, stored)]
    if args.json:
        echo_json(rows)
    elif not rows:
        echo("no run is recorded yet; run: pytest badcases")
    else:
        echo(
            table(
                ("run", "status", "adapter", "repetition", "pass", "fail", "error", "of"),
                [list(r.values()) for r in rows],
            )
        )
    return 0


def _rows(store: Store, stored: Run) -> list[dict[str, Any]]:
    rows = []
    results = store.results(stored.id)
    for adapter in stored.adapters:
        mine = [r for r in results if r.adapter == adapter]
        count = Counter(r.verdict.status for r in mine)
        scored = [r.repetition for r in mine if r.repetition is not None]
        rows.append(
            {
                "run": stored.id,
                "status": stored.status,
                "adapter": adapter,
                "repetition": round(sum(scored) / len(scored), 4) if scored else None,
                "pass": count[Status.PASS],
                "fail": count[Status.FAIL],
                "error": count[Status.ERROR],
                "of": stored.planned // max(1, len(stored.adapters)),
            }
        )
    return rows
