"""The form of a stretch, and whether a text breaks off."""

from __future__ import annotations

import pytest

from harness.metrics.forms import Form, Lines

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    return f(n - 1)\n' * 2


@pytest.mark.parametrize(
    ("text", "form"),
    [
        pytest.param("The harbour was quiet that morning, and two boats lay against the wall.", Form.PROSE, id="prose"),
        pytest.param("1. Open the door.\n2. Close the door.\n", Form.LIST, id="numbered list"),
        pytest.param("一、注意休息。\n二、多喝水。\n", Form.LIST, id="chinese list"),
        pytest.param("\\item The roof\n\\item The door\n", Form.LIST, id="items of LaTeX"),
        pytest.param("Liver: normal in size.\nSpleen: normal in size.\n", Form.LABELS, id="findings"),
        pytest.param("月曜日：午前九時から\n火曜日：午前九時から\n", Form.LABELS, id="japanese hours"),
        pytest.param("The tide comes in,\nThe tide goes out\n", Form.VERSE, id="verse"),
        pytest.param("Row 1 (RS): Knit all.\nRow 2 (WS): Purl all.\n", Form.ROWS, id="knitting"),
        pytest.param("第一圈：每针钩一短针。\n第二圈：每针钩一短针。\n", Form.ROWS, id="chinese crochet"),
        pytest.param("def f(x):\n    return x + 1\n", Form.CODE, id="python"),
        pytest.param("    nop\n    nop\n    mov eax, 1\n", Form.CODE, id="assembler"),
        pytest.param("```\nanything at all\n```\n", Form.CODE, id="fence"),
        pytest.param("gcc -O2 -c main.c -o main.o\ngcc -O2 -c util.c -o util.o\n", Form.CODE, id="commands"),
        pytest.param("<tr><td>a</td></tr>\n<tr><td>b</td></tr>\n", Form.MARKUP, id="html"),
        pytest.param("| a | b |\n|---|---|\n| 1 | 2 |\n", Form.TABLE, id="table"),
        pytest.param("1,Ann,Oslo,39\n2,Bob,Lima,44\n", Form.TABLE, id="csv"),
        pytest.param("Shoe – Blue – 40\nShoe – Blue – 41\n", Form.TABLE, id="records"),
        pytest.param("[0, 0, 0, 0],\n[0, 0, 0, 0],\n", Form.DATA, id="matrix"),
        pytest.param('{"id": 1, "on": true},\n{"id": 2, "on": true},\n', Form.DATA, id="json"),
        pytest.param("X......X\n.X....X.\n", Form.DATA, id="board"),
        pytest.param("2026-05-12 10:00:01 INFO ok\n2026-05-12 10:00:02 INFO ok\n", Form.LOG, id="log"),
        pytest.param(TRACEBACK, Form.TRACE, id="python traceback"),
        pytest.param("\tat com.acme.Tree.depth(Tree.java:41)\n" * 3, Form.TRACE, id="java trace"),
        pytest.param("main.walk(0xc00001)\n\t/src/main.go:14 +0x2a\n" * 2, Form.TRACE, id="go trace"),
        pytest.param("00:00:03,000 --> 00:00:05,000\n[00:05] Thank you.\n", Form.SUBTITLES, id="subtitles"),
        pytest.param("🦁👑🎬", Form.PROSE, id="pictures"),
    ],
)  # fmt: skip
def test_a_form_is_told_by_its_lines(text: str, form: Form) -> None:
    """In the order of the enumeration, in several scripts."""
    assert Lines(text).form(0, len(text)) is form


def test_the_form_is_that_of_the_stretch_not_of_the_text() -> None:
    """A table behind a page of prose is a table."""
    prose = "The harbour was quiet that morning, and two boats lay against the wall to dry in the sun. " * 9
    table = "| a | b | c |\n" * 6
    lines = Lines(f"{prose}\n{table}")
    assert lines.form(len(prose) + 1, len(prose) + len(table)) is Form.TABLE
    assert lines.form(0, len(prose)) is Form.PROSE


def test_a_line_of_prose_behind_a_label_is_prose() -> None:
    """Only short lines are labelled, or rows."""
    line = "Answer: " + "it was built by two brothers who came from the north and left again. " * 5
    assert Lines(line).form(0, len(line)) is Form.PROSE


@pytest.mark.parametrize(
    ("text", "share"),
    [("| a | b |\n| c | d |\n", 1.0), ("", 0.0), ("x = f(1);\n" + "The tide comes in again" + "\n", (9 + 23 / 2) / 32)],
    ids=["table", "empty", "mixed"],
)
def test_the_structured_share_counts_characters(text: str, share: float) -> None:
    """Of the lines that hold something."""
    assert Lines(text).structured() == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        pytest.param("print(fizz(1))\nprint(fizz(2))\nprint(fiz", True, id="open bracket"),
        pytest.param("```python\nx = 1\n", True, id="open fence"),
        pytest.param('"""\nWrite a function', True, id="open docstring"),
        pytest.param("1. Open the door.\n2. Close the door.\n1. Open", True, id="beginning of an earlier line"),
        pytest.param("total = 0\nfor x in xs:\n    total +=", True, id="operator"),
        pytest.param("The old mill stands by the river and has been there for longer than any", True, id="prose"),
        pytest.param("The old mill stands by the river and has been there for longer than we.", False, id="full stop"),
        pytest.param("def f(x):\n    return [x]\n", False, id="whole code"),
        pytest.param("Let it be, let it be\nLet it be", False, id="verse"),
        pytest.param("", False, id="empty"),
    ],
)  # fmt: skip
def test_a_text_that_breaks_off_is_told(text: str, broken: bool) -> None:
    """By what it leaves open."""
    assert Lines(text).break_off() is broken
