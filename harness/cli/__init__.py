"""The command line: one module for each command, thin layers over the other packages.

Exit codes are a contract: 0 success, 1 a case or the gate failed, 2 usage error, 3 the environment or the engine broke,
130 interrupted, 141 the reader of the output went away. A usage error is one line; a bug keeps its traceback.

The table below is all that ``harness --help`` needs, so it imports no command. Trade-off: a summary stands here and in
the command's own parser; a test keeps them equal.
"""

from __future__ import annotations

import argparse
import importlib
import keyword
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType

from harness import __version__
from harness.cli.output import set_quiet
from harness.cli.parsers import Parser, RootParser
from harness.errors import HarnessError

__all__ = ["COMMANDS", "GROUPS", "build_parser", "main", "module_name"]

GROUPS: Mapping[str, Mapping[str, str]] = {
    "evaluate (the suite itself runs with: pytest badcases --adapter NAME)": {
        "gate": "judge the last run, or a named one; for CI",
        "compare": "compare versions on the cases that all of them ran, the first with the last",
        "merge": "join the parts of a run (pytest badcases --shard I/N) and judge the whole",
        "serve": "keep a model warm on this machine: a rerun of the suite starts at once",
        "watch": "run what fails again whenever a case file changes",
        "score": "score texts without a model",
        "baseline": "write a version's results as a file to compare with in CI, or check such files",
        "noise": "measure how often equal runs disagree: the A/A flip rate",
    },
    "collect": {
        "triage": "find repeaters in production logs and write a case folder",
        "import-legacy": "make a project of a folder of scripts and old results, with a report of them",
        "import": "judge old answers in workbooks, CSV or JSON as a run marked as imported",
    },
    "fix": {
        "fix": "train a new adapter on what failed, run the suite again, compare",
        "pairs": "show and write the pairs that a fix would train on, to edit them",
        "train": "train a new adapter on data files",
    },
    "look": {
        "view": "a local page to look at runs, cases, pairs and versions, and to work on them",
        "history": "the recorded runs, newest first",
        "report": "write a run's reports again",
        "track": "send a recorded run to the experiment trackers",
        "comment": "write a run's summary as a comment on the pull or merge request of this CI job",
        "probe": "find failing cases that pass under another decoding",
        "bisect": "find the first version in a lineage on which a case fails",
        "chat": "talk to a version in the terminal",
    },
    "manage": {
        "adapters": "versions, their weights and their lineage",
    },
    "set up": {
        "init": "write the files of a new project",
        "doctor": "what is installed, what is missing, and how to install it",
        "setup": "install the engine, the trainer's environment and the embedded model, where missing",
        "completion": "write a script that completes commands and adapter names in a shell",
    },
}
"""The help: commands by what they are for, each with its summary. A command is a module with ``add_parser(subparsers)``
and ``run(args) -> int``; :func:`module_name` says which."""
COMMANDS: Mapping[str, str] = {name: text for commands in GROUPS.values() for name, text in commands.items()}
"""Summary by command, in the order of the help."""

_INTERRUPTED = 130
_BROKE = 3
_BROKEN_PIPE = 141
"""128 + SIGPIPE, as shells write it."""


def module_name(command: str) -> str:
    """The module of a command: ``import-legacy`` is ``import_legacy``, and ``import`` is ``import_``."""
    name = command.replace("-", "_")
    return f"harness.cli.{name}_" if keyword.iskeyword(name) else f"harness.cli.{name}"


def build_parser(commands: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser with the words of ``commands``; of the others only the names are known."""
    parser = RootParser(
        prog="harness",
        description="Evaluate fine-tuned language models on bad cases, train on what fails, run again.",
        epilog="Begin with: harness init. A command's options and examples: harness COMMAND --help.",
        groups=GROUPS,
    )
    parser.add_argument("--version", action="version", version=f"harness {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name, summary in COMMANDS.items():
        if name in commands:
            _module(name).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(words[:1]).parse_args(words)
    args.words = words
    set_quiet(getattr(args, "quiet", False))
    try:
        return int(_module(args.command).run(args))
    except HarnessError as error:
        _complain(_said("harness {command}: {error}", command=args.command, error=error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain(_said("harness {command}: interrupted", command=args.command))
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader went away, so what was not written is not known to be good. Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception:  # noqa: BLE001 - a bug is shown whole, and never ends with 1, which means "a case failed"
        import traceback

        _complain(traceback.format_exc())
        return _BROKE


def _said(sentence: str, **values: object) -> str:
    """A sentence in the reader's language; the text of an error itself stays as it is."""
    from harness.language import tr

    return tr(sentence, **values) + "\n"


def _complain(text: str) -> None:
    from harness.safe.escape import for_terminal

    sys.stderr.write(for_terminal(text))


def _module(name: str) -> ModuleType:
    return importlib.import_module(module_name(name))
