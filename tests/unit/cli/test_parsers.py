"""The command line's words: the table of commands, examples, and errors that name what was meant."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.cli import COMMANDS, GROUPS, build_parser, main
from harness.cli.parsers import example_lines, subparsers_of


def every_parser() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and verb with its parser."""

    def below(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
        for word, inner in subparsers_of(parser):
            yield f"{name} {word}".strip(), inner
            yield from below(f"{name} {word}".strip(), inner)

    return below("", build_parser())


PARSERS = dict(every_parser())


def test_the_table_and_the_parsers_say_the_same() -> None:
    """A summary in the help of ``harness`` is the one that the command's own parser has."""
    (action,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert {choice.dest: choice.help for choice in action._choices_actions} == COMMANDS


def test_no_command_stands_in_two_groups() -> None:
    """The groups of the help hold each command once."""
    assert sum(map(len, GROUPS.values())) == len(COMMANDS)


def test_help_imports_no_command_and_no_heavy_package() -> None:
    """``harness --help`` answers at once: it reads the table alone."""
    code = (
        "import sys, harness.cli\n"
        "try: harness.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in ('msgspec', 'rich', 'pandas', 'numpy', 'pytest')"
        " or m.startswith('harness.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "['harness.cli.output', 'harness.cli.parsers']"


def test_a_command_imports_no_other_command() -> None:
    """``harness doctor`` does not pay for ``harness fix``."""
    code = (
        "import sys, harness.cli\n"
        "try: harness.cli.main(['doctor', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m in ('harness.cli.fix', 'harness.cli.adapters', 'harness.cli.train')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", PARSERS)
def test_every_help_has_examples_that_parse(name: str) -> None:
    """One to three commands under each help, which the command line understands."""
    lines = example_lines(PARSERS[name])
    assert 1 <= len(lines) <= 3
    for line in lines:
        program, *words = shlex.split(re.split(" [<>] ", line)[0], comments=True)
        assert program == "harness"
        assert words[: len(name.split())] == name.split()
        build_parser().parse_args(words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("fixx", "harness: unknown command 'fixx'; did you mean fix?"),
        ("adapters lst", "harness adapters: unknown verb 'lst'; did you mean list?"),
        ("fix --failde", "harness fix: unknown option '--failde'; did you mean --failed?"),
        (
            "gate --max-repetitoin 0.1",
            "harness gate: unknown option '--max-repetitoin'; did you mean --max-repetition?",
        ),
        ("history --adaptr=v4.0", "harness history: unknown option '--adaptr'; did you mean --adapter?"),
        ("--verison", "harness: unknown option '--verison'; did you mean --version?"),
        ("train sfx", "harness train: argument stage: unknown 'sfx'; did you mean sft?; known: sft, dpo, kto"),
        ("report last extra", "harness report: unexpected argument 'extra'"),
        ("fly", "harness: unknown command 'fly'; known: gate, compare"),
    ],
)
def test_a_mistyped_word_gets_one_line_with_what_was_meant(
    capsys: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    """Exit code 2, one line, and the nearest known word."""
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(says)


def test_a_mistyped_word_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A word with an escape sequence is shown, not obeyed."""
    with pytest.raises(SystemExit):
        main(["fix", "--failed", "\x1b[2J"])
    assert "\x1b" not in capsys.readouterr().err


LEAVES = [name for name, parser in PARSERS.items() if not any(subparsers_of(parser))]
TALKS_TO_A_PERSON = {"chat", "completion"}
"""They report nothing: one is a conversation, and one writes a script for a shell."""


@pytest.mark.parametrize("name", [name for name in LEAVES if name not in TALKS_TO_A_PERSON])
def test_every_command_that_reports_has_json_and_quiet(name: str) -> None:
    """A program asks any command for JSON, and a script any one for silence."""
    options = PARSERS[name]._option_string_actions
    assert {"--json", "--quiet", "-q"} <= set(options)
