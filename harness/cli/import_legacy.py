"""``harness import-legacy FOLDER``: a project of a folder of scripts and old results, with a report of the latter."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli import init_files
from harness.cli.import_ import JudgingProgress
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint
from harness.errors import CaseFileError
from harness.language import set_language, tr
from harness.project.manifest import MANIFEST_NAME, read_manifest
from harness.project.settings import Settings, read_settings
from harness.safe.escape import for_terminal

if TYPE_CHECKING:
    from harness.migrate.importing import ImportResult
    from harness.migrate.plan import MigrationPlan

__all__ = ["add_parser", "run"]

_BASE = "base"
"""Name of the version that is the model as shipped."""


def add_parser(subparsers: Any) -> None:
    """``harness import-legacy FOLDER [--into DIR] [--dry-run]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "import-legacy",
        help="make a project of a folder of scripts and old results, with a report of them",
        description="FOLDER is one case folder or a folder of many: test.json, preference pairs, scripts that train "
        "with LLaMA-Factory, scripts that generate with vLLM or transformers, workbooks of results. Scripts are read "
        "and never run. FOLDER is not changed, and nothing that exists is overwritten.",
        **examples("harness import-legacy old/", "harness import-legacy old/ --into project --dry-run"),
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with test.json, scripts and results; nested too")
    parser.add_argument("--into", type=Path, default=Path(), metavar="DIR", help="project; default: the current folder")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Read, plan, write what is missing, import the results, and say what comes next; 0 whatever the verdicts are.

    Raises:
        UsageError: there is nothing to read, or the project would lie in the folder.
    """
    from harness.migrate.legacy import read_legacy
    from harness.migrate.plan import plan_migration
    from harness.migrate.project import check_place, register_versions, write_files

    root: Path = args.into
    set_language(read_settings(root).language)
    check_place(args.folder, root)
    plan = plan_migration(read_legacy(args.folder))
    written = write_files(root, _files(plan), dry_run=args.dry_run)
    notes = [*plan.notes]
    added: list[str] = []
    versions = [v.name for v in plan.versions if v.here]
    done: ImportResult | None = None
    if not args.dry_run:
        missing = [m.name for m in plan.models if m.name not in read_manifest(root / MANIFEST_NAME).models]
        notes += [f"model {name} is not in {MANIFEST_NAME}, which was there; add it by hand" for name in missing]
        added, unregistered = register_versions(root, plan, _BASE)
        notes += unregistered
        known = read_manifest(root / MANIFEST_NAME).adapters
        versions = [v.name for v in plan.versions if v.name in known]
    # Which version is evaluated is known only when the versions are there.
    written += write_files(root, _pages(plan, versions), dry_run=args.dry_run)
    if not args.dry_run:
        done, about_rows = _import(root, plan, args.words)
        notes += about_rows
    commands = _next(plan, root, versions, done)
    if args.json:
        echo_json({
            "folder": args.folder, "project": root, "written": written.written, "same": written.same,
            "kept": written.kept, "left": written.left, "models": plan.models,
            "versions": plan.versions, "registered": added,
            "recipes": {name: {"taken": d.taken, "elsewhere": d.elsewhere, "left": d.left}
                        for name, d in plan.recipes.items()},
            "runs": [r.id for r in done.runs] if done else [],
            "already_imported": [r.id for r in done.known] if done else [],
            "headline": done.headline if done else None, "reports": done.reports if done else [],
            "notes": notes, "next": commands,
        })  # fmt: skip
        return 0
    for names, form in (
        (written.written, tr("would write {path}") if args.dry_run else tr("written  {path}")),
        (written.same, tr("is there {path}")),
        (written.kept, tr("kept     {path} (another content is there)")),
        (written.left, tr("left out {path} (its folder has other cases)")),
    ):
        for name in names:
            echo(for_terminal(form.format(path=root / name), keep_newlines=False))
    for text in [*_about(plan, added), *_could_not(notes)]:
        echo(for_terminal(text, keep_newlines=False))
    if args.dry_run:
        answers = sum(len(file.answers) for file in plan.answers)
        echo(tr("nothing was written (--dry-run); answers to judge: {n}", n=answers))
        return 0
    if done is not None:
        echo("")
        for text in done.lines():
            echo(for_terminal(text, keep_newlines=False))
    numbered = [for_terminal(f"  {n}. {command}", keep_newlines=False) for n, command in enumerate(commands, 1)]
    hint("\n".join(["", tr("next:"), *numbered]))
    return 0


# -- files of the project ----------------------------------------------------------------------------------------------


def _files(plan: MigrationPlan) -> Mapping[str, bytes]:
    """The manifest with its models, the test file, and the plan's own files."""
    texts = {
        MANIFEST_NAME: _manifest(plan),
        "badcases/test_badcases.py": init_files.TEST_FILE,
        "reports/.gitignore": "*\n",
    }
    return {**{name: text.encode() for name, text in texts.items()}, **plan.files}


def _pages(plan: MigrationPlan, versions: Sequence[str]) -> Mapping[str, bytes]:
    """Settings and README for the versions that are in the manifest, the newest last."""
    model = plan.models[0].name if plan.models else init_files.EMBEDDED
    every = [_BASE, *versions]
    texts = {
        "pyproject.toml": init_files.project_text(every[-1], None, _settings(plan)),
        "README.md": init_files.readme(model, every[-1], every, example=False),
    }
    return {name: text.encode() for name, text in texts.items()}


def _manifest(plan: MigrationPlan) -> str:
    """Models and the version that is the model as shipped; commands for versions whose weights are not here."""
    if not plan.models:
        return init_files.manifest_text(init_files.EMBEDDED, f"embedded:{init_files.EMBEDDED}", _BASE, None)
    lines = [init_files.MANIFEST_HEAD.rstrip("\n")]
    for number, model in enumerate(plan.models):
        lines += ["", f"[models.{init_files.quoted(model.name)}]", f"path = {init_files.quoted(model.path)}"]
        if model.template:
            lines.append(f"template = {init_files.quoted(model.template)}")
        shipped = _BASE if number == 0 else f"{_BASE}-{model.name}"[:64]
        lines += [
            "", f"[adapters.{init_files.quoted(shipped)}]",
            f"model = {init_files.quoted(model.name)} # no weights of its own: the model as shipped",
        ]  # fmt: skip
    absent = [v for v in plan.versions if not v.here]
    if absent:
        lines += [
            "",
            "# Not on this machine when the scripts were read; add them where their weights are:",
        ]
        lines += [f"#   {_in_comment(v.command)}" for v in absent]
    return "\n".join(lines) + "\n"


def _settings(plan: MigrationPlan) -> list[str]:
    """Lines of [tool.harness]: the scripts' recipe as a comment, and the engine's options of their machine."""
    lines = []
    if plan.recipes:
        name = list(plan.recipes)[-1]
        lines.append(
            f"# recipe = {init_files.quoted(f'trainers/{name}.toml')}  # as the script trained {_in_comment(name)}"
        )
    if plan.engine_options:
        # On a machine without the model there are not its GPUs either.
        off = "" if plan.models and plan.models[0].here else "# "
        lines += ["", f"{off}[tool.harness.engine_options]  # as the scripts start vLLM"]
        lines += [f"{off}{name} = {init_files.value(value)}" for name, value in plan.engine_options.items()]
    return lines


def _in_comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


# -- results -----------------------------------------------------------------------------------------------------------


def _import(root: Path, plan: MigrationPlan, words: Sequence[str]) -> tuple[ImportResult | None, list[str]]:
    """Judge the old answers, where there are any; with what is to be said about their rows."""
    from harness.migrate.importing import import_answers
    from harness.migrate.recorded import match
    from harness.project.suite import project_cases
    from harness.store import Store

    if not plan.answers:
        return None, [tr("no result files were found, so there is no report yet")]
    settings: Settings = read_settings(root.resolve())
    try:
        cases = project_cases(settings)
    except CaseFileError as error:
        return None, [tr("the old answers were not judged: {error}", error=error)]
    matched = match(plan.answers, cases, plan.version_of, plan.folders)
    notes = list(matched.notes)
    if matched.unmatched:
        places = [a.place for a in matched.unmatched]
        shown = ", ".join(places[:5]) + (", ..." if len(places) > 5 else "")
        notes.append(tr("{n} rows answer no case: {rows}", n=len(places), rows=shown))
    if not matched.rounds:
        return None, notes
    order = [_BASE, *(v.name for v in plan.versions)]
    with Store(settings.database) as store:
        done = import_answers(
            store, settings, read_manifest(settings.manifest_path), matched,
            order=order, command=["harness", *words], progress=JudgingProgress(),
        )  # fmt: skip
    return done, notes


# -- what is said ------------------------------------------------------------------------------------------------------


def _about(plan: MigrationPlan, added: Sequence[str]) -> list[str]:
    lines = [tr("case folders: {names}", names=", ".join(plan.case_folders) or "-")]
    lines += [tr("version {name}: added to the manifest", name=name) for name in added]
    for name, draft in plan.recipes.items():
        lines.append(
            tr(
                "recipe trainers/{name}.toml: {taken} arguments of the script taken, {elsewhere} kept elsewhere, "
                "{left} not taken",
                name=name, taken=len(draft.taken), elsewhere=len(draft.elsewhere), left=len(draft.left),
            )
        )  # fmt: skip
        reasons: dict[str, list[str]] = {}
        for argument, reason in draft.elsewhere.items():
            reasons.setdefault(reason, []).append(argument)
        lines += [f"  {', '.join(arguments)}: {reason}" for reason, arguments in reasons.items()]
    return lines


def _could_not(notes: Sequence[str]) -> list[str]:
    return [tr("could not be taken as it is:"), *(f"  - {note}" for note in notes)] if notes else []


def _next(plan: MigrationPlan, root: Path, versions: Sequence[str], done: ImportResult | None) -> list[str]:
    """The next three commands: look at what there is or add what is missing, evaluate, fix."""
    inside = "" if root.resolve() == Path.cwd() else f"cd {shlex.quote(os.path.relpath(root))} && "
    newest = plan.newest
    first = "harness view" if done is not None else "harness doctor"
    name = _BASE
    if newest is not None:
        name = newest.name
        if name not in versions:
            lineage = (newest.parent, newest.name)
            absent = [v for v in plan.versions if v.name not in versions and v.name in lineage]
            first = " && ".join(v.command for v in absent)
    recipe = f" --recipe trainers/{list(plan.recipes)[-1]}.toml" if plan.recipes else ""
    method = next((v.method for v in plan.versions if plan.recipes and v.name == list(plan.recipes)[-1]), "")
    recipe += f" --stage {method}" if method in ("sft", "kto") else ""
    return [f"{inside}{first}", f"pytest badcases --adapter {name}", f"harness fix --failed{recipe}"]
