"""``harness completion bash|zsh|fish|tcsh``: a script that completes commands, options and adapter names in a shell.

shtab makes it from the parsers, so it knows what they know; for fish, which shtab does not write,
:mod:`harness.cli.completion_fish` does the same. Adapter names are asked of the project at the moment of
completion (``harness completion --adapters``), which reads the manifest and nothing else. Trade-off: the script holds
the commands of the version that wrote it; write it again after an upgrade.

Not supported: run ids.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples, subparsers_of
from harness.errors import HarnessError, UsageError

__all__ = ["add_parser", "run"]

_SHELLS = ("bash", "zsh", "fish", "tcsh")
_NAMES = {
    "bash": 'harness_adapters() { compgen -W "$(harness completion --adapters 2>/dev/null)" -- "$1"; }\n',
    "zsh": 'harness_adapters() { compadd -- ${(f)"$(harness completion --adapters 2>/dev/null)"}; }\n',
    "tcsh": "",
}
_COMPLETE_NAMES = {"bash": "harness_adapters", "zsh": "harness_adapters", "tcsh": "`harness completion --adapters`"}
_VERSIONS = {"name", "names", "versions", "adapter", "adapter_from", "parent"}
"""Arguments that take an adapter version, by their names in the parsers."""
_NEW_NAMES = {("adapters", "add"), ("adapters", "import"), ("init",)}
"""Commands whose names and adapters are not in the manifest yet."""


def add_parser(subparsers: Any) -> None:
    """``harness completion SHELL``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "completion",
        help="write a script that completes commands and adapter names in a shell",
        **examples("harness completion bash > ~/.local/share/bash-completion/completions/harness"),
    )
    parser.add_argument("shell", nargs="?", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    parser.add_argument("--adapters", action="store_true", help="write the project's adapter names, a line each")


def run(args: argparse.Namespace) -> int:
    """Write the script to standard output."""
    if args.adapters:
        sys.stdout.write("".join(f"{name}\n" for name in _adapters()))
        return 0
    if args.shell is None:
        raise UsageError(f"completion: name a shell: {', '.join(_SHELLS)}")
    from harness.cli import build_parser

    parser = build_parser()
    if args.shell == "fish":
        from harness.cli.completion_fish import fish_script

        sys.stdout.write(fish_script(parser, completer))
        return 0
    import shtab

    for command, inner in subparsers_of(parser):
        _mark(inner, (command,))
    sys.stdout.write(shtab.complete(parser, args.shell, preamble=_NAMES) + "\n")
    return 0


def completer(action: argparse.Action, words: tuple[str, ...]) -> str:
    """What completes the value of an argument of the command ``words``: ``adapters``, ``files``, or nothing."""
    if action.dest in _VERSIONS and action.nargs != 0 and words not in _NEW_NAMES:
        return "adapters"
    return "files" if action.type is Path or action.dest in ("file", "pairs", "model", "folder") else ""


def _mark(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> None:
    """Say of every argument what completes it: adapter names, or files."""
    import shtab

    kinds = {"adapters": _COMPLETE_NAMES, "files": shtab.FILE}
    for action in parser._actions:
        if kind := completer(action, words):
            action.complete = kinds[kind]  # type: ignore[attr-defined]
    for name, inner in subparsers_of(parser):
        _mark(inner, (*words, name))


def _adapters() -> tuple[str, ...]:
    """The names in the manifest of the current folder's project; none where there is no project."""
    from harness.project.manifest import MANIFEST_NAME, read_manifest
    from harness.project.settings import find_root

    try:
        return tuple(read_manifest(find_root(Path.cwd()) / MANIFEST_NAME).adapters)
    except HarnessError:
        return ()
