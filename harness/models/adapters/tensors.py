"""safetensors files without torch: header, values as numpy arrays, and writing.

numpy has no bfloat16, so such a tensor is read as the float32 of the same value. The header is checked as hostile
input: offsets must tile the data exactly, shapes must fit them, names and types must be known. Format:
https://github.com/huggingface/safetensors (8 bytes header length, JSON header, raw little-endian data).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import AdapterError
from harness.safe.files import replace_with
from harness.safe.read import open_file

__all__ = ["Replacement", "TensorFile", "TensorInfo", "copy_tensors", "read_header", "read_notes", "write_tensors"]

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_OTHERS = {
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}
"""Types that may lie in a model and are only ever copied; bytes an element."""
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """Byte offset in the file."""
    end: int


class TensorFile:
    """The tensors of one file, read one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tensors = read_header(path)

    def array(self, name: str) -> NDArray[Any]:
        """The tensor's values: float32, float16 or float64; bfloat16 becomes float32."""
        info = self.tensors[name]
        if info.dtype not in _TYPES:
            raise AdapterError(f"{self.path}: tensor {name!r} has type {info.dtype}, which holds no weights")
        raw = np.fromfile(self.path, _TYPES[info.dtype], offset=info.start, count=math.prod(info.shape))
        if info.dtype == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.reshape(info.shape)


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Names, types, shapes and places of the tensors in ``path``.

    Raises:
        AdapterError: not a whole, well-formed safetensors file.
    """
    header, size, end = _raw_header(path)
    header.pop("__metadata__", None)
    infos = {name: _info(path, name, entry, end) for name, entry in header.items()}
    for info in sorted(infos.values(), key=lambda i: i.start):
        if info.start != end:
            raise AdapterError(f"{path}: its tensors do not lie one after another; the file is damaged")
        end = info.end
    if end != size:
        raise AdapterError(f"{path}: has {size:,} bytes, its header says {end:,}; the file is damaged or cut off")
    return infos


def read_notes(path: Path) -> dict[str, str]:
    """The texts under ``__metadata__``; empty when there are none."""
    notes = _raw_header(path)[0].get("__metadata__") or {}
    return {str(k): str(v) for k, v in notes.items()} if isinstance(notes, dict) else {}


def _raw_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """Header, size of the file, and where the data begin."""
    try:
        size = path.stat().st_size
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
                raise AdapterError(f"{path}: not a safetensors file, or cut off")
            header = json.loads(file.read(length))
    except OSError as error:
        raise AdapterError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{path}: its safetensors header is damaged") from error
    if not isinstance(header, dict):
        raise AdapterError(f"{path}: its safetensors header is damaged")
    return header, size, 8 + length


def _info(path: Path, name: str, entry: Any, base: int) -> TensorInfo:
    kind = entry.get("dtype") if isinstance(entry, dict) else None
    if kind not in _TYPES and kind not in _OTHERS:
        raise AdapterError(f"{path}: tensor {name!r} has type {kind!r}; known: {', '.join((*_TYPES, *_OTHERS))}")
    shape: Any = entry.get("shape")
    offsets: Any = entry.get("data_offsets")
    whole = [n for n in (shape, offsets) if isinstance(n, list) and all(type(i) is int and i >= 0 for i in n)]
    if len(whole) != 2 or len(offsets) != 2:
        raise AdapterError(f"{path}: tensor {name!r} has a damaged header")
    if offsets[1] - offsets[0] != math.prod(shape) * _width(str(kind)):
        raise AdapterError(f"{path}: tensor {name!r} has another size than its shape {shape} says")
    return TensorInfo(entry["dtype"], tuple(shape), base + offsets[0], base + offsets[1])


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[np.float32]], notes: Mapping[str, str] | None = None
) -> Path:
    """Write float32 tensors as one safetensors file, whole or not at all; ``notes`` become its metadata."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(notes or {})}}
    offset = 0
    for name in sorted(tensors):
        array = tensors[name]
        if array.dtype != np.float32:
            raise TypeError(f"{name}: {array.dtype}, not float32")
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(_packed(header))
            for name in sorted(tensors):
                file.write(np.ascontiguousarray(tensors[name], "<f4").tobytes())

    return replace_with(path, write)


@dataclass(frozen=True, slots=True)
class Replacement:
    """A tensor that is written in the place of another one, or beside the others."""

    dtype: str
    shape: tuple[int, ...]
    data: Callable[[], bytes]


def copy_tensors(
    source: Path,
    target: Path,
    *,
    notes: Mapping[str, str] | None = None,
    change: Callable[[str, TensorInfo, bytes], bytes] | None = None,
    replaced: Mapping[str, Replacement] | None = None,
) -> Path:
    """Copy a safetensors file tensor by tensor, with further metadata and, where ``change`` gives them, other bytes.

    Types and shapes stay, except for tensors that are ``replaced``; those that the file does not have come last. One
    tensor is in memory at a time.
    """
    tensors, new_ones = read_header(source), dict(replaced or {})
    order = sorted(tensors, key=lambda name: tensors[name].start)
    order += sorted(set(new_ones) - set(tensors))
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **read_notes(source), **(notes or {})}}
    offset = 0
    for name in order:
        tensor = new_ones.get(name) or tensors[name]
        if isinstance(tensor, TensorInfo):
            size = tensor.end - tensor.start
        else:
            size = math.prod(tensor.shape) * _width(tensor.dtype)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size

    def write(temporary: Path) -> None:
        with source.open("rb") as old, temporary.open("wb") as new:
            new.write(_packed(header))
            for name in order:
                if name in new_ones:
                    data = new_ones[name].data()
                else:
                    info = tensors[name]
                    old.seek(info.start)
                    data = old.read(info.end - info.start)
                    data = data if change is None else change(name, info, data)
                begin, end = header[name]["data_offsets"]
                if len(data) != end - begin:
                    raise ValueError(f"{name}: {len(data)} bytes in the place of {end - begin}")
                new.write(data)

    return replace_with(target, write)


def _width(dtype: str) -> int:
    return _OTHERS.get(dtype) or np.dtype(_TYPES[dtype]).itemsize


def _packed(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
