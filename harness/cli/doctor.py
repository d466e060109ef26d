"""``harness doctor``: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.cli.project import add_json, echo, echo_json
from harness.engines import available
from harness.errors import HarnessError
from harness.models.embedded import EMBEDDED, cache_folder
from harness.project.manifest import read_manifest
from harness.project.settings import Settings, find_root, read_settings
from harness.project.suite import project_cases
from harness.setup.environments import ENVIRONMENTS, has_gpu, state

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
    parser = subparsers.add_parser("doctor", help="what is installed, what is missing, and how to install it")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Check everything; 0 if nothing required is missing, otherwise 3."""
    findings = tuple(examine(find_root(Path.cwd())))
    if args.json:
        echo_json({"findings": findings, "good": all(f.good or not f.needed for f in findings)})
    else:
        for finding in findings:
            mark = "ok  " if finding.good else "MISS" if finding.needed else "--  "
            echo(f"{mark}  {finding.what:<22} {finding.text}" + (f"  ->  {finding.remedy}" if finding.remedy else ""))
    return 0 if all(f.good or not f.needed for f in findings) else 3


def examine(root: Path) -> Iterator[Finding]:
    """Check machine, environments, model, project and cases; never raises for what is missing."""
    yield Finding(
        what="python", good=True, text=f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"
    )
    yield Finding(
        what="GPU", good=has_gpu(), text="NVIDIA" if has_gpu() else "none; the CPU builds are used", needed=False
    )
    free = shutil.disk_usage(root).free / 2**30
    yield Finding(what="disk", good=free > 5, text=f"{free:.0f} GiB free", remedy="" if free > 5 else "free some space")
    yield from _engines()
    for environment in ENVIRONMENTS:
        if not environment.editable:
            status = state(environment, root)
            remedy = "" if status == "ready" else "harness setup"
            yield Finding(
                what=environment.folder, good=status == "ready", text=f"{status}: {environment.purpose}", remedy=remedy
            )
    for name in EMBEDDED:
        there = any((cache_folder() / "models").glob(f"{name}-*/conversion.json"))
        text = f"embedded model {name}: {'converted' if there else 'not yet converted'}"
        yield Finding(
            what="model", good=there, text=text, remedy="" if there else "harness setup --model", needed=False
        )
    yield from _project(root)


def _engines() -> Iterator[Finding]:
    for name, package in available().items():
        if package is None:
            yield Finding(
                what=f"engine {name}", good=False, text="not installed", remedy="harness setup", needed=name == "vllm"
            )
        else:
            yield Finding(what=f"engine {name}", good=True, text=f"{package} {metadata.version(package)}")


def _project(root: Path) -> Iterator[Finding]:
    try:
        settings: Settings = read_settings(root)
        yield Finding(
            what="settings", good=True, text=f"adapter {settings.adapter or '(none)'}, engine {settings.engine}"
        )
        manifest = read_manifest(settings.manifest_path)
        yield Finding(
            what="manifest", good=True, text=f"{len(manifest.adapters)} adapters on {len(manifest.models)} models"
        )
        cases = project_cases(settings)
        yield Finding(what="bad cases", good=True, text=f"{len(cases)} in {len({c.folder for c in cases})} folders")
    except HarnessError as error:
        remedy = "harness init" if "harness init" in str(error) else "fix the file"
        yield Finding(what="project", good=False, text=str(error), remedy=remedy)
