"""``harness baseline write NAME``: the results of a version as a small file, for CI to compare with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings
from harness.language import tr
from harness.project.manifest import read_manifest
from harness.runs.whole import newest_whole_run
from harness.store import Store
from harness.suite.baseline import write_baseline

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness baseline write NAME [--out FILE]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "baseline",
        help="write a version's results as a file to compare with in CI",
        **examples("harness baseline write v4.0"),
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    write = verbs.add_parser(
        "write",
        help="write the newest run of the whole suite on a version",
        **examples("harness baseline write v4.0", "harness baseline write v4.0 --out baselines/release.json"),
    )
    write.add_argument("name", metavar="NAME", help="adapter version")
    write.add_argument("--out", type=Path, metavar="FILE", help="default: baselines/NAME.json in the project")
    add_json(write)


def run(args: argparse.Namespace) -> int:
    """Write the file; it belongs under version control."""
    settings = project_settings()
    manifest = read_manifest(settings.manifest_path)
    manifest.adapter(args.name)
    with Store.existing(settings.database) as store:
        stored = newest_whole_run(store, manifest, args.name)
        results = [r for r in store.results(stored.id) if r.adapter == args.name]
    facts = {"run": stored.id, "engine": stored.facts.get("engine"), "contents": manifest.contents(args.name)}
    path = write_baseline(args.out or settings.root / "baselines" / f"{args.name}.json", args.name, results, facts)
    if args.json:
        echo_json({"path": str(path), "adapter": args.name, "run": stored.id, "cases": len(results)})
        return 0
    echo(tr("{path}: {n} cases of run {run}", path=path, n=len(results), run=stored.id))
    hint(tr("compare with: pytest badcases --baseline {path}", path=path.name))
    return 0
