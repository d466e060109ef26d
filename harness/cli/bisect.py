"""``harness bisect CASE``: the first version in an adapter's lineage on which a case fails."""

from __future__ import annotations

import argparse
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings, table, warn
from harness.errors import UsageError
from harness.judging.results import Status
from harness.project.suite import project_cases
from harness.runs.evaluation import Evaluation
from harness.runs.progress import ProgressLine

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness bisect CASE [--adapter NAME] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "bisect",
        help="find the first version in a lineage on which a case fails",
        **examples("harness bisect badcase1/sea", "harness bisect badcase1/sea --adapter v4.2 --json"),
    )
    parser.add_argument("case", metavar="CASE", help="id of the case, <folder>/<name>")
    parser.add_argument("--adapter", metavar="NAME", help="newest version of the lineage; default: the project's")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: it passes on every version; 1: it fails on one; 3: it could not be judged."""
    settings = project_settings()
    case = next((c for c in project_cases(settings) if c.id == args.case), None)
    if case is None:
        raise UsageError(f"no case {args.case!r}; pytest badcases --collect-only lists them")
    line = ProgressLine(warn, settings.engine, every=15)
    with Evaluation(settings, on_progress=line) as evaluation:
        names = evaluation.manifest.ancestors(args.adapter or settings.adapter)
        results = evaluation.run(
            [(case, name) for name in names], {"kind": "bisect", "command": ["harness", "bisect", args.case]}
        )
    by_version = {result.adapter: result.verdict for result in results}
    first = next((name for name in names if by_version[name].status is Status.FAIL), None)
    if args.json:
        echo_json({"case": case.id, "first_failing": first, "verdicts": {n: v.status for n, v in by_version.items()}})
    else:
        rows = [[n, by_version[n].status.value, "; ".join(r.text for r in by_version[n].reasons)] for n in names]
        echo(table(("adapter", "verdict", "why"), rows))
        echo(f"{case.id} fails first on {first}" if first else f"{case.id} fails on no version")
    if any(v.status is Status.ERROR for v in by_version.values()):
        return 3
    return 1 if first else 0
