"""``harness baseline write|check``: the results of a version as a small file, for CI to compare with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings
from harness.errors import UsageError
from harness.language import tr
from harness.project.manifest import Manifest, read_manifest
from harness.project.suite import project_cases
from harness.runs.whole import newest_whole_run
from harness.safe.escape import for_terminal
from harness.store import Store
from harness.suite.baseline import BaselineFile, StaleCases, read_baseline, write_baseline

__all__ = ["add_parser", "run"]


_SHOWN = 5
"""Ids in a line; all of them are in ``--json``."""


def add_parser(subparsers: Any) -> None:
    """``harness baseline write NAME [--out FILE]``, ``harness baseline check [FILE ...]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "baseline",
        help="write a version's results as a file to compare with in CI, or check such files",
        **examples("harness baseline write v4.0", "harness baseline check"),
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
    check = verbs.add_parser(
        "check",
        help="whether files are still about the suite and the versions as they are",
        **examples("harness baseline check", "harness baseline check baselines/v4.0.json --json"),
    )
    check.add_argument("files", nargs="*", metavar="FILE", help="default: all in the project's folder baselines")
    add_json(check)


def run(args: argparse.Namespace) -> int:
    """0: written, or up to date; 1: a file is not about what is there now."""
    return _check(args) if args.verb == "check" else _write(args)


def _write(args: argparse.Namespace) -> int:
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


def _check(args: argparse.Namespace) -> int:
    """Compare files with the case files and the manifest; no database and no engine is needed."""
    settings = project_settings()
    manifest = read_manifest(settings.manifest_path)
    names = args.files or sorted(map(str, (settings.root / "baselines").glob("*.json")))
    if not names:
        raise UsageError("there is no baseline file; write one with: harness baseline write NAME")
    cases = project_cases(settings)
    found = []
    for name in names:
        file = read_baseline(name, settings.root)
        found.append((name, file, file.stale(cases), _other_version(file, manifest)))
    if args.json:
        echo_json({
            "files": [
                {"path": name, "adapter": file.adapter, "cases": len(file.cases), "changed": stale.changed,
                 "missing": stale.missing, "gone": stale.gone, "version": other or "as recorded",
                 "up_to_date": not stale and not other}
                for name, file, stale, other in found
            ]
        })  # fmt: skip
    else:
        for name, file, stale, other in found:
            _show(name, file, stale, other)
    return int(any(stale or other for _, _, stale, other in found))


def _other_version(file: BaselineFile, manifest: Manifest) -> str:
    """Why the file is not about the version that the manifest has; empty where it is, or where nothing says so."""
    recorded = file.facts.get("contents")
    if file.imported or not isinstance(recorded, list):
        return ""
    if file.adapter not in manifest.adapters:
        return "not in the manifest"
    return "" if manifest.contents(file.adapter) == recorded else "has other weights, template or tokenizer now"


def _show(path: str, file: BaselineFile, stale: StaleCases, other: str) -> None:
    version = for_terminal(file.adapter)
    if not stale and not other:
        echo(tr("{path}: up to date, {n} cases of {version}", path=path, n=len(file.cases), version=version))
        return
    echo(tr("{path}: out of date; write it again: harness baseline write {version}", path=path, version=version))
    if other:
        echo(f"  {version}: {tr(other)}")
    for words, ids in (
        ("changed since", stale.changed), ("without a baseline", stale.missing), ("not in the suite", stale.gone)
    ):  # fmt: skip
        if ids:
            more = tr(" and {n} more", n=len(ids) - _SHOWN) if len(ids) > _SHOWN else ""
            echo(f"  {tr(words)}: {', '.join(map(for_terminal, ids[:_SHOWN]))}{more}")
