"""``harness report [RUN]``: write a recorded run's reports again, and open the page."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.project.manifest import read_manifest
from harness.reports.conclusion import conclude_run, named_run
from harness.reports.tables import results_frame, write_table
from harness.store import Store

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness report [RUN] [--open] [--table FILE] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="write a run's reports again",
        **examples("harness report --open", "harness report --table results.xlsx"),
    )
    parser.add_argument("run", nargs="?", default="last", metavar="RUN", help="run id; default: the last run")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--table", metavar="FILE", type=Path, help="also write the results as .csv, .xlsx or .parquet")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Write the reports of a recorded run."""
    settings = project_settings()
    with Store.existing(settings.database) as store:
        shown = args.run == "last" and not settings.database_is_shared
        stored = store.newest_shown() if shown else named_run(store, settings, args.run)
        baseline = stored.facts.get("baseline")
        settings = project_settings({"baseline": baseline} if baseline else None)
        conclusion = conclude_run(stored, store, read_manifest(settings.manifest_path), settings)
        written = [*conclusion.reports]
        if args.table is not None:
            written.append(write_table(results_frame(store.results(stored.id), run=stored.id), args.table))
    if args.json:
        echo_json({"run": stored.id, "reports": [str(p) for p in written]})
    else:
        for path in written:
            echo(str(path))
    if args.open:
        webbrowser.open(next(p for p in conclusion.reports if p.suffix == ".html").resolve().as_uri())
    return 0
