"""The script that completes ``harness`` in fish, made from the parsers.

fish completes by lines ``complete -c harness -n CONDITION ...``. The condition is a function of ours. It compares the
words before the cursor that are no options with the words of a command. Trade-off: the value of an option counts as a
word, so a verb after one is not completed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from harness.cli.parsers import subparsers_of

__all__ = ["fish_script"]

_HEAD = """\
# Completion of harness in fish; written by: harness completion fish
function __harness_words
    set -l tokens (commandline -opc)
    set -e tokens[1]
    for token in $tokens
        string match -q -- '-*' $token; or echo $token
    end
end
function __harness_exactly
    set -l words (__harness_words)
    test "$words" = "$argv"
end
function __harness_under
    set -l words (__harness_words)
    string match -q -- "$argv *" "$words "
end
function __harness_adapters
    harness completion --adapters 2>/dev/null
end
complete -c harness -f
"""
_VALUES = {"adapters": "-xa '(__harness_adapters)'", "files": "-rF"}
_Completer = Callable[[argparse.Action, tuple[str, ...]], str]


def fish_script(parser: argparse.ArgumentParser, completer: _Completer) -> str:
    """The script for ``parser``.

    Args:
        parser: of the whole command line.
        completer: says what completes the value of a command's argument: ``adapters``, ``files`` or nothing.
    """
    return _HEAD + "".join(f"complete -c harness {line}\n" for line in _lines(parser, (), completer))


def _lines(parser: argparse.ArgumentParser, words: tuple[str, ...], completer: _Completer) -> Iterator[str]:
    inner = list(subparsers_of(parser))
    summaries = _summaries(parser)
    here = f"-n {_quoted(' '.join(('__harness_exactly', *words)))}"
    under = f"-n {_quoted(' '.join(('__harness_under', *words)))}" if words else here
    for name, _ in inner:
        yield f"{here} -a {_quoted(name)}{_described(summaries.get(name, ''))}"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        value = _value(action, completer(action, words))
        if not action.option_strings:
            if value:
                yield f"{under} {value}"
            continue
        names = " ".join(_option(name) for name in action.option_strings)
        yield " ".join(filter(None, [under, names, value or ("-x" if action.nargs != 0 else "")])) + _help(action)
    for name, subparser in inner:
        yield from _lines(subparser, (*words, name), completer)


def _value(action: argparse.Action, kind: str) -> str:
    if action.choices is not None:
        return f"-xa {_quoted(' '.join(map(str, action.choices)))}"
    return _VALUES.get(kind, "")


def _option(name: str) -> str:
    return f"-l {_quoted(name[2:])}" if name.startswith("--") else f"-s {_quoted(name[1:])}"


def _help(action: argparse.Action) -> str:
    return _described("" if action.help in (None, argparse.SUPPRESS) else str(action.help))


def _described(text: str) -> str:
    """The option that describes a completion; argparse's ``%%`` is a percent sign."""
    return f" -d {_quoted(text.replace('%%', '%'))}" if text else ""


def _summaries(parser: argparse.ArgumentParser) -> dict[str, str]:
    """The help of each command below ``parser``."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return {choice.dest: choice.help or "" for group in groups for choice in group._choices_actions}


def _quoted(text: str) -> str:
    """A word in single quotes, in which fish knows two escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
