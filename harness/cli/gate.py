"""``harness gate``: judge the last recorded run, or a named one; the deciding step of a pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harness.cases.folder import hidden_folders
from harness.cases.suite import describe_suite
from harness.cli.parsers import examples, share
from harness.cli.project import add_json, echo, echo_json, project_settings
from harness.language import tr
from harness.project.manifest import Manifest, read_manifest
from harness.project.settings import Settings
from harness.project.suite import project_cases
from harness.reports.conclusion import conclude_run, named_run, recorded_flags
from harness.runs.parts import missing_parts
from harness.runs.sessions import run_state, unfinished_sessions
from harness.store import IMPORTED, Run, Store
from harness.suite.gate import GateOutcome

__all__ = ["add_limits", "add_parser", "given_limits", "judge", "run"]

_EXIT = {GateOutcome.PASSED: 0, GateOutcome.FAILED: 1, GateOutcome.INSUFFICIENT: 1, GateOutcome.NOT_JUDGEABLE: 3}


def add_parser(subparsers: Any) -> None:
    """``harness gate [RUN] [--max-repetition X] ... [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "gate",
        help="judge the last run, or a named one; for CI",
        **examples("harness gate", "harness gate --max-repetition 5% --baseline v4.0 --max-regressions 0"),
    )
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="run id; default: the last run. Its own limits apply unless given here"
    )
    add_limits(parser)
    add_json(parser)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a call judges by other limits than the run's own."""
    for name in ("--max-repetition", "--max-repeater-rate", "--max-cutoff-rate"):
        parser.add_argument(name, type=share, metavar="X", help="maximum, 0..1 or 5%%")
    parser.add_argument(
        "--max-regressions", type=int, metavar="N", help="maximum number of cases broken since the baseline"
    )
    parser.add_argument("--baseline", metavar="NAME|FILE", help="adapter version or baseline file to compare with")
    parser.add_argument(
        "--allow-partial", action="store_const", const=True, help="judge a run of some cases like one of all"
    )


def given_limits(args: argparse.Namespace) -> dict[str, Any]:
    """The limits of the call; None where there is none."""
    names = ("max_repetition", "max_repeater_rate", "max_cutoff_rate", "max_regressions", "baseline", "allow_partial")
    return {name: getattr(args, name) for name in names}


def _staleness(stored: Run, settings: Settings, manifest: Manifest) -> list[str]:
    """Why the recorded run says nothing about what is in the project now."""
    reasons = list(unfinished_sessions(settings.reports))
    if stored.kind == IMPORTED:
        return [*reasons, "its answers were imported from files; no engine gave them here"]
    if "suite" not in stored.facts:
        return [*reasons, tr("the run does not record what the whole suite was")]
    if describe_suite(project_cases(settings)).digest != stored.facts["suite"]["digest"]:
        reasons.append(tr("the cases, or the settings that decide their verdicts, have changed since"))
    for name, contents in stored.facts.get("contents", {}).items():
        if name not in manifest.adapters or manifest.contents(name) != contents:
            reasons.append(tr("adapter {name} has changed since", name=name))
    return reasons


def _age(started: str) -> str:
    """The time since a run began, in its largest unit."""
    seconds = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds())
    for unit, length in (("{n} days", 86_400), ("{n} hours", 3_600), ("{n} minutes", 60)):
        if seconds >= 2 * length:
            return tr(unit, n=f"{seconds / length:.0f}")
    return tr("{n} seconds", n=f"{seconds:.0f}")


def run(args: argparse.Namespace) -> int:
    """0: passed; 1: failed, or too little data; 3: nothing to judge by."""
    given = given_limits(args)
    # Checks the words even where the run's own limits are used.
    settings = project_settings(given)
    with Store.existing(settings.database) as store:
        return judge(named_run(store, settings, args.run), store, given, json=args.json)


def judge(stored: Run, store: Store, given: Mapping[str, Any], *, json: bool) -> int:
    """Judge a run, write its reports, print the verdict; returns the exit code.

    Args:
        stored: the run.
        store: where it is.
        given: limits of this call, None where there is none; the run's own apply there.
        json: whether to print JSON.
    """
    # What the run was asked to keep to counts, unless this call says otherwise.
    settings = project_settings({**recorded_flags(stored), **{k: v for k, v in given.items() if v is not None}})
    manifest = read_manifest(settings.manifest_path)
    stale = _staleness(stored, settings, manifest)
    if stored.group and (missing := missing_parts(stored, store.parts(stored.id))):
        stale.append(f"of {len(stored.part_sizes)} parts, these are not complete: {', '.join(map(str, missing))}")
    outcome = conclude_run(stored, store, manifest, settings)
    if json:
        echo_json({"run": stored.id, "status": run_state(stored), "stale": stale, "gates": outcome.gates})
    else:
        for name, gate in outcome.gates.items():
            echo(f"{name}: {gate.text}")
            for check in gate.checks:
                echo(f"  {tr(check.outcome.value):<18} {check.text}")
        state = tr(run_state(stored))
        echo(tr("run {run} ({state}), {age} old", run=stored.id, state=state, age=_age(stored.started)))
        for name in hidden_folders(settings.badcases):
            echo("  " + tr("not read, since a dot begins its name: {name}", name=name))
        for reason in stale:
            echo("  " + tr("not judgeable: {reason}; run the suite again", reason=reason))
    if stale:
        return _EXIT[GateOutcome.NOT_JUDGEABLE]
    return max((_EXIT[gate.outcome] for gate in outcome.gates.values()), default=3)
