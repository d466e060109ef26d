"""Reads small files that may be anything: bounded, never blocking, and with two kinds of error only.

A manifest, a recipe or a state file is untrusted input. It may be a FIFO that never ends, a directory, gigabytes of
noise, not UTF-8, or nested so deep that a parser overflows. Every reader here raises :class:`OSError` (it cannot be
read) or :class:`ValueError` (it is not what it should be), each with one line of text.

Trade-off: the whole file is in memory. Case files have readers of their own, which go on after a wrong line.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from io import BufferedReader
from pathlib import Path
from typing import Any

__all__ = [
    "json_problem", "open_file", "parse_toml", "read_facts", "read_json", "read_object", "read_text", "read_toml",
    "reason",
]  # fmt: skip

_LARGEST = 64 * 2**20
_LARGEST_TOML = 8 * 2**20
"""A manifest of ten thousand versions is smaller."""
_MAX_CONTAINERS = 2_000_000
_MAX_COMMAS = 8_000_000
"""Signs of JSON above which its values would take many times the memory of its text."""


def open_file(path: Path) -> BufferedReader:
    """A regular file, open to read its bytes; anything else that may stand in its place blocks for ever or has no end.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    # Without O_NONBLOCK, opening a FIFO blocks until a writer opens it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_text(path: Path, *, largest: int = _LARGEST) -> str:
    """The text of a regular file, as UTF-8 with or without a byte order mark.

    Raises:
        OSError: it cannot be opened, is not a regular file, or has more than ``largest`` bytes.
        ValueError: it is not UTF-8.
    """
    with open_file(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"larger than {largest // 2**20} MiB", str(path))
    return data.decode("utf-8-sig")


def read_toml(path: Path) -> dict[str, Any]:
    """The table that a TOML file holds; errors as :func:`read_text`, and ValueError where it is not TOML."""
    return parse_toml(read_text(path, largest=_LARGEST_TOML))


def parse_toml(text: str) -> dict[str, Any]:
    """The table that ``text`` holds.

    Raises:
        ValueError: it is not TOML, nested too deep, or holds a number with thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        raise ValueError("a number too large") from error


def read_json(path: Path, *, largest: int = _LARGEST) -> Any:
    """The value that a JSON file holds; errors as :func:`read_text`, and ValueError where it is not JSON."""
    text = read_text(path, largest=largest)
    if problem := json_problem(text):
        raise ValueError(problem)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def json_problem(text: str) -> str:
    """Why JSON text should not be parsed: a million empty lists take 60 times their text in memory; "" if it may be.

    Signs inside of texts count too, so the limits are far above what texts hold.
    """
    if text.count("{") + text.count("[") > _MAX_CONTAINERS:
        return f"holds more than {_MAX_CONTAINERS:,} objects and lists; split it"
    return f"holds more than {_MAX_COMMAS:,} values; split it" if text.count(",") > _MAX_COMMAS else ""


def read_object(path: Path, *, largest: int = _LARGEST) -> dict[str, Any]:
    """The object that a JSON file holds; errors as :func:`read_json`, and ValueError for any other value."""
    value = read_json(path, largest=largest)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; empty where there is none that can be read, for what can be done without."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}


def reason(error: OSError | ValueError) -> str:
    """Why a file could not be read, in one line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
