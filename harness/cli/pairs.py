"""``harness pairs --failed [--out PLACE]``: the pairs that a fix would train on, to read and edit."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from harness.cli.display import TerminalDisplay
from harness.cli.fix import pairs_text
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.fix.fix import Fix, plan_fix
from harness.language import tr
from harness.pairs import export_pairs
from harness.store import Store
from trainers.recipe import named_recipe

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness pairs --failed [--out PLACE]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "pairs",
        help="show and write the pairs that a fix would train on, to edit them",
        **examples("harness pairs --failed", "harness pairs --failed --out pairs.json"),
    )
    parser.add_argument(
        "--failed", action="store_true", required=True, help="pairs of the failing cases of the last run"
    )
    parser.add_argument("--adapter", metavar="NAME", help="version; default: the last run's")
    parser.add_argument("--run", metavar="ID", help="run; default: the newest finished one")
    parser.add_argument(
        "--out",
        metavar="PLACE",
        help="folder (or file that ends in .json) for the pairs and dataset_info.json",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make the pairs and write them."""
    settings = project_settings()
    with Store.existing(settings.database) as store:
        plan = plan_fix(settings, store, named_recipe(settings.recipe), adapter=args.adapter, run_id=args.run)
        if plan is None:
            nothing = tr("nothing to fix: no case that may be trained on fails")
            echo_json({"path": None, "pairs": 0, "chosen": {}, "cases": 0}) if args.json else echo(nothing)
            return 0
        display = TerminalDisplay(sys.stderr)
        with display.live():
            pairs = Fix(plan, settings, store, display).pairs()
    path = export_pairs(pairs, Path(args.out)) if args.out else None
    origins = Counter(p.origin for p in pairs)
    if args.json:
        echo_json(
            {"path": path and str(path), "pairs": len(pairs), "chosen": dict(origins), "cases": len(plan.failures)}
        )
    else:
        of = ", ".join(f"{count} {origin}" for origin, count in origins.most_common())
        echo(f"{pairs_text(pairs)}{len(pairs)} pairs of {len(plan.training)} cases ({of}){f': {path}' if path else ''}")
    return 0
