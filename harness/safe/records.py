"""Frozen values to plain JSON data and back: for the database, the engine's pipe, reports and ``--json``.

msgspec does the conversion from the types' annotations. A field that is added to a value is written from then on, and
older data without it read back with the field's default. Data of the wrong shape are an error here, not somewhere
later. JSON has no NaN: :func:`to_data` writes a number that is not finite as null, and :func:`dump` refuses it.

Trade-off: text goes through the standard library's ``json``, which keeps lone surrogates as escapes; msgspec's faster
encoder refuses them, and models do produce them. Not supported: renaming a field without a migration.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import StoreError
from harness.safe.secrets import scrub

__all__ = ["digest", "dump", "from_data", "load", "to_data"]

T = TypeVar("T")


def to_data(value: object) -> Any:
    """``value`` as dicts, lists, strings without secrets, finite numbers, booleans and None."""
    return _finite(_plain(value))


def from_data(kind: type[T], data: object) -> T:
    """The value of type ``kind`` that :func:`to_data` made ``data`` of.

    Raises:
        ValueError: ``data`` does not have the shape of ``kind``.
    """
    try:
        return msgspec.convert(data, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def dump(value: object) -> str:
    """``value`` as one line of JSON with sorted keys, so that equal values have equal text.

    Raises:
        ValueError: a number is not finite.
    """
    return scrub(json.dumps(_plain(value), ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False))


def digest(value: object) -> str:
    """sha256 of the text of :func:`dump`, as 64 hex digits: equal values have equal digests."""
    return hashlib.sha256(dump(value).encode()).hexdigest()


def load(kind: type[T], text: str) -> T:
    """The value of type ``kind`` that :func:`dump` wrote.

    Raises:
        StoreError: the text is not JSON, or not of that shape.
    """
    try:
        return from_data(kind, json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(f"a stored {kind.__name__} cannot be read back: {error}") from error


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=_encode, str_keys=True)


def _finite(data: Any) -> Any:
    # By exact type: msgspec makes no others, and large runs pass here millions of times.
    kind = type(data)
    if kind is str:
        return scrub(data)
    if kind is float:
        return data if math.isfinite(data) else None
    if kind is dict:
        return {key: _finite(item) for key, item in data.items()}
    return [_finite(item) for item in data] if kind in (list, tuple) else data


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decode(kind: type, data: Any) -> Any:
    if issubclass(kind, Path):
        return Path(data)
    raise TypeError(f"{kind.__name__} cannot be read from JSON")
