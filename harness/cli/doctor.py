"""``harness doctor``: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json
from harness.engines import available, engine_info
from harness.engines.base import EngineInfo
from harness.errors import HarnessError
from harness.language import set_language, tr
from harness.models.adapters.folder import FILES
from harness.models.embedded import EMBEDDED, cache_folder
from harness.project.manifest import Adapter, Manifest, read_manifest
from harness.project.settings import Settings, find_root, read_settings
from harness.project.suite import project_cases
from harness.setup.environments import ENVIRONMENTS, Environment, has_gpu, state
from harness.store import Store

__all__ = ["Finding", "add_parser", "examine", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was checked."""

    what: str
    good: bool
    text: str
    remedy: str = ""
    """The remedy: a command, or what to change; empty when nothing is wrong."""
    needed: bool = True
    """Whether its absence makes the doctor fail."""


def add_parser(subparsers: Any) -> None:
    """``harness doctor [--json]``."""
    parser = subparsers.add_parser(
        "doctor",
        help="what is installed, what is missing, and how to install it",
        **examples("harness doctor", "harness doctor --json"),
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Check everything; 0 if nothing required is missing, otherwise 3."""
    root = find_root(Path.cwd())
    settings, _ = _settings(root)
    set_language(settings.language if settings is not None else "")
    findings = tuple(examine(root))
    if args.json:
        echo_json({"findings": findings, "good": all(f.good or not f.needed for f in findings)})
    else:
        for finding in findings:
            mark = "ok  " if finding.good else "MISS" if finding.needed else "--  "
            echo(
                f"{mark}  {tr(finding.what):<22} {finding.text}" + (f"  ->  {finding.remedy}" if finding.remedy else "")
            )
    return 0 if all(f.good or not f.needed for f in findings) else 3


def examine(root: Path) -> Iterator[Finding]:
    """Check machine, environments, model, project and cases; never raises for what is missing."""
    yield Finding(
        what="python",
        good=True,
        text=tr(
            "{version} on {machine}, {n} cores",
            version=platform.python_version(),
            machine=platform.machine(),
            n=os.cpu_count(),
        ),
    )
    yield Finding(
        what="GPU", good=has_gpu(), text="NVIDIA" if has_gpu() else tr("none; the CPU builds are used"), needed=False
    )
    free = shutil.disk_usage(root).free / 2**30
    yield Finding(
        what="disk",
        good=free > 5,
        text=tr("{n} GiB free", n=f"{free:.0f}"),
        remedy="" if free > 5 else tr("free some space"),
    )
    settings, problem = _settings(root)
    yield from _engines(settings.engine if settings else "vllm", settings.engine_options if settings else {})
    trains = settings is not None and any(settings.reports.glob("trainings/*"))
    for environment in ENVIRONMENTS:
        if not environment.editable:
            yield _environment(environment, root, needed=trains)
    for name in EMBEDDED:
        there = any((cache_folder() / "models").glob(f"{name}-*/conversion.json"))
        how = tr("converted") if there else tr("not yet converted")
        text = tr("embedded model {name}: {state}", name=name, state=how)
        yield Finding(
            what="model", good=there, text=text, remedy="" if there else "harness setup --model", needed=False
        )
    if settings is None:
        yield Finding(what="settings", good=False, text=problem, remedy=tr("fix the file"))
    else:
        yield from _project(settings)


def _settings(root: Path) -> tuple[Settings | None, str]:
    try:
        return read_settings(root), ""
    except HarnessError as error:
        return None, str(error)


def _environment(environment: Environment, root: Path, *, needed: bool) -> Finding:
    """The trainer's environment; a team that only evaluates needs none."""
    own = os.environ.get("HARNESS_TRAINER_PYTHON")
    if own:
        there = Path(own).is_file()
        return Finding(
            what=environment.folder, good=there, text=f"HARNESS_TRAINER_PYTHON = {own}",
            remedy="" if there else tr("name the Python of an environment with LLaMA-Factory"),
        )  # fmt: skip
    status = state(environment, root)
    text = f"{tr(status)}: {tr(environment.purpose)}" + ("" if needed else tr("; only to train"))
    remedy = "" if status == "ready" else "harness setup"
    return Finding(what=environment.folder, good=status == "ready", text=text, remedy=remedy, needed=needed)


def _engines(wanted: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    """The shipped engines, of which the project's own must be there, and an engine of the project's own."""
    for name, package in available().items():
        if package is None:
            yield Finding(
                what=f"engine {name}",
                good=False,
                text=tr("not installed"),
                remedy="harness setup",
                needed=name == wanted,
            )
        else:
            yield Finding(what=f"engine {name}", good=True, text=f"{package} {metadata.version(package)}")
    if wanted not in available():
        try:
            info = engine_info(wanted, **options)
        except HarnessError as error:
            yield Finding(what="engine", good=False, text=str(error), remedy=tr("correct engine in [tool.harness]"))
        else:
            yield Finding(what="engine", good=True, text=f"{wanted}{_version_text(wanted, info)}")


def _version_text(engine: str, info: EngineInfo) -> str:
    """What there is to say of an engine beyond its name."""
    if engine == "server":
        return f": {info.version}"
    return f" {metadata.version('ray')}, {info.name} inside" if engine == "ray" else ""


def _project(settings: Settings) -> Iterator[Finding]:
    yield Finding(
        what="settings",
        good=True,
        text=tr("adapter {adapter}, engine {engine}", adapter=settings.adapter or tr("(none)"), engine=settings.engine),
    )
    yield _database(settings)
    try:
        manifest = read_manifest(settings.manifest_path)
    except HarnessError as error:
        remedy = "harness init" if "harness init" in str(error) else tr("fix the file")
        yield Finding(what="manifest", good=False, text=str(error), remedy=remedy)
    else:
        yield Finding(
            what="manifest",
            good=True,
            text=tr("{n} adapters on {models} models", n=len(manifest.adapters), models=len(manifest.models)),
        )
        yield from _models(settings, manifest)
        yield from _versions(settings, manifest)
    try:
        cases = project_cases(settings)
    except HarnessError as error:
        yield Finding(what="bad cases", good=False, text=str(error), remedy=tr("fix the files"))
    else:
        yield Finding(
            what="bad cases",
            good=True,
            text=tr("{n} in {folders} folders", n=len(cases), folders=len({c.folder for c in cases})),
        )


def _database(settings: Settings) -> Finding:
    """Where runs are recorded. A file that is not there yet is made by the first run, and not by this command."""
    what = "run database"
    if not Store.exists(settings.database):
        return Finding(what=what, good=True, text=f"{settings.database}: a file, made by the first run")
    try:
        with Store(settings.database) as store:
            runs = len(store.runs())
    except HarnessError as error:
        text, _, remedy = str(error).rpartition("; ")
        return Finding(what=what, good=False, text=text or str(error), remedy=remedy)
    return Finding(what=what, good=True, text=f"{store.address}: {runs} runs")


def _models(settings: Settings, manifest: Manifest) -> Iterator[Finding]:
    """Every model's folder; nothing is fetched or converted for it."""
    for model in manifest.models.values():
        what = f"model {model.name}"
        folder = (settings.root / Path(model.path).expanduser()).resolve()
        if model.path.startswith("embedded:"):
            continue
        if model.path.count("/") == 1 and not model.path.startswith((".", "/", "~")) and not folder.exists():
            yield Finding(what=what, good=True, text=tr("{path}: a hub id, fetched on first use", path=model.path))
            continue
        there = (folder / "config.json").is_file()
        text = str(folder)
        if not there:
            lacks = tr("{path} has no config.json", path=folder) if folder.is_dir() else ""
            text = lacks or tr("{path} is not there", path=folder)
        remedy = "" if there else tr('correct path in [models."{name}"]', name=model.name)
        yield Finding(what=what, good=there, text=text, remedy=remedy, needed=_is_used(settings, manifest, model.name))


def _versions(settings: Settings, manifest: Manifest) -> Iterator[Finding]:
    """The files of every version, without reading their weights (``harness adapters verify`` does)."""
    missing = [a for a in manifest.adapters.values() if a.path is not None and not _has_files(a.path)]
    for adapter in missing:
        needed = adapter.name in {a.name for a in _chain(settings, manifest)}
        text = (
            tr("{path} has no weights", path=adapter.path)
            if adapter.path and adapter.path.is_dir()
            else tr("{path} is not there", path=adapter.path)
        )
        yield Finding(
            what=f"adapter {adapter.name}",
            good=False,
            text=text,
            remedy=tr("restore it, or remove its entry"),
            needed=needed,
        )
    if settings.adapter and settings.adapter not in manifest.adapters:
        yield Finding(
            what=f"adapter {settings.adapter}", good=False, text=tr("is the project's, and not in the manifest"),
            remedy=tr("correct adapter in [tool.harness]"),
        )  # fmt: skip


def _chain(settings: Settings, manifest: Manifest) -> tuple[Adapter, ...]:
    """What the project's usual version consists of; without one, every version is as needed as any other."""
    if settings.adapter in manifest.adapters:
        return manifest.chain(settings.adapter)
    return tuple(manifest.adapters.values())


def _is_used(settings: Settings, manifest: Manifest, model: str) -> bool:
    names = [settings.adapter] if settings.adapter in manifest.adapters else list(manifest.adapters)
    return any(manifest.adapters[name].model == model for name in names)


def _has_files(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)
