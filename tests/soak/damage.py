"""Ways in which a file on a disk goes wrong, and ways in which a person or another version writes it.

Each takes the bytes of a sound file and a random draw. Those of structured text know the format, so that the damage
lies behind the parser: another type, a deep nest, a number too large, a schema of another version.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import tempfile
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["damaged"]

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1.5, -1e308, float("nan"), float("inf"), "", "x" * 5000, "\x00", "../../x", "\ud800",
    [], [None], {}, {"a": []}, [[[[1]]]], {"schema": 99},
)  # fmt: skip
_DOCUMENTS: tuple[bytes, ...] = (
    b"", b"\x00", b"null", b"[]", b'"x"', b"5", b"{}", b"NaN", b"[" * 20_000, b'{"a":' * 20_000, b"9" * 5_000,
    b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"\xff\xfe\xfa", b"a = 1\n" * 2, b"{]", b"\r\n\r\n", b"\x00" * 4096,
    b'{"a": 1, "a": 2}', b"[[", b"[a.b]\n[a]\nb = 1", b'a = "' + b"x" * 70_000,
)  # fmt: skip


def damaged(data: bytes, suffix: str, draw: random.Random) -> bytes:
    """The content of a file of this suffix, damaged."""
    ways: list[Callable[[bytes, random.Random], bytes]] = [_cut, _flipped, _flipped, _zeroed, _replaced, _doubled]
    if suffix in (".json", ".toml"):
        ways += [_retyped(suffix)] * 6
    elif suffix == ".jsonl":
        ways += [_line_retyped] * 6
    elif suffix == ".sqlite":
        ways = [_cut, _flipped, _flipped, _zeroed, _replaced, _swapped, _row_changed, _row_changed, _foreign]
    for _ in range(20):
        changed = draw.choice(ways)(data, draw)
        if changed != data:
            return changed
    return b""


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))] if data else b"\x00"


def _flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data or b"\x00")
    for _ in range(draw.choice((1, 1, 8, 64))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _zeroed(data: bytes, draw: random.Random) -> bytes:
    """A page, or what there is of one, that the disk has lost."""
    at = draw.randrange(0, max(1, len(data)), 512) if len(data) > 512 else 0
    size = min(4096, max(1, len(data) // 2))
    return data[:at] + bytes(size) + data[at + size :]


def _replaced(data: bytes, draw: random.Random) -> bytes:
    return draw.choice(_DOCUMENTS)


def _doubled(data: bytes, draw: random.Random) -> bytes:
    return data + data


def _swapped(data: bytes, draw: random.Random) -> bytes:
    pages = max(2, len(data) // 4096)
    one, other = sorted(draw.sample(range(pages), 2))
    parts = [data[n * 4096 : (n + 1) * 4096] for n in range(pages)]
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


def _retyped(suffix: str) -> Callable[[bytes, random.Random], bytes]:
    def change(data: bytes, draw: random.Random) -> bytes:
        try:
            value = json.loads(data) if suffix == ".json" else tomllib.loads(data.decode())
        except ValueError:
            return data
        _replace_one(value, draw)
        if suffix == ".json":
            return json.dumps(value).encode("utf-8", "surrogatepass")
        import tomlkit

        # What TOML cannot say is no damage of a TOML file.
        with contextlib.suppress(Exception):
            return tomlkit.dumps(value).encode()
        return data

    return change


def _line_retyped(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    number = draw.randrange(len(lines))
    lines[number] = _retyped(".json")(lines[number], draw) or draw.choice(_DOCUMENTS)[:200]
    return b"\n".join(lines)


def _replace_one(value: Any, draw: random.Random) -> None:
    """Give one place in the value, at any depth, a value of another type, or take it away."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, item in items:
            places.append((node, key))
            walk(item)

    walk(value)
    if not places:
        return
    node, key = draw.choice(places)
    if draw.random() < 0.2 and isinstance(node, dict):
        del node[key]
    elif draw.random() < 0.1:
        deep: Any = 1
        for _ in range(draw.choice((50, 400))):
            deep = [deep]
        node[key] = deep
    elif key in ("schema", "version"):
        node[key] = draw.choice((0, 2, 99, "1", "x", None))
    else:
        node[key] = draw.choice(_VALUES)


def _in_database(data: bytes, change: Callable[[sqlite3.Connection], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.sqlite"
        path.write_bytes(data)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            with contextlib.suppress(sqlite3.Error):
                change(connection)
        return path.read_bytes()


def _row_changed(data: bytes, draw: random.Random) -> bytes:
    """A value of a row that another program has written."""

    def change(connection: sqlite3.Connection) -> None:
        table = draw.choice(("runs", "results", "trainings", "generations", "prompts", "parts", "groups"))
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        value = draw.choice(("", "x", "{}", "[]", "null", "[" * 3000, "9" * 5000, "\x00", 7, b"\xff\xfe"))
        connection.execute(f"UPDATE {table} SET {draw.choice(columns)} = ?", (value,))

    return _in_database(data, change)


def _foreign(data: bytes, draw: random.Random) -> bytes:
    """A schema of another version, or of another program."""
    statement = draw.choice((
        "PRAGMA user_version = 99", "PRAGMA user_version = -1", "PRAGMA user_version = 1", "PRAGMA user_version = 0",
        "DROP TABLE results", "DROP TABLE runs", "DROP TABLE trainings", "ALTER TABLE runs RENAME TO walks",
        "ALTER TABLE results RENAME COLUMN result TO outcome", "CREATE TABLE another (a)", "DELETE FROM runs",
        "UPDATE harness_version SET version_num = 'x'", "DELETE FROM harness_version",
    ))  # fmt: skip
    return _in_database(data, lambda connection: connection.execute(statement))
