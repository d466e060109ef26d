"""``harness comment``: the summary of a run as one comment on the pull or merge request, updated by each run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.errors import UsageError
from harness.language import tr
from harness.reports.latest import LATEST
from harness.reports.request_comment import find_thread, post_comment
from harness.safe.read import read_text, reason
from harness.store import Store

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness comment [RUN] [--name NAME] [--file FILE]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "comment",
        help="write a run's summary as a comment on the pull or merge request of this CI job",
        **examples("harness comment", "harness comment --name nightly"),
    )
    parser.add_argument("run", nargs="?", default="last", metavar="RUN", help="run id; default: the last run")
    parser.add_argument(
        "--name", default="badcases", metavar="NAME", help="several suites have a comment each; default: badcases"
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="text to write instead of the run's summary.md")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: written, or there is nothing to write it on, which a line says; 3: the server refused."""
    path = args.file or _summary(args.run)
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {reason(error)}; write the reports with: harness report") from error
    thread = find_thread(os.environ)
    if isinstance(thread, str):
        if args.json:
            echo_json({"comment": None, "reason": thread})
        else:
            echo(tr("no comment: {reason}", reason=thread))
        return 0
    done = post_comment(thread, text, args.name)
    if args.json:
        echo_json({"comment": done, "request": thread.name, "reason": None})
    elif done == "created":
        echo(tr("comment created on {request}", request=thread.name))
    else:
        echo(tr("comment updated on {request}", request=thread.name))
    return 0


def _summary(run: str) -> Path:
    settings = project_settings()
    if run == "last":
        return settings.reports / LATEST / "summary.md"
    with Store.existing(settings.database) as store:
        return settings.reports / "runs" / store.run(run).id / "summary.md"
