"""``harness report [RUN]``: write a recorded run's reports again, and open the page."""

from __future__ import annotations

import argparse
import webbrowser
from typing import Any

from harness.cli.project import add_json, project_settings, say, say_json
from harness.project.manifest import read_manifest
from harness.reports.conclusion import conclude_run
from harness.store import Store

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness report [RUN] [--open] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser("report", help="write a run's reports again")
    parser.add_argument("run", nargs="?", default="last", metavar="RUN", help="id of a run; the last by default")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Write the reports of a recorded run."""
    settings = project_settings()
    with Store.existing(settings.database) as store:
        found = store.run(args.run)
        baseline = found.facts.get("baseline")
        settings = project_settings({"baseline": baseline} if baseline else None)
        outcome = conclude_run(found, store, read_manifest(settings.manifest_path), settings)
    if args.json:
        say_json({"run": found.id, "reports": [str(p) for p in outcome.reports]})
    else:
        for path in outcome.reports:
            say(str(path))
    if args.open:
        webbrowser.open(next(p for p in outcome.reports if p.suffix == ".html").resolve().as_uri())
    return 0
