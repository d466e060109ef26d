"""Shell scripts are read as bash would split them, without a shell and without this machine's variables."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.migrate.shell import Script, read_script


def words(text: str) -> list[list[str]]:
    return [[w.text for w in c.words] for c in read_script(text).commands]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a b  c", [["a", "b", "c"]], id="words"),
        pytest.param("a 'b c' \"d e\" f\\ g", [["a", "b c", "d e", "f g"]], id="quotes"),
        pytest.param("a \\\n  --b \\\r\n 1\n", [["a", "--b", "1"]], id="continued lines, also of Windows"),
        pytest.param("a # b\n#c\nd 'e # f' g#h", [["a"], ["d", "e # f", "g#h"]], id="comments"),
        pytest.param("a; b && c || d | e & f", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]], id="lists of commands"),
        pytest.param("A=1\nb $A \"${A}x\" '$A'", [["b", "1", "1x", "$A"]], id="variables"),
        pytest.param("export A=1 B=2\nlocal C=3\nb $A$B$C", [["b", "123"]], id="exported variables"),
        pytest.param("A='x  y'\nb $A \"$A\"", [["b", "x", "y", "x  y"]], id="a variable with blanks"),
        pytest.param("A=''\nb $A c \"$A\"", [["b", "c", ""]], id="an empty variable"),
        pytest.param("A=(x 'y z')\nA+=(w)\nb \"${A[@]}\" c", [["b", "x", "y z", "w", "c"]], id="arrays"),
        pytest.param("A=1\nA+=2\nb $A", [["b", "12"]], id="a variable that grows"),
        pytest.param("b ${A:-x/y} ${C-z}", [["b", "x/y", "z"]], id="defaults"),
        pytest.param("b > log.txt 2>&1\nc 2 >x &> all", [["b"], ["c", "2"]], id="redirections"),
        pytest.param("if true; then a b; else c; fi", [["true"], ["a", "b"], ["c"]], id="branches"),
        pytest.param("nohup a b &", [["a", "b"]], id="prefixes"),
        pytest.param("cat <<EOF\nx\nEOF\nb", [["cat"], ["b"]], id="a here-document is no command"),
        pytest.param("a \"b\\\"c\" 'd'e", [["a", 'b"c', "de"]], id="quotes inside words"),
    ],
)  # fmt: skip
def test_words_are_those_of_bash(text: str, expected: list[list[str]]) -> None:
    """What people write in training scripts becomes the words that bash would pass."""
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "unresolved"),
    [
        ("a $HOME/x", ("$HOME",)),
        ("a ${HOME}/x", ("${HOME}",)),
        ("a $(date +%F)", ("$(date +%F)",)),
        ("a `date`", ("`date`",)),
        ("a ${X%%/*}", ("${X%%/*}",)),
        ("a $1 $@", ("$1", "$@")),
        ("D=$(date)\na $D", ("$(date)",)),
        ("for D in 1 2; do a $D; done", ("$D",)),
    ],
    ids=["variable", "braces", "command", "backticks", "pattern", "arguments", "through a variable", "loop"],
)
def test_what_only_a_shell_knows_is_marked(
    text: str, unresolved: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of this machine say nothing about the machine that the script was written for."""
    monkeypatch.setenv("HOME", "/home/of/this/machine")
    command = read_script(text).commands[-1]
    assert tuple(mark for word in command.words for mark in word.unresolved) == unresolved
    assert "/home/of/this/machine" not in "".join(w.text for w in command.words)


def test_a_command_carries_the_variables_that_were_asked_for() -> None:
    """Those set before it and those in front of it; the latter are its own."""
    script = read_script("export A=1\nB=2\nA=3 x\ny", ("A", "B"))
    assert [{k: v.text for k, v in c.environment.items()} for c in script.commands] == [
        {"A": "3", "B": "2"}, {"A": "1", "B": "2"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("M=x\ncat > f.yaml <<EOF\na: $M\nEOF\n", "a: x\n"),
        ("M=x\ncat > f.yaml <<'EOF'\na: $M\nEOF\n", "a: $M\n"),
        ("cat <<-EOF > f.yaml\n\ta: 1\n\tEOF\n", "a: 1\n"),
    ],
    ids=["variables", "quoted", "tabs"],
)
def test_here_documents_are_kept_with_their_file(text: str, document: str) -> None:
    """A script that writes its own YAML file says what is in it."""
    (command,) = read_script(text).commands
    assert (command.document, command.output) == (document, "f.yaml")


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "cat <<EOF\nx", "a $(b", "a ${b"], ids=str)
def test_what_has_no_end_is_said(text: str) -> None:
    """A script that bash would refuse is read as far as it goes."""
    assert "no end" in " ".join(read_script(text).problems)


@pytest.mark.parametrize(
    "text",
    [
        "A=xxxxxxxxxxxxxxxx\n" + "A=$A$A\n" * 200 + "b $A",
        "A=" + "x" * 60_000 + "\n" + "b $A\n" * 5_000,
        "${" * 200_000,
        "$(" * 200_000,
        "\n".join(f"V{i}={i}\nx" for i in range(20_000)),
        "<<A\n" * 20_000,
    ],
    ids=["doubling", "repeating", "braces", "brackets", "variables", "documents"],
)
def test_a_hostile_script_is_read_in_bounded_time(text: str) -> None:
    """Variables that grow and brackets without an end cost no minutes."""
    began = time.process_time()
    read_script(text, ("A",))
    assert time.process_time() - began < 10


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(" \n\t\\'\"$`(){}<>|&;#=-~!*ab1A\r")) | st.text())
def test_no_text_is_an_error(text: str) -> None:
    """Whatever the text, there is a script, and its words are texts."""
    script = read_script(text, ("A",))
    assert isinstance(script, Script)
    assert all(isinstance(w.text, str) for c in script.commands for w in c.words)
