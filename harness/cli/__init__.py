"""The command line: thin faces over the runner and the other parts, one module a command.

Exit codes are a contract: 0 all well, 1 a gate or case failed, 2 the words of the call are wrong, 3 the environment or
the engine broke, 130 interrupted. A user's mistake is one line, a bug keeps its traceback.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from harness import __version__
from harness.errors import HarnessError
from harness.safe.escape import for_terminal

__all__ = ["main"]

COMMANDS = (
    "init", "doctor", "setup", "fix", "pairs", "probe", "bisect", "train", "compare", "gate", "score", "adapters",
    "report", "history", "noise", "chat",
)  # fmt: skip
"""In the order of the help; each is a module with ``add_parser(subparsers)`` and ``run(args) -> int``."""

_INTERRUPTED = 130
_BROKE = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Evaluate fine-tuned language models on bad cases, train on what fails, run again.",
        epilog="Evaluate with: pytest badcases --adapter NAME",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"harness {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules: dict[str, ModuleType] = {}
    # A command's own module is enough to parse its words; the help needs them all.
    wanted = [words[0]] if words and words[0] in COMMANDS else list(COMMANDS)
    for name in wanted:
        modules[name] = importlib.import_module(f"harness.cli.{name}")
        modules[name].add_parser(subparsers)
    args = parser.parse_args(words)
    try:
        return int(modules[args.command].run(args))
    except HarnessError as error:
        sys.stderr.write(f"harness {args.command}: {for_terminal(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f"harness {args.command}: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception:  # noqa: BLE001 - a bug: show it whole, and still never exit with 1, which says "a case failed"
        traceback.print_exc()
        return _BROKE
