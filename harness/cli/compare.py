"""``harness compare VERSION VERSION ...``: fixed, still failing, broken, with significance; from the store alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.cases.suite import case_digest
from harness.cli.output import wants_color
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.errors import StoreError, UsageError
from harness.judging.results import CaseResult
from harness.language import tr
from harness.project.manifest import Manifest, read_manifest
from harness.reports.console import comparison_table, failures_by_tag, summary
from harness.reports.model import AdapterResults
from harness.reports.tables import changes_frame, write_table
from harness.safe.records import to_data
from harness.store import IMPORTED, SHOWN, Store
from harness.suite.compare import Comparison, changes, compare
from harness.suite.figures import grouped_figures

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness compare VERSION VERSION ... [--out FILE] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "compare",
        help="compare versions on the cases that all of them ran, the first with the last",
        **examples("harness compare v4.0 v4.1", "harness compare v4.0 v4.1 v4.2 --out changes.xlsx"),
    )
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="adapter versions, the oldest first")
    parser.add_argument("--out", metavar="FILE", type=Path, help="also write the cases as .csv, .xlsx or .parquet")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: no case broke from the first version to the last; 1: at least one did."""
    names = list(dict.fromkeys(args.versions))
    if len(args.versions) < 2:
        raise UsageError("compare: name two versions or more")
    settings = project_settings()
    manifest = read_manifest(settings.manifest_path)
    with Store.existing(settings.database) as store:
        found = {name: _results(store, manifest, name) for name in names}
    sides = {name: results for name, (results, _) in found.items()}
    imported = [name for name, (_, kind) in found.items() if kind == IMPORTED]
    common = _common(list(sides.values()))
    sides = {name: tuple(r for r in side if r.case.id in common) for name, side in sides.items()}
    first, last = sides[names[0]], sides[names[-1]]
    comparison = compare(first, last)
    if args.out is not None:
        write_table(changes_frame(changes(first, last)), args.out)
    if args.json:
        steps = {f"{a} -> {b}": compare(sides[a], sides[b]) for a, b in pairwise(names)}
        data = comparison if len(names) <= 2 else {"comparison": comparison, "steps": steps, "figures": _rates(sides)}
        echo_json({**to_data(data), "imported": imported} if imported else data)
        return 1 if comparison.broken else 0
    color = wants_color(sys.stdout)
    echo(summary([AdapterResults(name, side) for name, side in sides.items()], color=color))
    if (tags := failures_by_tag(sides)) is not None:
        echo(tags)
    for before, after in pairwise(names) if len(names) > 2 else ():
        step = compare(sides[before], sides[after])
        numbers = {"fixed": len(step.total.fixed), "broken": len(step.broken)}
        echo(tr("{before} -> {after}: {fixed} fixed, {broken} broken", before=before, after=after, **numbers))
    echo(comparison_table(changes(first, last), color=color))
    echo(_significance(comparison))
    for name in imported:
        echo(tr("{name}: imported answers; no engine gave them here", name=name))
    for word, ids in (("broken", comparison.broken), ("still failing", comparison.still_failing)):
        for case_id in ids:
            echo(f"{tr(word)}: {case_id}")
    return 1 if comparison.broken else 0


def _results(store: Store, manifest: Manifest, name: str) -> tuple[tuple[CaseResult, ...], str]:
    """The newest results of a version and their kind: imported ones only where no engine ever answered.

    A version of which there are only imported answers need not be in the manifest.
    """
    for kind in SHOWN:
        if results := store.latest_results(name, kind=kind):
            if kind != IMPORTED:
                manifest.adapter(name)
            return results, kind
    manifest.adapter(name)
    raise StoreError(f"no finished run on {name!r}; run: pytest badcases --adapter {name}")


def _common(sides: Sequence[Sequence[CaseResult]]) -> set[str]:
    """Cases that every version ran as the same test: more cases make a version neither better nor worse."""
    tests = [{(r.case.id, case_digest(r.case)) for r in side} for side in sides]
    return {case_id for case_id, _ in set.intersection(*tests)}


def _rates(sides: Mapping[str, Sequence[CaseResult]]) -> dict[str, dict[str, Any]]:
    return {name: {g.group: dict(g.summary()) for g in grouped_figures(side)} for name, side in sides.items()}


def _significance(comparison: Comparison) -> str:
    total = comparison.total
    rise = total.repetition
    return tr(
        "repetition score {change}; {fixed} fixed against {broken} broken: p = {p} (McNemar, one-sided)",
        change=f"{rise.value:+.3f} ({rise.low:+.3f}..{rise.high:+.3f})",
        fixed=len(total.fixed), broken=len(total.broken), p=f"{total.p_fixed:.3g}",
    )  # fmt: skip
