"""Reads the bytes of a case file into records: JSON and JSONL here, tables in :mod:`harness.cases.tables`.

Reading is bounded before it starts. The file must be regular (a FIFO would never end), must not leave its folder
through a symbolic link, and may have at most 64 MiB. A line of JSONL ends at a newline only; ``str.splitlines`` would
cut a text at U+2028. A problem of the whole file ends its reading, a problem of one line does not.

Trade-off: all of a file is in memory, several times over while it is parsed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.cases.parquet import read_parquet
from harness.cases.problems import Problems, kind, show
from harness.cases.record import MAX_RECORDS, TOO_MANY, CaseRecord
from harness.cases.strictjson import MalformedJSON, Refused, parse
from harness.cases.tables import read_csv, read_xlsx
from harness.safe.read import parse_toml

__all__ = ["MAX_FILE_SIZE", "SUFFIXES", "decode_text", "read_bytes", "read_records", "read_toml"]

MAX_FILE_SIZE = 64 * 1024 * 1024
"""Bytes; 64 MiB of prompts are some 20,000 pages."""
SUFFIXES = (".json", ".jsonl", ".csv", ".xlsx", ".parquet")


def read_records(path: Path, problems: Problems) -> list[CaseRecord]:
    """The records of one case file, in its order, unchecked; what kept a record from being read is in ``problems``."""
    suffix = path.suffix.lower()
    place = show(path)
    if suffix not in SUFFIXES:
        problems.add(place, f"a case file ends with {', '.join(SUFFIXES)}; rename or convert it")
        return []
    before = problems.count
    data = read_bytes(path, problems)
    if data is None:
        return []
    if suffix in (".xlsx", ".parquet"):
        read_binary = read_xlsx if suffix == ".xlsx" else read_parquet
        records = read_binary(data, place, problems, MAX_FILE_SIZE)
    else:
        text = decode_text(data, place, problems)
        if text is None:
            return []
        read = {".json": _read_json, ".jsonl": _read_jsonl, ".csv": read_csv}[suffix]
        records = read(text, place, problems)
    if not records and problems.count == before:
        problems.add(place, "holds no case; write one, or remove the file")
    return records


def read_toml(path: Path, problems: Problems) -> dict[str, object]:
    """The top-level keys of a TOML file; empty, with the reason in ``problems``, when it cannot be read."""
    data = read_bytes(path, problems)
    text = None if data is None else decode_text(data, show(path), problems)
    if text is None:
        return {}
    try:
        return parse_toml(text)
    except ValueError as error:
        problems.add(show(path), f"not TOML: {error}; fix it")
    return {}


def read_bytes(path: Path, problems: Problems) -> bytes | None:
    """The bytes of a regular file of at most 64 MiB; None, with the reason in ``problems``."""
    place = show(path)
    try:
        home, real = path.parent.resolve(strict=True), path.resolve(strict=True)
        if not real.is_relative_to(home):
            problems.add(place, "is a symbolic link that leaves its folder; put the file itself here")
            return None
        # Without O_NONBLOCK, opening a FIFO blocks until a writer opens it.
        descriptor = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as handle:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                problems.add(place, "is not a regular file; put a file here, or rename it")
                return None
            data = handle.read(MAX_FILE_SIZE + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links, before Python 3.13
        why = error.strerror if isinstance(error, OSError) and error.strerror else "a loop of symbolic links"
        problems.add(place, f"cannot be read: {why}; give a readable file")
        return None
    if len(data) > MAX_FILE_SIZE:
        problems.add(place, f"is larger than {MAX_FILE_SIZE // 2**20} MiB; split it over several folders")
        return None
    return data


def decode_text(data: bytes, place: str, problems: Problems) -> str | None:
    """UTF-8 with or without a byte order mark; None, with the reason in ``problems``."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.add(place, "not UTF-8: byte 0xff or 0xfe at offset 0, it looks like UTF-16; save it as UTF-8")
        return None
    mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    try:
        return data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = mark + error.start
        line = data.count(b"\n", 0, at) + 1
        problems.add(
            place,
            f"not UTF-8: byte 0x{data[at]:02x} at offset {at} (line {line}); convert it, "
            "e.g. iconv -f GB18030 -t UTF-8 (or from its real encoding)",
        )
        return None


def _read_json(text: str, place: str, problems: Problems) -> list[CaseRecord]:
    try:
        value = parse(text)
    except MalformedJSON as error:
        hint = "; for a record on each line name the file .jsonl" if error.extra else "; fix it"
        problems.add(place, (_spot(error) if text.strip() else "is empty; expected a list of records") + hint)
        return []
    if isinstance(value, list) and len(value) > MAX_RECORDS:
        problems.add(place, TOO_MANY)
        return []
    if isinstance(value, list):
        return [CaseRecord(f"{place}, record {number}", item) for number, item in enumerate(value, 1)]
    what = value.what if isinstance(value, Refused) else f"holds {kind(value)}"
    problems.add(place, f"{what}; expected a list of records, [{{...}}, {{...}}]")
    return []


def _read_jsonl(text: str, place: str, problems: Problems) -> list[CaseRecord]:
    records: list[CaseRecord] = []
    if text.count("\n") > MAX_RECORDS:
        problems.add(place, TOO_MANY)
        return records
    number = 0
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        number += 1
        where = f"{place}, record {number} (line {line})"
        try:
            records.append(CaseRecord(where, parse(content)))
        except MalformedJSON as error:
            column = f" at column {error.column}" if error.column else ""
            problems.add(where, f"not JSON{column}: {error}; expected one record in one line")
    return records


def _spot(error: MalformedJSON) -> str:
    where = f" at line {error.line}, column {error.column}" if error.line else ""
    return f"not JSON{where}: {error}"
