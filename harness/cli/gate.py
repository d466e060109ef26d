"""``harness gate``: judge the last recorded run, or a named one; the deciding step of a pipeline."""

from __future__ import annotations

import argparse
from typing import Any

from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.project.manifest import read_manifest
from harness.project.settings import LIMIT_NAMES
from harness.reports.conclusion import conclude_run
from harness.store import Store
from harness.suite.gate import GateOutcome

__all__ = ["add_parser", "run"]

_EXIT = {GateOutcome.PASSED: 0, GateOutcome.FAILED: 1, GateOutcome.INSUFFICIENT: 1, GateOutcome.NOT_JUDGEABLE: 3}


def add_parser(subparsers: Any) -> None:
    """``harness gate [RUN] [--max-repetition X] ... [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser("gate", help="judge the last run, or a named one; for CI")
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="run id; default: the last run. Its own limits apply unless given here"
    )
    for name in ("--max-repetition", "--max-repeater-rate", "--max-cutoff-rate"):
        parser.add_argument(name, type=float, metavar="X", help="maximum, 0..1")
    parser.add_argument(
        "--max-regressions", type=int, metavar="N", help="maximum number of cases broken since the baseline"
    )
    parser.add_argument("--baseline", metavar="NAME", help="adapter version to compare with")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: passed; 1: failed, or too little data; 3: nothing to judge by."""
    names = ("max_repetition", "max_repeater_rate", "max_cutoff_rate", "max_regressions", "baseline")
    given = {name: getattr(args, name) for name in names}
    # Checks the words even where the run's own limits are used.
    settings = project_settings(given)
    with Store.existing(settings.database) as store:
        stored = store.run(args.run or "last")
        # What the run was asked to keep to counts, unless this call says otherwise.
        # Runs of older versions recorded some limits under other names; these fall back to the settings.
        limits = stored.facts.get("limits", {})
        recorded = {name: limits[name] for name in LIMIT_NAMES if limits.get(name) is not None}
        recorded |= {"baseline": stored.facts["baseline"]} if stored.facts.get("baseline") else {}
        settings = project_settings({**recorded, **{k: v for k, v in given.items() if v is not None}})
        outcome = conclude_run(stored, store, read_manifest(settings.manifest_path), settings)
    if args.json:
        echo_json({"run": stored.id, "status": stored.status, "gates": outcome.gates})
    else:
        for name, gate in outcome.gates.items():
            echo(f"{name}: {gate.text}")
            for check in gate.checks:
                echo(f"  {check.outcome.value:<18} {check.text}")
        echo(f"run {stored.id} ({stored.status})")
    return max((_EXIT[gate.outcome] for gate in outcome.gates.values()), default=3)
