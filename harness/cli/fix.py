"""``harness fix --failed``: train on what failed, run the suite again, and report the result."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cli.display import TerminalDisplay
from harness.cli.interruption import interruptible, resume_command
from harness.cli.launch_options import add_launch_options, launch_of, names_processes, nodes_from_environment
from harness.cli.output import wants_color
from harness.cli.parsers import count, examples
from harness.cli.project import add_json, echo, echo_json, project_settings, table, warn
from harness.fix.checkpoints import Selection
from harness.fix.fix import Fix, FixPlan, FixResult, plan_fix
from harness.fix.names import NameClaimed
from harness.fix.promotion import Effect
from harness.language import tr
from harness.pairs import Pair
from harness.reports.console import comparison_table, summary
from harness.safe.escape import shorten
from harness.store import Store
from harness.trackers.sending import sent_lines
from trainers import Drift
from trainers.recipe import named_recipe

__all__ = ["add_parser", "pairs_text", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness fix --failed [--adapter NAME] [--as NAME] ...``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "fix",
        help="train a new adapter on what failed, run the suite again, compare",
        **examples(
            "harness fix --failed --dry-run",
            "harness fix --failed --gpus 8 --as v4.1",
            "harness fix --failed --nodes 4 --gpus 8 --partition gpu --time 04:00:00",
        ),
    )
    parser.add_argument("--failed", action="store_true", required=True, help="fix the failing cases of the last run")
    parser.add_argument("--adapter", metavar="NAME", help="version to start from; default: the last run's")
    parser.add_argument("--run", metavar="ID", help="run whose failures count; default: the newest finished one")
    parser.add_argument("--as", dest="name", metavar="NAME", help="name of the new version; default: the next free one")
    parser.add_argument("--recipe", metavar="NAME", help="recipe; default: [tool.harness] recipe")
    parser.add_argument(
        "--stage", default="dpo", choices=("dpo", "kto", "sft"),
        help="training stage; kto and sft use the recipes fix-kto and fix-sft",
    )  # fmt: skip
    parser.add_argument("--pairs", metavar="FILE", help="train on these pairs, written by harness pairs and edited")
    parser.add_argument(
        "--rounds",
        type=count,
        default=1,
        metavar="N",
        help="repeat up to N times, until no case fails or nothing improves",
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted fix")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and the pairs; train nothing")
    add_launch_options(parser, ranks=False)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: every trained-on case passes and the version is blessed; 1: otherwise."""
    nodes_from_environment(args)
    settings = project_settings()
    usual = settings.recipe if args.stage == "dpo" else f"fix-{args.stage}"
    recipe = named_recipe(args.recipe or usual, gpus=args.gpus)
    # A call that goes on finds the nodes of the call before it by itself.
    launch = launch_of(args, recipe, settings) if names_processes(args) else None
    display = TerminalDisplay(sys.stderr if args.json else sys.stdout)
    done: list[FixResult] = []
    with Store.existing(settings.database) as store, interruptible():
        adapter, run_id = args.adapter, args.run
        while len(done) < args.rounds:
            first = not done
            resume = args.resume and first
            plan = plan_fix(
                settings, store, recipe, adapter=adapter, run_id=run_id, name=args.name if first else None,
                stage=args.stage, resume=resume,
            )  # fmt: skip
            if plan is None:
                break
            display.echo(_plan_text(plan))
            fix = Fix(plan, settings, store, display, resume=resume, launch=launch)
            edited = Path(args.pairs) if args.pairs and first else None
            try:
                if args.dry_run:
                    return _dry_run(fix, plan, edited, display, json=args.json)
                fix.check()
                with display.live():
                    result = fix.run(edited)
            except NameClaimed:
                # Another fix has taken the name since this one chose it: the next one is as good.
                if (args.name and first) or resume:
                    raise
                continue
            except KeyboardInterrupt:
                _say_how_to_go_on(args, plan, display, first=first)
                raise
            if not args.json:
                _report(result)
            better = first or _failing(result) < _failing(done[-1])
            done.append(result)
            if not result.promotion.blessed or not _failing(result) or not better:
                break
            adapter, run_id = result.adapter.name, result.conclusion.run.id
    if not done:
        nothing = tr("nothing to fix: no case that may be trained on fails")
        if args.json:
            echo_json({"adapter": None, "reasons": [nothing], "rounds": []})
        else:
            echo(nothing)
        return 0
    if args.json:
        echo_json(_facts(done[-1]) | {"rounds": [_facts(r) for r in done]})
    return 0 if done[-1].promotion.blessed and not _failing(done[-1]) else 1


def _dry_run(fix: Fix, plan: FixPlan, edited: Path | None, display: TerminalDisplay, *, json: bool) -> int:
    with display.live():
        pairs = fix.pairs(edited)
    planned = fix.planned(pairs)
    if json:
        echo_json({
            "adapter": plan.name, "parent": plan.parent.name, "run": plan.run.id, "stage": plan.stage,
            "recipe": plan.recipe.name, "cases": [r.case.id for r in plan.failures], "pairs": len(pairs),
            "folder": str(fix.folder), "updates": planned.updates, "memory": planned.placement.facts(),
            "notes": planned.placement.notes,
        })  # fmt: skip
        return 0
    echo(pairs_text(pairs) + tr("{n} pairs in {folder}; nothing was trained", n=len(pairs), folder=fix.folder))
    echo(tr("a fix would make {updates}", updates=planned.updates))
    for note in planned.placement.notes:
        echo(f"  {note}")
    if rows := planned.placement.rows():
        echo(table((tr("memory"), "GiB"), [(tr(name), size) for name, size in rows]))
    return 0


def _say_how_to_go_on(args: argparse.Namespace, plan: FixPlan, display: TerminalDisplay, *, first: bool) -> None:
    """What is there is kept; the command takes it up. A later round starts from what the first one made."""
    later = [("--adapter", plan.parent.name), ("--run", plan.run.id), ("--as", None), ("--pairs", None)]
    command = resume_command(args.words, replace=() if first else later)
    if args.dry_run:
        return
    display.echo(
        tr("{name}: interrupted; finished steps are kept. Continue with: {command}", name=plan.name, command=command)
    )


def _failing(result: FixResult) -> int:
    return len(result.comparison.by_role("fix").still_failing)


def _plan_text(plan: FixPlan) -> str:
    text = tr(
        "{parent} -> {name}: {n} failing cases of run {run} to train on",
        parent=plan.parent.name, name=plan.name, n=len(plan.failures), run=plan.run.id,
    )  # fmt: skip
    if plan.held_back:
        text += tr(", {n} of them held back to choose the checkpoint", n=len(plan.held_back))
    if plan.others:
        text += tr("; {n} failing holdout or guard cases are never trained on", n=len(plan.others))
    return text + tr("; {stage}, recipe {recipe}", stage=plan.stage, recipe=plan.recipe.name)


def pairs_text(pairs: Sequence[Pair]) -> str:
    """The pairs as a table, with excerpts of both sides."""
    rows = [
        [p.case_id, p.origin, shorten(p.chosen.replace("\n", " "), 40), shorten(p.rejected.replace("\n", " "), 40)]
        for p in pairs
    ]
    return table((tr("case"), tr("chosen is"), tr("chosen"), tr("rejected")), rows)


def _selection_text(selection: Selection) -> str:
    if not selection.checkpoints:
        return tr("step {n} of {total}: {note}", n=selection.step, total=selection.steps, note=tr(selection.note))
    rows = [
        [
            tr("step {n}", n=c.step) + (tr(" <- kept") if c.step == selection.step else ""),
            f"{c.fixed}/{selection.failing}", f"{c.broken}/{selection.passing}",
            f"{c.guards_broken}/{selection.guards}", f"{c.cutoff_rate:.0%}",
            f"{c.repetition:.3f}", "-" if c.length_ratio is None else f"{c.length_ratio:.2f}",
            ", ".join(f"{d.kl:.3f}" for d in c.drift) or "-",
        ]
        for c in selection.checkpoints
    ]  # fmt: skip
    fixed = tr("fixed of the held-back cases") if selection.held_back else tr("fixed of the failing cases")
    columns = (
        tr("checkpoint"), fixed, tr("broken"), tr("guards broken"), tr("cut off"), tr("repetition"), tr("length"),
        tr("drift"),
    )  # fmt: skip
    return table(columns, rows)


def _drift_text(drift: Sequence[Drift]) -> str:
    """How far the kept checkpoint has moved on texts that were not trained on."""
    rows = [
        [d.kind, int(d.tokens), f"{d.kl:.3f}", f"{d.before:.3f} -> {d.now:.3f}"] for d in drift
    ]  # fmt: skip
    columns = (tr("texts not trained on"), tr("tokens"), tr("KL, nats a token"), tr("log-probability a token"))
    return table(columns, rows)


def _effects_text(effects: Sequence[Effect]) -> str:
    def two(values: tuple[float, float] | None, form: str) -> str:
        return "-" if values is None else f"{values[0]:{form}} -> {values[1]:{form}}"

    rows = [
        [
            e.role, e.cases, two(e.repeaters, "d"), two(e.cutoffs, "d"), two(e.repetition, ".3f"),
            two(e.similarity, ".3f"), *("-" if r is None else f"{r:.2f}" for r in (e.length_all, e.length_ratio)),
        ]
        for e in effects
    ]  # fmt: skip
    columns = (
        tr("role"), tr("cases"), tr("repeaters"), tr("cut off"), tr("repetition"), tr("similarity"), tr("length"),
        tr("same cases"),
    )  # fmt: skip
    return table(columns, rows)


def _facts(result: FixResult) -> dict[str, Any]:
    return {
        "adapter": result.adapter.name, "parent": result.adapter.parent, "status": result.adapter.status,
        "stage": result.adapter.method, "reasons": result.promotion.reasons, "pairs": len(result.version.pairs),
        "run": result.conclusion.run.id, "drift": result.version.checkpoint.drift,
        "selection": result.version.selection, "effects": result.effects,
        "roles": {r: result.comparison.by_role(r) for r in ("fix", "holdout", "guard")},
        "reports": [str(p) for p in result.conclusion.reports], "trackers": result.sent,
    }  # fmt: skip


def _report(result: FixResult) -> None:
    color = wants_color(sys.stdout)
    report = result.conclusion.report
    echo(summary(report.adapters, report.gate, color=color))
    echo(comparison_table(result.conclusion.changes, color=color))
    echo(_effects_text(result.effects))
    echo(_selection_text(result.version.selection))
    if drift := result.version.checkpoint.drift:
        echo(_drift_text(drift))
    name = result.adapter.name
    if result.promotion.blessed and not result.promotion.lengths_compared:
        echo(tr(
            "{name} is blessed: it fixes cases, breaks no guard and cuts off no more answers; too few are sound to "
            "compare lengths",
            name=name,
        ))  # fmt: skip
    elif result.promotion.blessed:
        echo(tr(
            "{name} is blessed: it fixes cases, breaks no guard, cuts off no more answers and keeps their length",
            name=name,
        ))  # fmt: skip
    else:
        echo(tr("{name} stays a candidate: {reasons}", name=name, reasons="; ".join(result.promotion.reasons)))
    if still := _failing(result):
        echo(tr(
            "{n} of the trained-on cases still fail; another round: harness fix --failed --adapter {name}",
            n=still, name=name,
        ))  # fmt: skip
    page = next((p for p in result.conclusion.reports if p.suffix == ".html"), None)
    echo(tr("run {run}, report: {page}", run=result.conclusion.run.id, page=page))
    for line in sent_lines(result.sent, result.conclusion.run.id):
        warn(line)
