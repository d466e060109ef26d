"""Reads files of records one at a time: JSON arrays, JSONL, CSV and, in the trainer's environment, Parquet.

A file of half a gigabyte is never in memory whole, not even a JSON array. What is wrong is named with file and line or
record; nothing is skipped. Not supported: compressed files, and folders of files.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from harness.errors import DataError

__all__ = ["read_rows"]

_CHUNK = 1 << 20


def read_rows(path: Path, parquet: Callable[[Path], Path] | None = None) -> Iterator[Mapping[str, Any]]:
    """The records of one file as mappings.

    Args:
        path: its suffix says what it is.
        parquet: turns a Parquet file into JSONL; None: Parquet is refused.

    Raises:
        DataError: missing, of an unknown kind, not UTF-8, or not what its name says.
    """
    kind = path.suffix.lower()
    if kind == ".parquet":
        if parquet is None:
            raise DataError(f"{path}: Parquet is read in the trainer's environment; run: harness setup")
        path, kind = parquet(path), ".jsonl"
    readers = {".json": _json_rows, ".jsonl": _jsonl_rows, ".csv": _csv_rows}
    if kind not in readers:
        raise DataError(f"{path}: unknown kind of file {path.suffix!r}; use .json, .jsonl, .csv or .parquet")
    try:
        # A FIFO would be waited for for ever.
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is not a regular file")
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from readers[kind](file, path)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not UTF-8 ({error.reason}); convert it, e.g. iconv -f GB18030 -t UTF-8 (or from its real "
            "encoding)"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _jsonl_rows(file: TextIO, path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                value = json.loads(line, object_pairs_hook=_unique)
            except (ValueError, RecursionError, _RepeatedKey) as error:
                raise DataError(f"{path}: line {number} is not JSON: {error}") from error
            yield _mapping(value, f"{path}: line {number}")


def _json_rows(file: TextIO, path: Path) -> Iterator[Mapping[str, Any]]:
    text = _Text(file)
    if (sign := text.take()) != "[":
        raise DataError(f"{path}: is empty" if not sign else f"{path}: must be a list of records: [ ... ]")
    number = 0
    if text.peek() == "]":
        text.take()
    else:
        while True:
            number += 1
            try:
                value = text.value()
            except (ValueError, RecursionError, _RepeatedKey) as error:
                raise DataError(f"{path}: record {number} is cut off or not JSON: {error}") from error
            yield _mapping(value, f"{path}: record {number}")
            sign = text.take()
            if sign == "]":
                break
            if sign != ",":
                raise DataError(f"{path}: after record {number} comes {sign!r}, neither a comma nor the list's end")
    if text.peek():
        raise DataError(f"{path}: there is text after the list of records")


class _RepeatedKey(Exception):
    """An object names a key twice. Not a ValueError: more text would not mend it."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that stands there twice is refused, since readers do not agree on which one counts."""
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(f"the key {next(k for k in keys if keys.count(k) > 1)!r} is given twice; keep one")
    return value


class _Text:
    """A file's text, of which only what is being read is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held = ""
        self._ended = False
        self._decoder = json.JSONDecoder(object_pairs_hook=_unique)

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        self._held = self._held.lstrip()
        while not self._held and not self._ended:
            self._read()
            self._held = self._held.lstrip()
        return self._held[:1]

    def take(self) -> str:
        """The same, and move on."""
        sign = self.peek()
        self._held = self._held[1:]
        return sign

    def value(self) -> Any:
        """The JSON value that begins here."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held)
            except ValueError:
                # Not whole yet, or never: only the end of the file tells.
                if self._ended:
                    raise
                self._read()
            else:
                self._held = self._held[end:]
                return value

    def _read(self) -> None:
        # As much again as is held: a value of many chunks is not parsed again for each of them.
        more = self._file.read(max(_CHUNK, len(self._held)))
        self._ended = not more
        self._held += more


def _csv_rows(file: TextIO, path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.DictReader(file, strict=True)
    try:
        header = list(reader.fieldnames or ())
        for sign, name in ((";", "semicolons"), ("\t", "tabs")):
            if len(header) == 1 and sign in header[0]:
                raise DataError(f"{path}: its columns are separated by {name}; separate them by commas")
        for row in reader:
            if None in row or None in row.values():
                raise DataError(f"{path}: line {reader.line_num} has another number of fields than the header")
            yield row
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is not CSV: {error}") from error


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where} is not an object")
    return value
