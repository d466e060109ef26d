"""``harness score``: score texts without a model."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.cli.parsers import examples
from harness.errors import UsageError
from harness.judging.results import Status
from harness.safe.escape import for_terminal

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness score FILE.jsonl [--all] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "score",
        help="score texts without a model",
        description='In, a line each: {"id"?, "text", "reference"?, "finish_reason"?, "turns"?}. '
        "Exit 1 when one fails, 2 when a line is wrong.",
        **examples("harness score answers.jsonl", "harness score - --json < answers.jsonl"),
    )
    parser.add_argument("file", metavar="FILE.jsonl", help="JSON lines; - reads standard input")
    parser.add_argument("--all", action="store_true", help="also compression ratio and all similarities; slow")
    parser.add_argument("--json", action="store_true", help="JSON lines: id, verdict, reasons, scores, loops")
    parser.add_argument("-q", "--quiet", action="store_true", help="without the counts at the end")


def run(args: argparse.Namespace) -> int:
    """Write a line for each text, in order; 0 if all pass, 1 if one fails, 2 if a line could not be scored.

    Raises:
        UsageError: the file cannot be read, or holds no line: nothing scored is nothing passed.
    """
    from harness.judging.lines import as_json, as_text, score_lines
    from harness.metrics.kernels import prepare

    count: Counter[Status] = Counter()
    with ExitStack() as stack:
        if args.file == "-":
            lines = sys.stdin.buffer
        else:
            path = Path(args.file)
            try:
                lines = stack.enter_context(path.open("rb"))
                prepare(path.stat().st_size)
            except OSError as error:
                raise UsageError(f"{args.file}: {error.strerror or error}; expected a file of JSON lines") from error
        for line in score_lines(lines, everything=args.all):
            count[line.verdict.status] += 1
            sys.stdout.write((as_json(line) if args.json else for_terminal(as_text(line), keep_newlines=False)) + "\n")
    if not count:
        raise UsageError(f'{args.file}: no line to score; expected JSON lines like {{"text": "..."}}')
    if not args.json and not args.quiet:
        sys.stdout.write(", ".join(f"{count[s]} {s.value}" for s in (Status.PASS, Status.FAIL, Status.ERROR)) + "\n")
    if count[Status.ERROR]:
        return UsageError.exit_code
    return 1 if count[Status.FAIL] else 0
