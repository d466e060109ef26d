"""``harness probe --failed``: which failing cases pass under another decoding."""

from __future__ import annotations

import argparse
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings, table, warn
from harness.errors import UsageError
from harness.judging.results import Status
from harness.language import tr
from harness.runs.decodings import probe
from harness.runs.evaluation import Evaluation
from harness.runs.progress import ProgressLine
from harness.store import Store

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness probe --failed [--adapter NAME] [--run ID] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "probe", help="find failing cases that pass under another decoding", **examples("harness probe --failed")
    )
    parser.add_argument("--failed", action="store_true", required=True, help="the failing cases of the last run")
    parser.add_argument("--adapter", metavar="NAME", help="version; default: the last run's")
    parser.add_argument("--run", metavar="ID", default="last", help="run; default: the last")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: done; a probe judges nothing, so it never returns 1."""
    settings = project_settings()
    with Store.existing(settings.database) as store:
        stored = store.run(args.run)
        adapter = args.adapter or stored.adapters[-1]
        if adapter not in stored.adapters:
            raise UsageError(f"run {stored.id} has no adapter {adapter!r}; it has: {', '.join(stored.adapters)}")
        failures = [r for r in store.results(stored.id, adapter=adapter) if r.verdict.status is Status.FAIL]
        if not failures:
            if args.json:
                echo_json({"run": stored.id, "adapter": adapter, "failing": 0, "variants": []})
            else:
                echo(tr("nothing to probe: no case fails"))
            return 0
        line = ProgressLine(warn, settings.engine, every=15)
        with Evaluation(settings, store=store, on_progress=line) as evaluation:
            rows = probe(failures, evaluation)
    if args.json:
        echo_json({"run": stored.id, "adapter": adapter, "failing": len(failures), "variants": rows})
        return 0
    cells = [
        [
            r.variant,
            f"{len(r.cured)}/{len(failures)}",
            _figure(r.similarity_before),
            _figure(r.similarity),
            r.unsupported,
        ]
        for r in rows
    ]
    echo(table(("decoding", "cured", "similarity before", "after", "unsupported because"), cells))
    for row in rows:
        if row.cured:
            echo(f"{row.variant} cures: {', '.join(row.cured)}")
    return 0


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
