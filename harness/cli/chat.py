"""``harness chat --adapter NAME``: talk to a version; ``/base`` shows the parent's answer to the same question."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from harness.cases.decoding import Decoding
from harness.cli.output import wants_color
from harness.cli.parsers import examples
from harness.cli.project import add_quiet, echo, hint, project_settings
from harness.engines import open_engine
from harness.models.target import engine_options, resolve_target
from harness.project.manifest import read_manifest
from harness.runs.chat import Chat, Voice
from harness.safe.escape import for_terminal
from harness.store import Store

__all__ = ["add_parser", "run"]

_HELP = "/base: the parent's answer beside this one's   /reset: forget everything   /quit: leave"


def add_parser(subparsers: Any) -> None:
    """``harness chat [--adapter NAME] ...``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "chat", help="talk to a version in the terminal", **examples("harness chat --adapter v4.1")
    )
    parser.add_argument("--adapter", metavar="NAME", help="version; default: the project's")
    parser.add_argument("--engine", metavar="NAME", help="vllm, transformers ...; default: the project's")
    parser.add_argument("--system", default=None, metavar="TEXT", help="system prompt; default: the project's")
    parser.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="maximum of tokens of one answer")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 (greedy) by default")
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """0 when the conversation is over."""
    settings = project_settings({"engine": args.engine} if args.engine else None)
    # One answer at a time is fast enough with a LoRA, and only so can one engine hold the version and its parent.
    settings = replace(settings, merge=False)
    manifest = read_manifest(settings.manifest_path)
    method = "sample" if args.temperature else "greedy"
    decoding = Decoding(
        method=method, max_tokens=args.max_tokens, temperature=args.temperature, early_fail=False  # type: ignore[arg-type]
    )  # fmt: skip
    with Store(settings.database) as store:
        adapter = manifest.adapter(args.adapter or settings.adapter)
        target = resolve_target(adapter.name, manifest, settings, store)
        # The model as shipped has no parent; then /base has nothing to compare with.
        parent = resolve_target(adapter.parent, manifest, settings, store) if adapter.parent else None
        if parent is not None and parent.model_path != target.model_path:
            echo(f"{adapter.name} and {parent.name} are separate merged models: /base is unavailable")
            parent = None
        options = engine_options([t for t in (target, parent) if t is not None], settings.engine_options)
        hint(f"{adapter.name} on {settings.engine}; {_HELP}")
        engine = open_engine(settings.engine, target.model_path, **options)
        system = settings.system if args.system is None else args.system
        try:
            chat = Chat(engine, target.renderer, Voice(adapter.name, target.weights), decoding=decoding, system=system)
            _talk(chat, Voice(parent.name, parent.weights) if parent else None)
        finally:
            engine.close()
    return 0


def _talk(chat: Chat, parent: Voice | None) -> None:
    for line in _lines():
        if line == "/quit":
            return
        if line == "/reset":
            chat.forget()
            echo("(history cleared)")
        elif line == "/base":
            _compare(chat, parent)
        elif line.startswith("/"):
            echo(_HELP)
        elif line:
            # Ctrl-C stops an answer, which is then not remembered; a second one leaves.
            with suppress(KeyboardInterrupt):
                for piece in chat.ask(line):
                    sys.stdout.write(for_terminal(piece))
                    sys.stdout.flush()
                if chat.cut_off:
                    sys.stdout.write(" ... (cut off)")
            sys.stdout.write("\n")


def _lines() -> Iterator[str]:
    """Typed lines, until the end of input."""
    if sys.stdin.isatty():
        # History and editing of lines, where the platform has them.
        with suppress(ImportError):
            __import__("readline")
    while True:
        try:
            yield input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return


def _compare(chat: Chat, parent: Voice | None) -> None:
    """Both answers to the last question, side by side."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if parent is None:
        echo(f"{chat.voice.name} has no parent to compare with here")
        return
    if not chat.history:
        echo("ask a question first")
        return
    other = chat.again(parent)
    table = Table(show_lines=False, expand=True)
    for name in (parent.name, chat.voice.name):
        table.add_column(Text(for_terminal(name)), ratio=1)
    table.add_row(Text(for_terminal(other)), Text(for_terminal(chat.history[-1].content)))
    color = wants_color(sys.stdout)
    Console(
        file=sys.stdout, highlight=False, markup=False, emoji=False, no_color=not color,
        color_system="auto" if color else None,
    ).print(table)  # fmt: skip
