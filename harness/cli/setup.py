"""``harness setup``: install the trainer's environment and the embedded model on a machine that has the harness."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

from harness.cli.project import echo
from harness.errors import TrainerMissing
from harness.models.embedded import EMBEDDED, embedded_model
from harness.project.settings import find_root
from harness.setup.environments import ENVIRONMENTS, set_up

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness setup [--model]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "setup", help="install the trainer's environment and the embedded model, where missing"
    )
    parser.add_argument("--model", action="store_true", help="install only the embedded model")


def run(args: argparse.Namespace) -> int:
    """Install what is missing."""
    if not args.model:
        root = find_root(Path.cwd())
        for environment in ENVIRONMENTS:
            # The environment that this very command runs in is there.
            if not environment.editable:
                try:
                    set_up(environment, root, echo)
                except subprocess.CalledProcessError as error:
                    raise TrainerMissing(f"installing {environment.folder} failed (see above): {error}") from error
    for name in EMBEDDED:
        echo(f"model {name}: {embedded_model(name)}")
    return 0
