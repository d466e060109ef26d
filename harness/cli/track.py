"""``harness track [RUN]``: send a recorded run to the project's experiment trackers, or send it again."""

from __future__ import annotations

import argparse
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.errors import SettingsError
from harness.project.manifest import read_manifest
from harness.reports.conclusion import conclude_run, recorded_flags
from harness.store import Store
from harness.trackers.sending import send_run

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness track [RUN] [--to NAME] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "track",
        help="send a recorded run to the experiment trackers",
        **examples("harness track --to jsonl", "harness track 20260102-030405-ab12 --to mlflow"),
    )
    parser.add_argument("run", nargs="?", default="last", metavar="RUN", help="run id; default: the last run")
    parser.add_argument(
        "--to", action="append", metavar="NAME", help="tracker; may be repeated; default: [tool.harness] trackers"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: every tracker took the run; 3: one did not."""
    flags = {"trackers": args.to}
    settings = project_settings(flags)
    if not settings.trackers:
        raise SettingsError('no tracker: name one with --to, or set trackers = ["mlflow"] in [tool.harness]')
    with Store.existing(settings.database) as store:
        stored = store.run(args.run)
        settings = project_settings({**recorded_flags(stored), **flags})
        conclusion = conclude_run(stored, store, read_manifest(settings.manifest_path), settings)
    sent = send_run(conclusion, settings)
    if args.json:
        echo_json({"run": stored.id, "trackers": sent})
    else:
        for one in sent:
            echo(one.text)
    return 3 if any(one.problem for one in sent) else 0
