"""``harness train sft|dpo|kto``: train a new adapter on data files."""

from __future__ import annotations

import argparse
import ast
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cli.display import TerminalDisplay
from harness.cli.interruption import interruptible, resume_command
from harness.cli.launch_options import add_launch_options, launch_of, names_processes, nodes_from_environment
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings, table, warn
from harness.errors import SettingsError
from harness.fix.estimate import estimate
from harness.fix.names import NameClaimed
from harness.fix.series import training_series
from harness.fix.training import (
    TrainPlan,
    collect_training,
    finished_attempt,
    finished_before,
    kept_recipe,
    plan_training,
    prepared_request,
    train,
)
from harness.language import tr
from harness.project.settings import Settings
from harness.runs.progress import duration
from harness.setup.gpus import visible_gpus
from harness.store import Store
from harness.trackers.entry import training_entry
from harness.trackers.sending import send_entry, sent_lines
from trainers.elsewhere import launch_elsewhere
from trainers.job import check_request, prepare, write_job
from trainers.launch import Launch
from trainers.llamafactory_trainer import trainer_python
from trainers.memory import GIB
from trainers.merged_parent import bytes_to_make
from trainers.multinode import node_commands, prepare_command, slurm_script
from trainers.optional_packages import missing_packages
from trainers.recipe import named_recipe, recipe_names

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness train STAGE --data FILE ... --adapter-from NAME --as NAME``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train a new adapter on data files",
        **examples(
            "harness train sft --data answers.jsonl --adapter-from v4.0 --as v5.0",
            "harness train dpo --data pairs.json --gpus 0-7 --dry-run",
        ),
    )
    parser.add_argument("stage", choices=("sft", "dpo", "kto"), help="training stage")
    parser.add_argument(
        "--data", nargs="+", type=Path, default=[], metavar="FILE",
        help="JSON, JSONL, CSV or Parquet (alpaca, sharegpt, or prompt/chosen/rejected), or a dataset_info.json",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", action="append", default=[], metavar="NAME", help="dataset of a dataset_info.json; repeatable"
    )
    parser.add_argument(
        "--adapter", "--adapter-from", dest="adapter_from", metavar="NAME",
        help="version to start from; default: the project's",
    )  # fmt: skip
    parser.add_argument("--as", dest="name", metavar="NAME", help="name of the new version; default: the next free one")
    parser.add_argument("--recipe", metavar="NAME", help=f"{', '.join(recipe_names())}, or a .toml file")
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the recipe; repeatable",
    )  # fmt: skip
    add_launch_options(parser)
    parser.add_argument(
        "--resume", nargs="?", type=Path, const=True, metavar="CHECKPOINT",
        help="continue from the last complete checkpoint of this version, or from the one in that folder",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="print configuration and commands; train nothing")
    parser.add_argument(
        "--collect", type=Path, metavar="FOLDER", help="register the training of several nodes in FOLDER"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: trained, checked and registered (or planned)."""
    nodes_from_environment(args)
    settings = project_settings()
    if args.collect is not None:
        return _collected(args, settings)
    recipe = named_recipe(
        args.recipe or ("sft" if args.stage == "sft" else "fix"), gpus=args.gpus, **_changes(args.changes)
    )
    if not args.data:
        raise SettingsError("--data: name at least one file to train on")

    def planned() -> TrainPlan:
        plan = plan_training(
            settings, args.stage, args.data, recipe, adapter_from=args.adapter_from, name=args.name,
            launch=launch_of(args, recipe, settings), resume=bool(args.resume), datasets=args.dataset,
            resume_from=args.resume.resolve() if isinstance(args.resume, Path) else None,
        )  # fmt: skip
        if args.resume and not names_processes(args):
            # A call that goes on finds the nodes of the call before it by itself.
            plan = replace(plan, launch=launch_elsewhere(plan.output, plan.launch, settings.slurm))
        return plan

    if args.resume and args.name and not args.dry_run and Store.exists(settings.database):
        with Store(settings.database) as store:
            if (made := finished_before(settings, store, args.stage, args.name)) is not None:
                return _registered(made.name, json=args.json)
    plan = planned()
    with Store(settings.database) as store:
        slurm = plan.launch.slurm is not None
        if args.dry_run or (args.nodes > 1 and not slurm):
            several = args.nodes > 1 or slurm
            return _planned(plan, settings, store, json=args.json, several=several, only=args.node_rank)
        display = TerminalDisplay(sys.stderr if args.json else sys.stdout)
        try:
            while True:
                try:
                    with interruptible(), display.live():
                        adapter, result = train(plan, settings, store, display.training)
                    break
                except NameClaimed:
                    # Another training has taken the name since this one chose it: the next one is as good.
                    if args.name or args.resume:
                        raise
                    plan = planned()
        except KeyboardInterrupt:
            command = resume_command(args.words, replace=[("--as", plan.name)])
            display.echo(
                tr("{name}: all processes were stopped. Continue with: {command}", name=plan.name, command=command)
            )
            raise
    numbers = {"training/steps": result.steps, "training/seconds": result.seconds, "training/examples": result.examples}
    about = {"adapter": plan.name, "parent": plan.parent.name, "stage": plan.stage, "recipe": plan.recipe.name}
    entry = training_entry(plan.name, about, numbers, {"training/loss": result.losses, **training_series(result)})
    for line in sent_lines(send_entry(entry, settings)):
        warn(line)
    if args.json:
        echo_json({"adapter": plan.name if adapter else None, "weights": result.adapter, "steps": result.steps,
                  "seconds": result.seconds, "loss": result.loss, "digest": result.digest, "log": result.log,
                  "examples": result.examples, "notes": result.notes})  # fmt: skip
        return 0
    loss = f", loss {result.loss:.4f}" if result.loss is not None else ""
    echo(
        tr(
            "{name}: {steps} steps on {examples} examples in {time}", name=plan.name, steps=result.steps,
            examples=result.examples, time=duration(result.seconds),
        ) + loss
    )  # fmt: skip
    for note in result.notes:
        echo(f"  {note}")
    if adapter is None:
        echo(f'  a whole model; name it in the manifest: [models."{plan.name}"] path = "{result.adapter}"')
    else:
        hint(tr("  evaluate it: pytest badcases --adapter {name}", name=plan.name))
    hint(tr("  log, losses and timing: {folder}", folder=result.folder))
    return 0


def _registered(name: str, *, json: bool) -> int:
    """Say that the training to be resumed had come to its end."""
    if json:
        echo_json({"adapter": name})
    else:
        echo(f"{name} is registered; evaluate it: pytest badcases --adapter {name}")
    return 0


def _collected(args: argparse.Namespace, settings: Settings) -> int:
    """Register a training that was started elsewhere, with the recipe that it was planned with."""
    folder = finished_attempt(args.collect)
    plan = plan_training(
        settings, args.stage, (), kept_recipe(folder), adapter_from=args.adapter_from, name=args.name, launch=Launch()
    )
    with Store(settings.database) as store:
        adapter = collect_training(plan, settings, store, folder)
    if adapter is None:
        echo(f'{plan.name}: a whole model; name it in the manifest: [models."{plan.name}"] path = "{folder / "model"}"')
    else:
        return _registered(plan.name, json=args.json)
    return 0


def _planned(
    plan: TrainPlan, settings: Settings, store: Store, *, json: bool, several: bool, only: int | None = None
) -> int:
    """Check the data, write the job, and print what would be (or, on several nodes, is to be) started."""
    python = trainer_python(settings.root)
    request, source = prepared_request(plan, settings, store)
    check_request(request)
    prepared = prepare(request)
    request, folder, data = prepared.request, prepared.folder, prepared.data
    recipe, launch = request.recipe, request.launch
    merged = bytes_to_make(request)
    write_job(request, data, folder, owned=False)
    # Where Slurm starts the nodes, nobody knows their addresses yet.
    commands = node_commands(request, python, folder) if launch.slurm is None else ()
    script = slurm_script(request, python, folder) if several else ""
    kept = (
        [f"the parents were merged into a model of {merged / GIB:.1f} GiB in {plan.output.parent / 'merged'}; "
         "collecting the training removes it"] if merged else []
    )  # fmt: skip
    notes = (*source.notes(), *prepared.notes, *kept, *missing_packages(recipe, python))
    if json:
        echo_json(
            {
                "folder": folder,
                "examples": data.rows,
                "tokens": data.tokens,
                "updates": recipe.updates_text(data.rows, launch.world_size),
                "memory": prepared.placement.facts(),
                "commands": commands,
                "slurm": script,
                "prepare": prepare_command(request, python, folder),
                "notes": notes,
            }
        )
        return 0
    parent = f"{plan.parent.name} ({'base' if not plan.chain else ' + '.join(a.name for a in plan.chain)})"
    echo(f"{plan.stage} of {plan.name} from {parent}: {data.rows} examples, {data.tokens:,} tokens an epoch")
    echo(f"  {recipe.updates_text(data.rows, launch.world_size)}")
    echo(f"  {estimate(recipe, data.rows, prepared.placement, plan.model_path, store)}")
    for note in notes:
        echo(f"  {note}")
    if rows := prepared.placement.rows():
        echo(table((tr("memory"), "GiB"), [(tr(name), size) for name, size in rows]))
    if launch.devices and not visible_gpus():
        echo("  this machine has no GPU; the commands are for one that has")
    echo(f"\n# {folder / 'train.json'}\n{(folder / 'train.json').read_text(encoding='utf-8')}")
    if commands and several:
        echo(f"# once, on any node\n{prepare_command(request, python, folder)}\n")
    for rank, command in enumerate(commands):
        if only is not None and rank != only:
            continue
        echo((f"# node {rank}\n" if several else "# command\n") + command + "\n")
    if several:
        echo(f"# or all of it with Slurm (sbatch)\n{script}")
        echo(f"# every node must see {folder} under this same path")
    echo(f"# afterwards\nharness train {plan.stage} --adapter {plan.parent.name} --as {plan.name} --collect {folder}")
    return 0


def _changes(words: list[str]) -> dict[str, Any]:
    """``FIELD=VALUE`` with Python's literals, else text."""
    changes: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise SettingsError(f"--set {word!r}: write FIELD=VALUE, for example --set epochs=2")
        try:
            changes[name] = ast.literal_eval({"true": "True", "false": "False"}.get(value, value))
        except (ValueError, SyntaxError):
            changes[name] = value
    return changes
