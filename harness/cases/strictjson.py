"""Reads JSON strictly: duplicate keys, NaN, huge numbers and deep nesting are refused one by one.

``json.loads`` keeps the last of two equal keys, accepts NaN and 1e999, and fails on deep nesting or an integer of 5,000
digits with errors of three classes. Here a value that is refused stands in the result as :class:`Refused`, so that its
reader can name the record and the field and go on. Only text that is not JSON raises.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache

from harness.safe.read import json_problem

__all__ = ["MalformedJSON", "Refused", "parse"]

_MAX_DIGITS = 19
"""Sign and digits of a 64-bit whole number; no setting needs a longer one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands where a value was that JSON or this harness does not allow."""

    what: str
    """What is wrong with it and what to do, one line."""


class MalformedJSON(ValueError):
    """The text is not JSON; says line, column and why."""

    def __init__(self, what: str, line: int, column: int, extra: bool = False) -> None:
        super().__init__(what)
        self.line = line
        """1-based, 0 where unknown."""
        self.column = column
        """1-based, in characters, 0 where unknown."""
        self.extra = extra
        """Whether a whole value was read and more followed it."""


def parse(text: str) -> object:
    """The value that ``text`` writes, with :class:`Refused` in the place of every value that is not allowed.

    Raises:
        MalformedJSON: no JSON, nested deeper than Python's reader goes, or too many values for its size.
    """
    if problem := json_problem(text):
        raise MalformedJSON(problem, 0, 0)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJSON(error.msg, error.lineno, error.colno, error.msg == "Extra data") from None
    except RecursionError:
        raise MalformedJSON("nested too deep; a record needs four levels at most", 0, 0) from None
    return value


def _pairs(pairs: list[tuple[str, object]]) -> object:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return Refused(f"the key {twice[:60]!r} is given twice; keep one")


def _whole(digits: str) -> object:
    return int(digits) if len(digits) <= _MAX_DIGITS else _TOO_LARGE_WHOLE


def _number(digits: str) -> object:
    value = float(digits)
    return value if math.isfinite(value) else _TOO_LARGE


# One object for all of a kind: a hostile file may hold millions.
_TOO_LARGE = Refused("a number too large; expected a finite number")
_TOO_LARGE_WHOLE = Refused("a whole number too large; expected 64 bits at most")


@cache
def _constant(name: str) -> object:
    """For NaN, Infinity or -Infinity."""
    return Refused(f"{name} is not a number; expected a finite number")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_whole, parse_float=_number, parse_constant=_constant)
