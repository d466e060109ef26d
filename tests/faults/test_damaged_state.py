"""A damaged run database gives an error of one line, and never a green gate over what it no longer holds."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from harness.cli import main
from tests.faults.conftest import Make

COMMANDS = (
    ("gate",),
    ("history",),
    ("report", "last"),
    ("compare", "v4.0", "v4.1"),
    ("pairs", "--failed"),
    ("fix", "--failed", "--dry-run"),
    ("adapters", "list"),
)


def damage(data: bytes, draw: random.Random) -> bytes:
    """The file with bytes changed, cut off, or a page of it replaced."""
    kind = draw.choice(("bytes", "bytes", "bytes", "cut", "zeros", "swap"))
    changed = bytearray(data)
    page = 4096 * draw.randrange(1, max(2, len(data) // 4096))
    if kind == "bytes":
        for _ in range(draw.choice((1, 8, 64))):
            changed[draw.randrange(100, len(changed))] = draw.randrange(256)
    elif kind == "cut":
        del changed[page:]
    elif kind == "zeros":
        changed[page : page + 4096] = bytes(4096)
    else:
        other = 4096 * draw.randrange(1, max(2, len(data) // 4096))
        changed[page : page + 4096], changed[other : other + 4096] = (
            data[other : other + 4096],
            data[page : page + 4096],
        )
    return bytes(changed)


@pytest.fixture
def red(failing: Make, pytester: pytest.Pytester) -> Path:
    """A project with a green run and, after it, a red one; the write-ahead log is in the database."""
    from tests.support.projects import CLEAN, LOOP

    root = failing(script={"sea": CLEAN, "hill": CLEAN, "calm": CLEAN})
    (root / "script.json").write_text(f'{{"sea": {LOOP!r}, "hill": {CLEAN!r}, "calm": {CLEAN!r}}}'.replace("'", '"'))
    pytester.runpytest("badcases", "--adapter", "v4.0", "--no-cache")
    assert main(["gate"]) == 1
    return root


@pytest.mark.parametrize("seed", range(8))
def test_no_damage_makes_the_gate_green_or_ends_in_a_traceback(
    red: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """68 of 1,211 commands on damaged databases ended in a traceback, and 22 gates were green."""
    database = red / "reports" / "harness.sqlite"
    whole = database.read_bytes()
    draw = random.Random(seed)
    for _ in range(6):
        database.write_bytes(damage(whole, draw))
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        for command in COMMANDS:
            capsys.readouterr()
            code = main(list(command))
            said = capsys.readouterr().err
            assert "Traceback" not in said, (command, said)
            if command == ("gate",):
                assert code != 0
    shutil.rmtree(red / "reports")
