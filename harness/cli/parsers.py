"""Parsers of the command line: one-line errors that name what was probably meant, and examples in every help.

argparse answers a mistyped option with its whole usage and no hint. Here an error is one line, exit code 2. An unknown
command, verb, choice or option is compared with the known ones. :func:`examples` puts commands that work under a help
text; a test parses each of them.

Not supported: abbreviated options. A script that uses one breaks when a similar option is added.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from harness.safe.nearest import nearest_name

__all__ = ["Parser", "RootParser", "count", "example_lines", "examples", "share", "subparsers_of"]

_EXAMPLES = "examples:"


class Parser(argparse.ArgumentParser):
    """A parser of a command or verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.register("action", "parsers", _Subparsers)
        self._words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Write one line and exit with 2."""
        if message.startswith("the following arguments are required") and (unknown := self._unknown_options()):
            # The missing one is probably the mistyped one.
            message = "; ".join(map(self._unknown, unknown))
        self.exit(2, f"{self.prog}: {_one_line(message)}; see: {self.prog} --help\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; what is not known is an error of this parser, which knows its own options."""
        self._words = sys.argv[1:] if args is None else args
        values, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error("; ".join(self._unknown(word) for word in rest))
        return values, rest

    def _unknown_options(self) -> list[str]:
        """Unknown options among this parser's own words, which end at the name of a command or verb."""
        words = itertools.takewhile(lambda w: w != "--", self._words)
        if any(subparsers_of(self)):
            words = itertools.takewhile(lambda w: w.startswith("-"), words)
        return [w for w in words if w.startswith("--") and w.partition("=")[0] not in self._option_string_actions]

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        name = word.partition("=")[0]
        return f"unknown option {name!r}{_did_you_mean(name, self._option_string_actions)}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices if choice != ""]
        if isinstance(action, argparse._SubParsersAction):
            kind = str(action.metavar or "command").lower()
            message = f"unknown {kind} {value!r}{_did_you_mean(value, known) or _known(known)}"
            raise argparse.ArgumentError(None, message)
        raise argparse.ArgumentError(action, f"unknown {value!r}{_did_you_mean(value, known)}{_known(known)}")


class RootParser(Parser):
    """The parser of ``harness`` itself; its help lists the commands by what they are for."""

    def __init__(self, *args: Any, groups: Mapping[str, Mapping[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._groups = groups

    def format_help(self) -> str:
        """Usage, commands by group, options."""
        options = (
            ("-h, --help", "show this text; harness COMMAND --help shows a command's"),
            ("--version", "show the version"),
        )
        names = [name for commands in self._groups.values() for name in commands] + [name for name, _ in options]
        width = max(map(len, names)) + 2
        lines = [f"usage: {self.prog} COMMAND ...", "", str(self.description)]
        for title, commands in self._groups.items():
            lines += ["", f"{title}:", *(f"  {name:<{width}}{summary}" for name, summary in commands.items())]
        lines += ["", "options:", *(f"  {name:<{width}}{text}" for name, text in options), "", str(self.epilog)]
        return "\n".join(lines) + "\n"


class _Subparsers(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Commands or verbs: a parser without a description takes its summary."""

    def add_parser(self, name: str, **kwargs: Any) -> Any:
        if text := kwargs.get("help"):
            kwargs.setdefault("description", f"{text[:1].upper()}{text[1:]}.")
        return super().add_parser(name, **kwargs)


def examples(*commands: str) -> dict[str, Any]:
    """Arguments of ``add_parser`` that show ``commands`` under the help, as they are typed."""
    return {
        "epilog": "\n".join([_EXAMPLES, *(f"  {command}" for command in commands)]),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def example_lines(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """The commands that :func:`examples` put under the help of ``parser``."""
    title, *lines = (parser.epilog or "").splitlines() or [""]
    return tuple(line.strip() for line in lines) if title == _EXAMPLES else ()


def subparsers_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Names and parsers of the commands or verbs right below ``parser``."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def share(text: str) -> float:
    """Type of an option that is a share: ``0.05`` or ``5%``."""
    from harness.safe.shares import parse_share

    try:
        return parse_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def count(text: str) -> int:
    """Type of an option that is a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = nearest_name(word, known)
    return f"; did you mean {close}?" if close else ""


def _known(known: Sequence[str]) -> str:
    return f"; known: {', '.join(known)}"


def _one_line(message: str) -> str:
    from harness.safe.escape import for_terminal

    return for_terminal(" ".join(message.split()).rstrip("."), keep_newlines=False)
