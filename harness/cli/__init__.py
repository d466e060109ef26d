"""The command line: one module for each command, thin layers over the other packages.

Exit codes are a contract: 0 success, 1 a case or the gate failed, 2 usage error, 3 the environment or the engine broke,
130 interrupted, 141 the reader of the output went away. A usage error is one line; a bug keeps its traceback.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from harness import __version__
from harness.errors import HarnessError
from harness.safe.escape import for_terminal

__all__ = ["COMMANDS", "build_parser", "main"]

COMMANDS = (
    "init", "doctor", "setup", "fix", "pairs", "probe", "bisect", "train", "compare",
    "baseline", "gate", "score", "triage", "adapters", "report", "history", "noise", "chat",
)  # fmt: skip
"""The order of the help. Each is a module with ``add_parser(subparsers)`` and ``run(args) -> int``."""

_INTERRUPTED = 130
_BROKE = 3
_BROKEN_PIPE = 141
"""128 + SIGPIPE, as shells write it."""


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of the given commands; a command's own parser is enough to parse its words."""
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Evaluate fine-tuned language models on bad cases, train on what fails, run again.",
        epilog="Evaluate with: pytest badcases --adapter NAME",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"harness {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands:
        _module(name).add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = build_parser([words[0]] if words and words[0] in COMMANDS else COMMANDS).parse_args(words)
    try:
        return int(_module(args.command).run(args))
    except HarnessError as error:
        sys.stderr.write(f"harness {args.command}: {for_terminal(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f"harness {args.command}: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader went away, so what was not written is not known to be good. Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception:  # noqa: BLE001 - a bug is shown whole, and never ends with 1, which means "a case failed"
        sys.stderr.write(for_terminal(traceback.format_exc()))
        return _BROKE


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"harness.cli.{name}")
