"""``harness merge``: join the parts of a run that several machines made, and judge the whole.

With a common database the parts find each other; ``--group`` judges their run, or says what is missing. Without one,
each job keeps its database, and this command joins the files.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.cli.gate import add_limits, given_limits, judge
from harness.cli.parsers import examples
from harness.cli.project import add_json, project_settings
from harness.errors import StoreError, UsageError
from harness.project.settings import Settings
from harness.runs.join import Source, join_runs, newest_part
from harness.store import Store

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness merge DATABASE-OR-RUN ... | --group NAME``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "merge",
        help="join the parts of a run (pytest badcases --shard I/N) and judge the whole",
        **examples("harness merge shard-1.sqlite shard-2.sqlite", "harness merge --group release-7"),
    )
    parser.add_argument(
        "parts", nargs="*", metavar="DATABASE-OR-RUN",
        help="database file of a part, of which the newest run counts, or a run of this project's database",
    )  # fmt: skip
    parser.add_argument("--group", metavar="NAME", help="the run of this group in this project's database")
    add_limits(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """As ``harness gate``; 2: the parts are not one run's; 3: a part is missing from the group."""
    if bool(args.parts) == bool(args.group):
        raise UsageError("name the parts to join, or --group NAME; see: harness merge --help")
    given = given_limits(args)
    settings = project_settings(given)
    with ExitStack() as stack:
        if args.group:
            store = stack.enter_context(Store.existing(settings.database))
            stored = store.run_of_group(args.group)
            if stored is None:
                raise StoreError(f"no part of a run group {args.group!r} is recorded in {store.address}")
        else:
            store = stack.enter_context(Store(settings.database))
            stored = join_runs(_sources(args.parts, store, settings, stack), store)
        return judge(stored, store, given, json=args.json)


def _sources(names: list[str], store: Store, settings: Settings, stack: ExitStack) -> list[Source]:
    """Where each part is; what exists as a file, or looks like one, is one."""
    sources = []
    for name in names:
        path = Path(name)
        if not (path.exists() or path.suffix or "/" in name):
            sources.append(newest_part(store, name, name))
            continue
        if os.path.realpath(path) == os.path.realpath(settings.database):
            raise UsageError(f"{name} is this project's database; name the runs in it that are parts")
        sources.append(newest_part(stack.enter_context(Store.foreign(path)), name))
    return sources
