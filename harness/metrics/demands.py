"""How much repetition makes a loop, by the form that it stands in.

A table says "in stock" twelve times, a stack trace shows the same frame four times, and neither is a loop. So the
number of copies, and the length, from which on a run is one depend on its form (:mod:`harness.metrics.forms`). They are
factors of a case's ``min_loop_copies`` and ``min_loop_units``, chosen with their defaults, 4 copies and 32 units, on
the labelled texts of tests/benchmarks/scores.

For an answer that was cut off within a copy the factors of prose hold in every form, since its table did not end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from harness.metrics.forms import Form

__all__ = ["Demand", "RunKind", "demand"]

RunKind = Literal["exact", "numbered", "templated"]

LONG_PERIOD = 12
"""Units of a copy from which on three copies make a loop of prose: a sentence said three times in a row."""
LONG_VERSE = 48
"""The same for verse: two lines sung three times are none, a stanza is."""
FEW = 0.75
"""Factor of ``min_loop_copies`` for long copies."""


class Demand(NamedTuple):
    """Factors of ``min_loop_copies`` and ``min_loop_units``."""

    copies: float
    units: float


_PLAIN = Demand(1, 1)
_EXACT: Mapping[Form, Demand] = {
    Form.CODE: Demand(3, 3),
    Form.MARKUP: Demand(3, 3),
    Form.TABLE: Demand(3, 3),
    Form.DATA: Demand(4, 12),
    Form.LOG: Demand(4, 12),
    Form.TRACE: Demand(4, 24),
    Form.ROWS: Demand(8, 8),
}
_NUMBERED: Mapping[Form, Demand] = {
    **dict.fromkeys((Form.PROSE, Form.LIST), Demand(2, 1)),
    Form.VERSE: Demand(3, 1),
    Form.LABELS: Demand(4, 1),
    Form.SUBTITLES: Demand(1, 1),
    **dict.fromkeys((Form.CODE, Form.TABLE, Form.DATA), Demand(6, 4)),
    Form.ROWS: Demand(8, 8),
    **dict.fromkeys((Form.MARKUP, Form.LOG), Demand(12, 12)),
    Form.TRACE: Demand(12, 24),
}
_TEMPLATED: Mapping[Form, Demand] = {
    Form.PROSE: Demand(2, 1),
    **dict.fromkeys((Form.VERSE, Form.LIST), Demand(3, 1)),
    Form.LABELS: Demand(3.5, 1),
    Form.SUBTITLES: Demand(1.25, 1),
    Form.CODE: Demand(4, 2),
    **dict.fromkeys((Form.MARKUP, Form.TABLE, Form.DATA), Demand(8, 4)),
    Form.ROWS: Demand(8, 8),
    Form.LOG: Demand(12, 12),
    Form.TRACE: Demand(12, 24),
}
_TABLES: Mapping[RunKind, Mapping[Form, Demand]] = {"exact": _EXACT, "numbered": _NUMBERED, "templated": _TEMPLATED}
_LONG: Mapping[RunKind, Sequence[tuple[Form, float, Demand]]] = {
    "exact": ((Form.CODE, 48, Demand(FEW, 3)), (Form.CODE, 12, Demand(1.25, 3))),
    "numbered": ((Form.CODE, 14, Demand(3.5, 6)),),
}
"""Forms, and units of a copy from which on other factors hold there: a function written five times is a loop."""
_AT_END = Demand(2, 0.75)
"""Of code that ends with a run: what follows a run of statements is the end of their block."""


def demand(kind: RunKind, form: Form, period: float, *, cut: bool, at_end: bool = False) -> Demand:
    """What a run must reach to be a loop.

    Args:
        kind: of the run.
        form: that it stands in.
        period: units of a copy.
        cut: whether the answer was cut off within the run.
        at_end: whether the answer ends with it.
    """
    wanted = _PLAIN if cut else _TABLES[kind].get(form, _PLAIN)
    if kind == "exact" and wanted is _PLAIN:
        long = LONG_VERSE if form is Form.VERSE and not cut else LONG_PERIOD
        return Demand(FEW, 1) if period >= long else _PLAIN
    for other, units, factors in () if cut else _LONG.get(kind, ()):
        if other is form and period >= units:
            return factors
    return _AT_END if at_end and kind == "exact" and form is Form.CODE else wanted
