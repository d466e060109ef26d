"""``harness init``: write the files that a new project needs; nothing is overwritten."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import echo
from harness.project.manifest import MANIFEST_NAME
from harness.safe.files import write_text

__all__ = ["add_parser", "run"]

_MANIFEST = """\
# Every adapter version: what it is, its parent, what it was trained on.
# path is a folder (relative to this file), a hub id, or embedded:<name> for the model that ships with the harness.

[models."smollm2-135m-instruct"]
path = "embedded:smollm2-135m-instruct"
template = "smollm2"

[adapters."v4.0"]
model = "smollm2-135m-instruct" # no weights of its own: the model as shipped
"""
_TEST = '''\
"""Every bad case in this folder, one test each: ``pytest badcases --adapter v4.0``."""

from harness import BadCase


def test_badcase(badcase: BadCase) -> None:
    """The adapter answers the case without falling into a loop."""
    badcase.check()
'''
_CASES = """\
[
  {
    "text": "Write a short poem about the sea.",
    "standard_answer": "The sea rolls in on silver feet,\\nAnd hums along the shore,\\nAnd then goes out once more."
  }
]
"""
_CASE_SETTINGS = """\
# Settings of every case in this folder; a record may override them.
[decoding]
method = "beam"
beam_width = 5
max_tokens = 256
"""
_PROJECT = """\
[tool.harness]
adapter = "v4.0"

[tool.pytest.ini_options]
testpaths = ["badcases"]
"""


def add_parser(subparsers: Any) -> None:
    """``harness init [FOLDER]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "init", help="write the files of a new project", **examples("harness init")
    )
    parser.add_argument("folder", nargs="?", default=".", help="default: the current folder")


def run(args: argparse.Namespace) -> int:
    """Write the missing files and list them."""
    root = Path(args.folder)
    files = {
        MANIFEST_NAME: _MANIFEST,
        "pyproject.toml": _PROJECT,
        "badcases/test_badcases.py": _TEST,
        "badcases/badcase1/test.json": _CASES,
        "badcases/badcase1/case.toml": _CASE_SETTINGS,
        "reports/.gitignore": "*\n",
    }
    for name, text in files.items():
        path = root / name
        if path.exists():
            echo(f"kept     {path}")
            continue
        write_text(path, text)
        echo(f"written  {path}")
    project = root / "pyproject.toml"
    if "[tool.harness" not in project.read_text(encoding="utf-8"):
        echo(f"add to {project}:\n{_PROJECT}")
    echo("next: pytest badcases --adapter v4.0")
    return 0
