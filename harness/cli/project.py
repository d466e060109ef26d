"""What every command of a project shares: its settings, output, tables and ``--json``."""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli.output import is_quiet, wants_color
from harness.language import set_language
from harness.project.settings import Settings, find_root, read_settings
from harness.safe.escape import for_json, for_terminal
from harness.safe.records import to_data

__all__ = ["add_json", "add_quiet", "echo", "echo_json", "hint", "project_settings", "table", "warn"]


def project_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings of the project of the current folder; their language is the command's from now on."""
    settings = read_settings(find_root(Path.cwd()), flags)
    set_language(settings.language)
    return settings


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the options ``--json`` and ``--quiet``."""
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    add_quiet(parser)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--quiet``."""
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no hints; results and errors only")


def echo(text: str) -> None:
    """Write lines to standard output."""
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


def hint(text: str) -> None:
    """Write what to do next to standard output, unless ``--quiet`` was given."""
    if not is_quiet():
        echo(text)


def warn(text: str) -> None:
    """Write a line of progress or a note to standard error, so that standard output holds only results."""
    if not is_quiet():
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def echo_json(value: object) -> None:
    """Write ``value`` as JSON to standard output; a number that is not finite is null."""
    sys.stdout.write(for_json(json.dumps(to_data(value), ensure_ascii=False, indent=2, allow_nan=False)) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain table, at most as wide as the terminal; cells are text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        grid.add_column(Text(column), justify="left" if number < 3 else "right", no_wrap=number == 0)
    for row in rows:
        grid.add_row(*(Text(for_terminal("-" if cell is None else str(cell))) for cell in row))
    width = shutil.get_terminal_size((120, 24)).columns
    color = wants_color(sys.stdout)
    console = Console(
        file=io.StringIO(), width=width, color_system="standard" if color else None, force_terminal=color,
        no_color=not color, _environ={},
    )  # fmt: skip
    with console.capture() as capture:
        console.print(grid)
    return capture.get()
