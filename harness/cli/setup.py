"""``harness setup``: install the engine, the trainer's environment and the embedded model, where they are missing."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, warn
from harness.engines import available
from harness.errors import EngineMissing, TrainerMissing
from harness.language import tr
from harness.models.embedded import EMBEDDED, embedded_model
from harness.project.settings import find_root
from harness.setup.environments import ENVIRONMENTS, install_engine, set_up, state

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness setup [--model]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "setup",
        help="install the engine, the trainer's environment and the embedded model, where missing",
        **examples("harness setup", "harness setup --model"),
    )
    parser.add_argument("--model", action="store_true", help="install only the embedded model")
    add_json(parser)


def _install_engine() -> None:
    """Install vLLM for a harness that came as a wheel; a checkout's own environment has it."""
    if sys.prefix == sys.base_prefix:
        raise EngineMissing(
            f"{sys.executable} belongs to the system, where nothing is installed; make an environment first (python3 "
            "-m venv .venv), install the harness in it, and run .venv/bin/harness setup"
        )
    try:
        install_engine(warn)
    except subprocess.CalledProcessError as error:
        raise EngineMissing(f"installing vLLM failed (see above): {error}") from error


def run(args: argparse.Namespace) -> int:
    """Install what is missing."""
    if not args.model:
        root = find_root(Path.cwd())
        if available()["vllm"] is None:
            _install_engine()
        for environment in ENVIRONMENTS:
            # The environment that this very command runs in is there.
            if not environment.editable:
                try:
                    set_up(environment, root, warn)
                except subprocess.CalledProcessError as error:
                    raise TrainerMissing(f"installing {environment.folder} failed (see above): {error}") from error
    models = {name: embedded_model(name) for name in EMBEDDED}
    if args.json:
        echo_json({"models": models, "environments": {e.folder: state(e, find_root(Path.cwd())) for e in ENVIRONMENTS}})
        return 0
    for name, path in models.items():
        echo(tr("model {name}: {path}", name=name, path=path))
    return 0
