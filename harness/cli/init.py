"""``harness init``: write the files of a new project, for the embedded model or for a model of one's own.

Nothing that exists is overwritten. With ``--model`` everything is checked before the first file is written, so that a
mistyped path leaves an empty folder empty.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cli import init_files
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint
from harness.errors import ManifestError, UsageError
from harness.language import set_language, tr
from harness.models.adapters.addition import add_version
from harness.models.adapters.folder import AdapterFacts, check
from harness.models.adapters.lineage import check_lineage
from harness.models.description import ModelDescription, describe_model
from harness.project.manifest import MANIFEST_NAME, as_name, check_name, read_manifest
from harness.project.settings import read_settings
from harness.safe.escape import for_terminal
from harness.safe.files import write_text

__all__ = ["add_parser", "run"]

_BASE = "base"
"""Name of the version that is the model as shipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the project is for, checked."""

    model: str
    path: str
    base: str
    """Version without weights of its own."""
    about: ModelDescription | None = None
    """None: the embedded model."""
    adapters: tuple[tuple[str, Path, AdapterFacts], ...] = ()

    @property
    def version(self) -> str:
        """The version to evaluate: the last adapter."""
        return self.adapters[-1][0] if self.adapters else self.base


def add_parser(subparsers: Any) -> None:
    """``harness init [FOLDER] [--model PATH [--adapter PATH ...] [--name NAME]]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "init",
        help="write the files of a new project",
        **examples("harness init", "harness init --model /models/Qwen2-72B-Instruct --adapter /adapters/v4.0"),
    )
    parser.add_argument("folder", nargs="?", default=".", help="default: the current folder")
    parser.add_argument("--model", metavar="PATH", help="folder of your own model; default: the embedded one")
    parser.add_argument(
        "--adapter", action="append", default=[], type=Path, metavar="PATH",
        help="folder of an adapter on that model; repeatable, the version to test last",
    )  # fmt: skip
    parser.add_argument("--name", metavar="NAME", help="name of the model in the manifest; default: its folder's")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Write the missing files and list them."""
    root = Path(args.folder)
    set_language(read_settings(root).language)
    plan = _plan(args, root)
    files = {
        MANIFEST_NAME: init_files.manifest_text(plan.model, plan.path, plan.base, plan.about),
        "pyproject.toml": init_files.project_text(plan.version, plan.about),
        "README.md": init_files.readme(plan.model, plan.version, [plan.base, *(name for name, _, _ in plan.adapters)]),
        "badcases/test_badcases.py": init_files.TEST_FILE,
        "badcases/badcase1/test.json": init_files.BAD_CASE,
        "badcases/badcase1/case.toml": init_files.CASE_SETTINGS,
        "reports/.gitignore": "*\n",
    }
    kept = [name for name in files if (root / name).exists()]
    # The manifest comes last: it makes the folder a project, and a call that could not write the rest can be repeated.
    for name in sorted(files, key=lambda name: name == MANIFEST_NAME):
        if name not in kept:
            write_text(root / name, files[name])
    notes = [*_notes(plan), *_register(plan, root)]
    if "pyproject.toml" in kept and "[tool.harness" not in (root / "pyproject.toml").read_text(encoding="utf-8"):
        notes.append(tr("add to {path}:\n{text}", path=root / "pyproject.toml", text=files["pyproject.toml"]))
    commands = init_files.next_commands(plan.version)
    if args.json:
        written = [name for name in files if name not in kept]
        echo_json({
            "folder": str(root), "written": written, "kept": kept, "model": plan.about, "notes": notes,
            "adapters": [name for name, _, _ in plan.adapters], "next": commands,
        })  # fmt: skip
        return 0
    for name in files:
        form = tr("kept     {path}") if name in kept else tr("written  {path}")
        echo(form.format(path=root / name))
    for note in notes:
        echo(for_terminal(note))
    hint(tr("next: {commands}", commands="; ".join(commands)))
    return 0


def _plan(args: argparse.Namespace, root: Path) -> _Plan:
    """Check the words and the folders that they name.

    Raises:
        UsageError: options that do not go together, or names that cannot be used.
        ManifestError: no model there, or a manifest that is in the way.
        AdapterError: a damaged adapter, or one of another model.
    """
    if args.model is None:
        if args.adapter or args.name:
            raise UsageError("--adapter and --name need --model")
        return _Plan(model=init_files.EMBEDDED, path=f"embedded:{init_files.EMBEDDED}", base="v4.0")
    if (root / MANIFEST_NAME).exists():
        raise ManifestError(
            f"{root / MANIFEST_NAME} exists; add the model there by hand, and adapters with: harness adapters add"
        )
    about = describe_model(Path(args.model).expanduser().resolve())
    name = check_name("model", args.name if args.name is not None else as_name(about.folder.name))
    folders = [folder.expanduser().resolve() for folder in args.adapter]
    names = [as_name(folder.name) for folder in folders]
    if taken := {n for n in names if names.count(n) > 1 or n == _BASE}:
        raise UsageError(
            f"two versions would be called {sorted(taken)[0]!r}; leave one out and add it afterwards: "
            "harness adapters add NAME FOLDER"
        )
    facts = [_checked(folder, about.folder) for folder in folders]
    inside = about.folder.is_relative_to(root.resolve())
    path = about.folder.relative_to(root.resolve()) if inside else about.folder
    return _Plan(
        model=name, path=str(path), base=_BASE, about=about,
        adapters=tuple(zip(names, folders, facts, strict=True)),
    )  # fmt: skip


def _checked(folder: Path, model: Path) -> AdapterFacts:
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}; name the folder of an adapter (with adapter_config.json)")
    facts = check(folder)
    check_lineage(model, [folder])
    return facts


def _notes(plan: _Plan) -> list[str]:
    """What the model's folder says, and what is missing in it."""
    about = plan.about
    if about is None:
        return []
    facts = [about.architecture or tr("unknown architecture"), about.dtype, about.quantization]
    if about.max_length:
        facts.append(tr("up to {n} tokens", n=about.max_length))
    facts.append(tr("{size} of weights", size=_size(about.weights)))
    notes = [tr("model {name}: {facts}", name=plan.model, facts=", ".join(f for f in facts if f))]
    if about.chat_template:
        notes.append(tr("  its chat template is in {file}", file=about.chat_template))
    else:
        notes.append(
            tr("  it has no chat template; name a file with one as chat_template in {file}", file=MANIFEST_NAME)
        )
    if not about.weights:
        notes.append(tr("  its folder holds no safetensors files"))
    return notes


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 10**8 else f"{number / 1e6:.1f} MB"


def _register(plan: _Plan, root: Path) -> Sequence[str]:
    """Add the adapters to the manifest; a line for each."""
    notes = []
    for name, folder, facts in plan.adapters:
        settings = read_settings(root.resolve())
        _, note = add_version(
            folder, settings, read_manifest(settings.manifest_path), name=name, model=plan.model, parent=plan.base
        )
        notes.append(
            tr("adapter {name}: rank {rank}, adapted modules: {n}", name=name, rank=facts.rank, n=facts.modules)
        )
        if facts.base and plan.about is not None and Path(facts.base).name.lower() != plan.about.folder.name.lower():
            notes.append(tr("  its configuration says that it was trained on {base}", base=facts.base))
        if note:
            notes.append(f"  {note}")
    return notes
