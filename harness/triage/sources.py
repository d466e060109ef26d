"""Log files as streams of records: bounded memory, and no record that ends the reading of the others.

    lines       JSON lines; a file that is not compressed is read in parts, by several processes
    values      a JSON array, or objects over several lines
    csv         a table with a first row of names; commas, semicolons or tabs
    parquet     by row groups
    text        a server's log: JSON behind a time stamp, or vLLM's "Received request" and "Generated response"

Each of them may be compressed with gzip or zstd, but for Parquet. The kind is told by content, the suffix decides for
tables only. What cannot be read is counted in :class:`Notes`, with the first few places and reasons.

Not supported: one JSON object with the records inside it, archives (tar, zip), and encodings other than UTF-8.
"""

from __future__ import annotations

import ast
import codecs
import csv
import errno
import io
import json
import re
import stat
import zlib
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from harness.errors import UsageError
from harness.triage.shapes import read_object

__all__ = ["MAX_RECORD", "PART", "LogFile", "Notes", "Part", "count_lines", "open_log", "parts_of", "read_part"]

MAX_RECORD = 16 * 2**20
"""Bytes of one record; a longer line is passed over and counted."""
CHUNK = 4 * 2**20
PART = 64 * 2**20
"""Bytes of a part of a file."""
SAMPLE = 2**20
"""Bytes that tell what a file is."""
SHOWN = 5
"""Broken records that are named."""
MAX_WAITING = 20_000
"""Requests of a server's log whose response has not come yet."""
Kind = Literal["lines", "values", "csv", "parquet", "text"]
_BROKEN_STREAM = (OSError, EOFError, zlib.error)
_SEPARATORS = re.compile(r"[\s,\[\]]*")
_NEXT_OBJECT = re.compile(r"\}\s*,?\s*(?=\{)")
_LITERAL = rb"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_RECEIVED = re.compile(rb"Received request (\S+): prompt: " + _LITERAL)
_GENERATED = re.compile(
    rb"Generated response (\S+?)(?: \(streaming (\w+)\))?: output: " + _LITERAL + rb"(?:.*?finish_reason: (\w+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One file and what it is."""

    path: Path
    kind: Kind
    compression: Literal["", "gzip", "zstd"] = ""
    size: int = 0
    delimiter: str = ","


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a file: bytes of lines, or row groups."""

    file: LogFile
    start: int = 0
    end: int | None = None

    @property
    def size(self) -> int:
        if self.end is None or self.file.kind == "parquet":
            return self.file.size if self.end is None else 0
        return self.end - self.start


@dataclass(slots=True, kw_only=True)
class Notes:
    """What could not be read."""

    lines: int = 0
    """Lines, rows or records seen."""
    broken: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)
    too_long: int = 0

    def wrong(self, place: int, why: str) -> None:
        """Count a record that cannot be read."""
        self.broken += 1
        if len(self.examples) < SHOWN:
            self.examples.append((place, why[:200]))


def open_log(path: Path) -> LogFile:
    """What a file is.

    Raises:
        UsageError: it cannot be read, or is of no known kind.
    """
    try:
        size = _regular(path)
        with path.open("rb") as raw:
            magic = raw.read(4)
        if magic == b"PAR1":
            return LogFile(path=path, kind="parquet", size=size)
        compression: Literal["", "gzip", "zstd"] = (
            "gzip" if magic[:2] == b"\x1f\x8b" else "zstd" if magic == b"\x28\xb5\x2f\xfd" else ""
        )
        bare = LogFile(path=path, kind="lines", compression=compression, size=size)
        with closing(_stream(bare)) as stream:
            head = _head(stream)
    except _BROKEN_STREAM as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}; expected a readable log") from error
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if ".csv" in suffixes or ".tsv" in suffixes:
        line = head.split(b"\n", 1)[0].decode("utf-8", "replace")
        delimiter = max("\t,;" if ".tsv" in suffixes else ",;\t", key=line.count)
        return LogFile(path=path, kind="csv", compression=compression, size=size, delimiter=delimiter)
    return LogFile(path=path, kind=_kind(path, head), compression=compression, size=size)


def parts_of(file: LogFile, size: int = PART) -> list[Part]:
    """The parts that can be read independently."""
    if file.kind == "parquet":
        from pyarrow.parquet import ParquetFile

        with closing(ParquetFile(file.path)) as table:
            groups = table.metadata.num_row_groups
        return [Part(file=file, start=at, end=at + 1) for at in range(groups)] or [Part(file=file, start=0, end=0)]
    if file.kind != "lines" or file.compression or file.size <= size:
        return [Part(file=file)]
    starts = range(0, file.size, size)
    return [Part(file=file, start=at, end=min(at + size, file.size)) for at in starts]


def read_part(part: Part, notes: Notes, columns: Sequence[str] = ()) -> Generator[tuple[int, Any]]:
    """The records of a part, each with its place, from 1 at the beginning of the part.

    Args:
        part: what to read.
        notes: where what cannot be read is counted.
        columns: for Parquet, the paths that are needed; empty for all columns.

    Yields:
        The place, and the line as bytes (``lines``) or the record as Python values.
    """
    file = part.file
    if file.kind == "parquet":
        yield from _parquet(part, notes, columns)
        return
    try:
        with closing(_stream(file)) as stream:
            if file.kind == "lines":
                yield from _lines(stream, notes, part.start, part.end)
            elif file.kind == "values":
                yield from _values(stream, notes)
            elif file.kind == "csv":
                yield from _csv(stream, notes, file.delimiter)
            else:
                yield from _server_log(_lines(stream, notes, 0, None), notes)
    except _BROKEN_STREAM as error:
        notes.wrong(notes.lines + 1, f"the rest cannot be read: {getattr(error, 'strerror', None) or error}")


def count_lines(part: Part) -> int:
    """Lines of a part that was not read to its end, so that places behind it can be told."""
    count = 0
    with part.file.path.open("rb") as stream:
        stream.seek(part.start)
        left = (part.end or part.file.size) - part.start
        while left > 0 and (data := stream.read(min(CHUNK, left))):
            count += data.count(b"\n")
            left -= len(data)
    return count


def _head(stream: BinaryIO) -> bytes:
    """The first bytes; of a damaged stream what there is."""
    head = b""
    try:
        while len(head) < SAMPLE and (data := stream.read(SAMPLE - len(head))):
            head += data
    except _BROKEN_STREAM:
        if not head:
            raise
    return head


def _regular(path: Path) -> int:
    """The size of a regular file; a FIFO would never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return status.st_size


def _stream(file: LogFile) -> BinaryIO:
    raw = file.path.open("rb")
    if file.compression == "gzip":
        return cast("BinaryIO", _Gzip(raw))
    if file.compression != "zstd":
        return raw
    try:
        import zstandard
    except ImportError as error:
        raw.close()
        raise UsageError(f"{file.path}: reading zstd needs: pip install 'badcase-harness[zstd]'") from error
    return cast("BinaryIO", _Zstd(zstandard, raw))


class _Unpacked(io.RawIOBase):
    """A stream over a packed one, which it owns; a kind of packing has its own ``read``."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__()
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer)) or b""
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Gzip(_Unpacked):
    """A gzip stream, which of a file that was cut gives all that can be unpacked; gzip's own reader loses a block."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(raw)
        self._member = zlib.decompressobj(wbits=31)
        self._packed = b""

    def read(self, size: int = -1) -> bytes:
        while True:
            if self._member.eof:
                # The next member, or zeros to the end.
                self._packed = self._member.unused_data.lstrip(b"\0") or self._raw.read(CHUNK).lstrip(b"\0")
                if not self._packed:
                    return b""
                self._member = zlib.decompressobj(wbits=31)
            packed = self._packed or self._raw.read(CHUNK)
            if not packed:
                raise EOFError("it ends in the middle of its gzip stream")
            data = self._member.decompress(packed, max(size, 0))
            self._packed = self._member.unconsumed_tail
            if data:
                return data


class _Zstd(_Unpacked):
    """A zstd stream whose errors are OSErrors; frames one behind the other are one stream."""

    def __init__(self, zstandard: Any, raw: BinaryIO) -> None:
        super().__init__(raw)
        self._error = zstandard.ZstdError
        self._reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)

    def read(self, size: int = -1) -> bytes:
        try:
            return cast("bytes", self._reader.read(size))
        except self._error as error:
            raise OSError(errno.EIO, f"damaged zstd stream: {error}") from error


def _kind(path: Path, head: bytes) -> Kind:
    bare = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not bare:
        raise UsageError(f"{path}: is empty; expected a log")
    if bare[:1] == b"[" and bare[1:].lstrip()[:1] in (b"{", b"]", b""):
        return "values"
    whole = bare.split(b"\n")[:50]
    if any(line.lstrip()[:1] == b"{" and _is_object(line) for line in whole):
        return "lines"
    if bare[:1] == b"{":
        return "values" if b"\n" in bare and bare.split(b"\n", 1)[0].strip() in (b"{", b"{}") else "lines"
    if b"\0" in head:
        raise UsageError(f"{path}: is no log of a known kind (JSON, CSV, Parquet, text; gzip or zstd)")
    return "text"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(read_object(line), dict)
    except ValueError:
        return False


def _lines(stream: BinaryIO, notes: Notes, start: int, end: int | None) -> Iterator[tuple[int, bytes]]:
    """Lines that begin in ``start .. end``, blank ones left out; a line that is too long is passed over."""
    place = start
    if start:
        # The line that the byte before belongs to is the part's before this one.
        stream.seek(start - 1)
        place = start - 1
    rest = b""
    skip_first, passing = bool(start), False
    number = 0
    while True:
        data = stream.read(CHUNK)
        last = not data
        block = rest + data
        cut = len(block) if last else block.rfind(b"\n") + 1
        rest = block[cut:]
        pieces = block[:cut].split(b"\n") if cut else []
        if pieces and not pieces[-1]:
            pieces.pop()
        for piece in pieces:
            if skip_first:
                skip_first = False
                place += len(piece) + 1
                continue
            if end is not None and place >= end:
                return
            place += len(piece) + 1
            if passing:
                passing = False
                continue
            number += 1
            notes.lines = number
            if len(piece) > MAX_RECORD:
                notes.too_long += 1
            elif piece and not piece.isspace():
                yield number, piece
        if last:
            return
        if len(rest) > MAX_RECORD:
            # Its end is in a later block.
            if not passing and not skip_first:
                if end is not None and place >= end:
                    return
                number += 1
                notes.lines = number
                notes.too_long += 1
                passing = True
            place += len(rest)
            rest = b""


def _values(stream: BinaryIO, notes: Notes) -> Iterator[tuple[int, Any]]:
    """JSON values one behind the other, in arrays or not; places are lines."""
    decode = codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode
    scan = json.JSONDecoder().raw_decode
    buffer, at, line, ended, want = "", 0, 1, False, CHUNK
    while True:
        separator = cast("re.Match[str]", _SEPARATORS.match(buffer, at))
        line += buffer.count("\n", at, separator.end())
        at = separator.end()
        if at < len(buffer):
            try:
                value, stop = scan(buffer, at)
            except RecursionError:
                notes.wrong(line, "nested too deep; the rest of the file was not read")
                return
            except ValueError as error:
                cut = isinstance(error, json.JSONDecodeError) and _cut(error, len(buffer))
                if (ended or not cut or len(buffer) - at > MAX_RECORD) and at < len(buffer):
                    following = _NEXT_OBJECT.search(buffer, max(at + 1, getattr(error, "pos", at)))
                    if following is None and not ended and len(buffer) - at <= MAX_RECORD:
                        pass
                    else:
                        notes.wrong(line, f"not JSON: {getattr(error, 'msg', error)}")
                        if following is None:
                            return
                        line += buffer.count("\n", at, following.end())
                        at = following.end()
                        continue
            else:
                place = line
                line += buffer.count("\n", at, stop)
                at = stop
                notes.lines = line
                want = CHUNK
                yield place, value
                continue
        if ended:
            return
        data = stream.read(want)
        ended = not data
        buffer = buffer[at:] + decode(data, ended)
        at = 0
        # A record over many blocks is parsed again with each, so the blocks grow with it.
        want = max(CHUNK, len(buffer))


def _cut(error: json.JSONDecodeError, size: int) -> bool:
    """Whether a value may only lack its end."""
    return error.msg.startswith("Unterminated string") or error.pos >= size - 16


def _csv(stream: BinaryIO, notes: Notes, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    limit = csv.field_size_limit(MAX_RECORD)
    try:
        # A NUL is data to the reader since Python 3.11.
        reader = csv.reader(text, delimiter=delimiter)
        names: list[str] | None = None
        while True:
            place = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                notes.wrong(place, f"not CSV: {error}")
                continue
            if row is None:
                return
            if not row:
                continue
            if names is None:
                names = row
            elif len(row) != len(names):
                notes.wrong(place, f"has {len(row)} cells, and the first row has {len(names)}")
            else:
                notes.lines = reader.line_num
                yield place, dict(zip(names, row, strict=True))
    finally:
        csv.field_size_limit(limit)
        # The stream belongs to the caller, who closes it.
        text.detach()


def _parquet(part: Part, notes: Notes, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with closing(ParquetFile(part.file.path)) as table:
            wanted = set(columns) | {path.partition(".")[0] for path in columns}
            names = [name for name in table.schema_arrow.names if not columns or name in wanted]
            groups = list(range(part.start, part.end or 0))
            for batch in table.iter_batches(batch_size=1024, row_groups=groups, columns=names):
                for record in batch.to_pylist():
                    notes.lines += 1
                    yield notes.lines, record
    except (ArrowException, OSError, ValueError) as error:
        notes.wrong(notes.lines + 1, f"the rest cannot be read: {str(error)[:150]}")


def _server_log(lines: Iterator[tuple[int, bytes]], notes: Notes) -> Iterator[tuple[int, Any]]:
    """Records of a text log: JSON within lines, and vLLM's requests with their responses."""
    waiting: OrderedDict[bytes, str] = OrderedDict()
    for number, line in lines:
        if (received := _RECEIVED.search(line)) is not None:
            waiting[received[1]] = _literal(received[2])
            if len(waiting) > MAX_WAITING:
                waiting.popitem(last=False)
        elif (generated := _GENERATED.search(line)) is not None:
            if generated[2] != b"delta":
                ended = (generated[4] or b"").decode("ascii", "replace")
                name = generated[1]
                prompt = waiting.pop(name, None) or waiting.pop(name + b"-0", "")
                yield number, {"prompt": prompt, "response": _literal(generated[3]), "finish_reason": ended}
        elif (at := line.find(b'{"')) >= 0:
            try:
                yield number, read_object(line[at:])
            except ValueError as error:
                notes.wrong(number, f"not JSON: {error}")


def _literal(text: bytes) -> str:
    """The text of a Python string literal, as ``%r`` wrote it."""
    try:
        return str(ast.literal_eval(text.decode("utf-8", "replace")))
    except (ValueError, SyntaxError, MemoryError):
        return text[1:-1].decode("utf-8", "replace")
