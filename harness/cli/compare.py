"""``harness compare BEFORE AFTER``: fixed, still failing, broken, with significance; from the store, no engine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.errors import StoreError
from harness.project.manifest import read_manifest
from harness.reports.console import comparison_table, summary
from harness.reports.model import AdapterResults
from harness.reports.tables import changes_frame, write_table
from harness.store import Store
from harness.suite.compare import Comparison, changes, compare

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness compare BEFORE AFTER [--out FILE] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "compare", help="compare two versions on the cases that both ran"
    )
    parser.add_argument("before", metavar="BEFORE", help="adapter version")
    parser.add_argument("after", metavar="AFTER", help="adapter version")
    parser.add_argument("--out", metavar="FILE", type=Path, help="also write the cases as .csv, .xlsx or .parquet")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: no case broke; 1: at least one did."""
    settings = project_settings()
    manifest = read_manifest(settings.manifest_path)
    with Store.existing(settings.database) as store:
        sides = []
        for name in (args.before, args.after):
            manifest.adapter(name)
            results = store.latest_results(name)
            if not results:
                raise StoreError(f"no finished run on {name!r}; run: pytest badcases --adapter {name}")
            sides.append(results)
    # Only the cases that both ran: a version that ran more cases is neither better nor worse for that.
    common = {r.case.id for r in sides[0]} & {r.case.id for r in sides[1]}
    before, after = (tuple(r for r in side if r.case.id in common) for side in sides)
    comparison = compare(before, after)
    if args.out is not None:
        write_table(changes_frame(changes(before, after)), args.out)
    if args.json:
        echo_json(comparison)
        return 1 if comparison.broken else 0
    color = sys.stdout.isatty()
    echo(summary([AdapterResults(args.before, before), AdapterResults(args.after, after)], color=color))
    echo(comparison_table(changes(before, after), color=color))
    echo(_significance(comparison))
    for word, ids in (("broken", comparison.broken), ("still failing", comparison.still_failing)):
        for case_id in ids:
            echo(f"{word}: {case_id}")
    return 1 if comparison.broken else 0


def _significance(comparison: Comparison) -> str:
    total = comparison.total
    rise = total.repetition
    return (
        f"repetition score {rise.value:+.3f} ({rise.low:+.3f}..{rise.high:+.3f}); "
        f"{len(total.fixed)} fixed against {len(total.broken)} broken: p = {total.p_fixed:.3g} (McNemar, one-sided)"
    )
