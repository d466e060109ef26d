"""Range and type checks of frozen dataclasses, from their annotations; all problems of a value at once.

A field says what it accepts in its type: ``max_tokens: Count`` or ``top_p: Share``. msgspec checks one field at a time,
so that a value with three wrong fields gets one message that names all three. The description of a type is the text
that a user reads.

Trade-off: msgspec's own messages would be shorter to maintain, but they stop at the first problem.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Hashable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec

from harness.errors import SettingsError

__all__ = [
    "Amount",
    "Count",
    "NonNegative",
    "Share",
    "field_problems",
    "from_mapping",
    "listed",
    "number",
    "problem",
    "raise_problems",
    "whole",
]

T = TypeVar("T")

_MAX = sys.float_info.max

Share = Annotated[float, msgspec.Meta(ge=0, le=1, description="a number 0..1")]
"""A share, 0..1."""
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=_MAX, description="a finite number >= 0")]
"""A finite number of at least 0."""
Amount = Annotated[int, msgspec.Meta(ge=0, description="a whole number >= 0")]
"""A whole number of at least 0."""
Count = Annotated[int, msgspec.Meta(ge=1, description="a whole number >= 1")]
"""A whole number of at least 1."""


def whole(low: int, high: int) -> msgspec.Meta:
    """Annotation of a whole number between two bounds, both included."""
    return msgspec.Meta(ge=low, le=high, description=f"a whole number {low}..{high}")


def number(low: float, high: float) -> msgspec.Meta:
    """Annotation of a number between two bounds, both included."""
    return msgspec.Meta(ge=low, le=high, description=f"a number {low:g}..{high:g}")


def listed(items: str, *, minimum: int = 0) -> msgspec.Meta:
    """Annotation of a list of ``items``, which is a plural."""
    return msgspec.Meta(min_length=minimum, description=f"a list of {items}")


def problem(name: str, value: object, kind: Any) -> str | None:
    """What is wrong with ``value`` as a field ``name`` of type ``kind``; None when nothing is."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return f"{name} = {value!r} (expected {_describe(kind)})"
    return None


def field_problems(instance: object) -> dict[str, str]:
    """The problems of a dataclass instance by field."""
    kind_of: Any = type(instance)
    values = ((name, getattr(instance, name), kind) for name, kind in _hints(kind_of).items())
    return {name: text for name, value, kind in values if (text := problem(name, value, kind)) is not None}


def raise_problems(label: str, problems: Iterable[str]) -> None:
    """Raise a :class:`~harness.errors.SettingsError` that names all problems; return when there are none."""
    if text := "; ".join(problems):
        raise SettingsError(f"{label}: {text}")


def from_mapping(kind: type[T], values: Mapping[str, Any], base: T, label: str) -> T:
    """``base`` with ``values`` over it.

    Raises:
        SettingsError: an unknown name or a wrong value; all problems in one message.
    """
    names = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    if unknown:
        raise SettingsError(f"{label}: unknown {', '.join(map(repr, unknown))}; known: {', '.join(sorted(names))}")
    return dataclasses.replace(base, **values)  # type: ignore[type-var]


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _describe(kind: Any) -> str:
    """The description of a type, in a reader's words."""
    if typing.get_origin(kind) is Annotated:
        metas = [m for m in kind.__metadata__ if isinstance(m, msgspec.Meta) and m.description]
        return str(metas[-1].description) if metas else _describe(kind.__origin__)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if type(None) in arguments:
        return _describe(next(a for a in arguments if a is not type(None)))
    words = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    return words.get(kind, "a table" if typing.get_origin(kind) is not None else getattr(kind, "__name__", str(kind)))
