"""``harness adapters list|show|verify|export|add|import|bless|refuse``: versions, their weights and their lineage."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings, table
from harness.engines import open_engine
from harness.errors import AdapterError, UsageError
from harness.fix.blessing import bless, refuse, version_problem
from harness.language import tr
from harness.models.adapters.addition import add_version
from harness.models.adapters.export import export, push
from harness.models.adapters.folder import check
from harness.models.adapters.lineage import read_lineage
from harness.models.adapters.ways import Ways, ways_of
from harness.models.folder import locate_model
from harness.models.target import resolve_target
from harness.project.manifest import Adapter, Manifest, read_manifest
from harness.project.settings import Settings
from harness.runs.proof import prove_parts
from harness.safe.files import write_text
from harness.safe.read import read_text
from harness.store import Store
from trainers.llamafactory_trainer import trainer_python
from trainers.modelfile import write_modelfile

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """The command and its verbs."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "adapters",
        help="versions, their weights and their lineage",
        **examples(
            "harness adapters list", "harness adapters add v4.0 /adapters/v4.0 --method sft", "harness adapters verify"
        ),
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add_json(
        verbs.add_parser(
            "list",
            help="every version: its parent, how it was trained",
            **examples("harness adapters list", "harness adapters list --json"),
        )
    )
    show = verbs.add_parser("show", help="everything about one version", **examples("harness adapters show v4.1"))
    show.add_argument("name")
    add_json(show)
    verify = verbs.add_parser(
        "verify",
        help="check digests, files and lineage; exit code 3 on a mismatch",
        **examples("harness adapters verify", "harness adapters verify v4.1 --engine"),
    )
    verify.add_argument("names", nargs="*", metavar="NAME", help="versions; all by default")
    verify.add_argument(
        "--engine", action="store_true", help="also prove on the engine that every kind of module's update acts"
    )
    add_json(verify)
    out = verbs.add_parser(
        "export",
        help="write a version as plain files, or as one merged model",
        **examples("harness adapters export v4.1", "harness adapters export v4.1 /models/v4.1 --merge"),
    )
    out.add_argument("name")
    out.add_argument(
        "destination", type=Path, metavar="DIR", nargs="?",
        help="new folder; default: exports/NAME or exports/NAME-merged in the project",
    )  # fmt: skip
    out.add_argument("--merge", action="store_true", help="write base and adapters as one complete model")
    out.add_argument("--ollama", action="store_true", help="with --merge: also LLaMA-Factory's Modelfile")
    add_json(out)
    out.add_argument("--push", metavar="REPOSITORY", help="upload the folder to the hub afterwards")
    out.add_argument("--public", action="store_true", help="with --push: make the repository public")
    _registering(
        verbs.add_parser(
            "add",
            help="register an adapter's folder where it is, as its trainer left it",
            **examples(
                "harness adapters add v4.0 /adapters/v4.0 --method sft",
                "harness adapters add v4.1 /adapters/v4.1 --parent v4.0 --on-top --method dpo",
            ),
        )
    ).add_argument("--copy", action="store_true", help="copy its two files into adapters/NAME")
    _registering(
        verbs.add_parser(
            "import", help="the same as add --copy", **examples("harness adapters import v4.0 /adapters/v4.0")
        )
    ).set_defaults(copy=True)
    bless = verbs.add_parser("bless", help="mark a version as blessed", **examples("harness adapters bless v4.1"))
    bless.add_argument("name")
    add_json(bless)
    refused = verbs.add_parser(
        "refuse",
        help="mark a version as refused, with a reason",
        **examples('harness adapters refuse v4.1 --reason "answers are too short"'),
    )
    refused.add_argument("name")
    refused.add_argument("--reason", required=True, metavar="TEXT", help="why; the manifest keeps it")
    add_json(refused)


def _registering(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name")
    parser.add_argument("folder", type=Path, help="with adapter_config.json and adapter_model.safetensors")
    parser.add_argument("--parent", metavar="NAME", help="its parent version; default: none")
    parser.add_argument("--model", metavar="NAME", help="its model without a parent; default: the only one")
    parser.add_argument("--on-top", action="store_true", help="apply the parent's weights below it")
    add_json(parser)
    parser.add_argument("--method", default="", choices=("", "sft", "dpo", "kto"))
    return parser


def run(args: argparse.Namespace) -> int:
    """0: done; 3: a version is not what the manifest says."""
    settings = project_settings()
    manifest = read_manifest(settings.manifest_path)
    verbs = {
        "list": _list, "show": _show, "verify": _verify, "export": _export, "add": _add, "import": _add,
        "bless": _bless, "refuse": _refuse,
    }  # fmt: skip
    return verbs[args.verb](args, settings, manifest)


def _list(args: argparse.Namespace, settings: Settings, manifest: Manifest) -> int:
    if args.json:
        echo_json([_facts(a, settings) for a in manifest.adapters.values()])
        return 0
    rows = [
        [
            a.name,
            a.parent or a.model,
            a.method or "as shipped",
            a.on_top_of,
            a.rank or None,
            a.status or None,
            a.created[:10],
        ]
        for a in manifest.adapters.values()
    ]
    echo(table(("version", "grew from", "method", "needs below", "rank", "status", "created"), rows))
    return 0


def _show(args: argparse.Namespace, settings: Settings, manifest: Manifest) -> int:
    adapter = manifest.adapter(args.name)
    facts = _facts(adapter, settings) | {"chain": [a.name for a in manifest.chain(adapter.name)]}
    if adapter.path is not None:
        checked, origin = check(adapter.path), read_lineage(adapter.path)
        facts |= {"targets": checked.targets, "parameters": checked.parameters, "layers": checked.modules}
        facts |= {
            "trained_on_model": origin.model if origin else None,
            "trained_on_top_of": origin.parents if origin else None,
        }
    if args.json:
        echo_json(facts)
        return 0
    for name, value in facts.items():
        if value not in (None, "", (), [], {}):
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            echo(f"{name.replace('_', ' '):<18} {shown}")
    return 0


def _verify(args: argparse.Namespace, settings: Settings, manifest: Manifest) -> int:
    names = args.names or list(manifest.adapters)
    results = {name: version_problem(manifest.adapter(name), settings, manifest) for name in names}
    ways = {name: _ways(name, settings, manifest) for name, problem in results.items() if problem is None}
    if args.engine:
        results |= {name: _dead_parts(name, settings, manifest) for name in ways}
    if args.json:
        echo_json({n: {"good": p is None, "problem": p, "ways": ways.get(n)} for n, p in results.items()})
    else:
        for name, problem in results.items():
            chain = " + ".join(a.name for a in manifest.chain(name)) or "the model as shipped"
            echo(f"ok    {name}  ({chain})" if problem is None else f"WRONG {name}  {problem}")
            if (way := ways.get(name)) is not None:
                echo(f"      {way.text}")
    return 3 if any(results.values()) else 0


def _dead_parts(name: str, settings: Settings, manifest: Manifest) -> str | None:
    """Which parts of a version have no effect on the engine; None where all of them have one."""
    with Store(settings.database) as store:
        target = resolve_target(name, manifest, settings, store)
        problems = prove_parts(target, settings, open_engine)
    return "; ".join(f"{kind}: {text}" for kind, text in problems.items()) or None


def _ways(name: str, settings: Settings, manifest: Manifest) -> Ways | None:
    """What can be done with a version; None for a model as shipped."""
    chain = [a.path for a in manifest.chain(name) if a.path is not None]
    if not chain:
        return None
    model = locate_model(manifest.model_of(name), settings.root)
    return ways_of(model, chain, own_tokenizer=manifest.tokenizer_of(name) is not None)


def _export(args: argparse.Namespace, settings: Settings, manifest: Manifest) -> int:
    adapter = manifest.adapter(args.name)
    problem = version_problem(adapter, settings, manifest)
    if problem is not None:
        raise AdapterError(problem)
    chain = [a.path for a in manifest.chain(adapter.name) if a.path is not None]
    if not chain and not args.merge:
        raise UsageError(f"{adapter.name} has no weights of its own; --merge writes the model as shipped")
    named = manifest.model_of(adapter.name)
    if args.ollama and not (args.merge and named.template):
        where = f'[models."{named.name}"] template = "..."'
        raise UsageError(f"--ollama needs --merge, and LLaMA-Factory's name of the model's template in {where}")
    python = trainer_python(settings.root) if args.ollama else None
    folder = f"{adapter.name}-merged" if args.merge else adapter.name
    destination = args.destination or settings.root / "exports" / folder
    own = manifest.tokenizer_of(adapter.name)
    tokenizer = own.tokenizer if own is not None else None
    export(locate_model(named, settings.root), chain, destination, merged=args.merge, tokenizer=tokenizer)
    if args.merge and named.chat_template is not None:
        write_text(destination / "chat_template.jinja", read_text(named.chat_template))
    note = write_modelfile(destination, named.template, python) if python is not None else ""
    address = push(destination, args.push, private=not args.public) if args.push else None
    if args.json:
        echo_json({"name": adapter.name, "folder": str(destination), "merged": args.merge, "note": note or None,
                   "modelfile": str(destination / "Modelfile") if python else None, "uploaded": address})  # fmt: skip
        return 0
    form = tr("{name}: merged model in {folder}") if args.merge else tr("{name}: adapter in {folder}")
    echo(form.format(name=adapter.name, folder=destination))
    if python is not None:
        modelfile = destination / "Modelfile"
        echo(f"{modelfile}: ollama create {adapter.name} -f {modelfile}" + (f"\n  {note}" if note else ""))
    if address is not None:
        echo(tr("uploaded: {address}", address=address))
    return 0


def _add(args: argparse.Namespace, settings: Settings, manifest: Manifest) -> int:
    if args.on_top and not args.parent:
        raise UsageError("--on-top needs --parent")
    version, note = add_version(
        args.folder.expanduser().resolve(), settings, manifest, name=args.name, model=_model(args, manifest),
        parent=args.parent, on_top=args.on_top, method=args.method, copy=args.copy,
    )  # fmt: skip
    if args.json:
        echo_json(_facts(version, settings) | {"note": note or None})
        return 0
    echo(tr("{name} is registered (sha256 {digest})", name=args.name, digest=version.sha256))
    hint(tr("  evaluate it: pytest badcases --adapter {name}", name=args.name))
    if note:
        echo(f"  {note}")
    return 0


def _model(args: argparse.Namespace, manifest: Manifest) -> str:
    """Name of the model that an adapter is for."""
    if args.parent:
        model = manifest.adapter(args.parent).model
        if args.model not in (None, model):
            raise UsageError(f"--model {args.model}: {args.parent} is on {model}")
        return model
    names = [args.model] if args.model else list(manifest.models)
    if len(names) != 1 or names[0] not in manifest.models:
        raise UsageError(f"--model: name one of {', '.join(manifest.models)}, or give --parent")
    return names[0]


def _bless(args: argparse.Namespace, settings: Settings, manifest: Manifest) -> int:
    evidence = bless(args.name, settings, manifest)
    if args.json:
        echo_json({"name": args.name, "status": "blessed", "evidence": evidence})
    else:
        echo(tr("{name} is blessed on run {run}", name=args.name, run=evidence))
    return 0


def _refuse(args: argparse.Namespace, settings: Settings, _: Manifest) -> int:
    refuse(args.name, args.reason, settings)
    if args.json:
        echo_json({"name": args.name, "status": "refused", "reason": args.reason})
    else:
        echo(tr("{name} is refused: {reason}", name=args.name, reason=args.reason))
    return 0


def _facts(adapter: Adapter, settings: Settings) -> dict[str, Any]:
    facts: Mapping[str, Any] = adapter.facts
    return {
        "name": adapter.name, "model": adapter.model, "parent": adapter.parent, "on_top_of": adapter.on_top_of,
        "path": str(adapter.path) if adapter.path else None, "sha256": adapter.sha256, "method": adapter.method,
        "rank": adapter.rank, "created": adapter.created, "run": adapter.run, "recipe": adapter.recipe,
        "status": adapter.status, "manifest": str(settings.manifest_path), **facts,
    }  # fmt: skip
