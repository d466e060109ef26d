"""Frozen values to plain JSON data and back, for the columns that hold them.

One generic walk over dataclasses instead of a pair of functions per type: a field that is added to a value is stored
from then on, and an older row that lacks it reads back with the field's default. A value of the wrong shape is an
error here, not somewhere later. Given up: renaming a field without a migration.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import StoreError

__all__ = ["dump", "load", "to_data"]

T = TypeVar("T")


def dump(value: object) -> str:
    """``value`` as one line of JSON, keys sorted, so that equal values have equal text."""
    return json.dumps(to_data(value), ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False)


def load(kind: type[T], text: str) -> T:
    """The value of type ``kind`` that :func:`dump` wrote.

    Raises:
        StoreError: the text is not JSON or not of that shape.
    """
    try:
        return typing.cast("T", _build(kind, json.loads(text)))
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"a stored {kind.__name__} cannot be read back: {error}") from error


def to_data(value: object) -> Any:
    """``value`` as dicts, lists, strings, numbers, booleans and None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): to_data(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(kind: Any, data: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        options = [a for a in arguments if a is not type(None)]
        return _build(options[0], data) if len(options) == 1 else data
    if origin is typing.Literal or kind is Any:
        return data
    if origin is tuple:
        inner = arguments[:1] * len(data) if arguments[-1:] == (Ellipsis,) else arguments
        return tuple(_build(k, v) for k, v in zip(inner, data, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {k: _build(arguments[1], v) for k, v in data.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(data, dict):
            raise TypeError(f"{kind.__name__} from {type(data).__name__}")
        hints = _hints(kind)
        known = {f.name for f in dataclasses.fields(kind) if f.init}
        return kind(**{k: _build(hints[k], v) for k, v in data.items() if k in known})
    if isinstance(kind, type) and issubclass(kind, Enum | Path):
        return kind(data)
    if kind is float and type(data) is int:
        return float(data)
    if isinstance(kind, type) and not isinstance(data, kind):
        raise TypeError(f"{data!r} is not {kind.__name__}")
    return data
