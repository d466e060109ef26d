"""The command line's parser for the page on the commands: examples as literal blocks, so that ``--`` stays ``--``."""

from __future__ import annotations

import argparse

from harness.cli import build_parser
from harness.cli.parsers import example_lines, subparsers_of


def documented_parser() -> argparse.ArgumentParser:
    """All commands, with their examples as reStructuredText."""
    parser = build_parser()
    _mark(parser)
    return parser


def _mark(parser: argparse.ArgumentParser) -> None:
    if lines := example_lines(parser):
        parser.epilog = "\n".join(["Examples::", "", *(f"    {line}" for line in lines)])
    for _, inner in subparsers_of(parser):
        _mark(inner)
