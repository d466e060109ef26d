"""Charts as inline SVG, drawn without a library: training loss, distributions, before against after, history.

Every chart says its figures in words too (``aria-label``), and every mark has a title. Colours are classes of the
page's style sheet, so they follow light and dark. Trade-off: no zoom and no tooltips beyond those of a browser.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.language import tr
from harness.reports.markup import Html, el

__all__ = ["distribution_chart", "history_chart", "loss_chart", "paired_chart"]

_WIDTH, _HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 26
_MAX_POINTS = 600
_BINS = 20
_SQUARE = 260
_CELLS = 13


def loss_chart(losses: Sequence[tuple[int, float]]) -> Html | None:
    """The loss by step, or None when fewer than two finite points were logged."""
    points = [(step, loss) for step, loss in losses if math.isfinite(loss)]
    if len(points) < 2:
        return None
    # A page needs no more points than it has pixels.
    points = points[:: math.ceil(len(points) / _MAX_POINTS)]
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    high = max(loss for _, loss in points)
    low = min(0.0, *(loss for _, loss in points))
    high = high if high > low else low + 1.0

    def x(step: float) -> float:
        return round(_LEFT + (step - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(loss: float) -> float:
        return round(_TOP + (high - loss) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def line(values: Sequence[tuple[int, float]], name: str) -> Html:
        return el("polyline", class_=name, points=" ".join(f"{x(s)},{y(v)}" for s, v in values))

    ticks = [low + (high - low) * part for part in (0, 0.5, 1)]
    right = _WIDTH - _RIGHT
    label = f"Training loss from {points[0][1]:.3f} at step {first} to {points[-1][1]:.3f} at step {points[-1][0]}"
    return el(
        "svg",
        [el("line", class_="axis", x1=_LEFT, x2=right, y1=y(t), y2=y(t)) for t in ticks],
        [el("text", f"{t:.2f}", x=_LEFT - 8, y=y(t) + 4, text_anchor="end") for t in ticks],
        [
            el("text", f"step {step:,}", x=x(step), y=_HEIGHT - 8, text_anchor=anchor)
            for step, anchor in ((first, "start"), (last, "end"))
        ],
        line(points, "raw"),
        line(_smooth(points), "curve"),
        class_="chart",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=label,
    )


def _smooth(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    reach = len(points) // 12
    near = [[loss for _, loss in points[max(n - reach, 0) : n + reach + 1]] for n in range(len(points))]
    return [(step, math.fsum(losses) / len(losses)) for (step, _), losses in zip(points, near, strict=True)]


def distribution_chart(title: str, values: Mapping[str, Sequence[float]], high: float | None = None) -> Html | None:
    """How many cases have which value, a row of bars for each version; None without values.

    Args:
        title: what was measured.
        values: by version; finite numbers from 0 on.
        high: end of the axis; default: the largest value, the upper percent left to the last bar.
    """
    every = sorted(v for own in values.values() for v in own if math.isfinite(v))
    if not every:
        return None
    top = high if high is not None else (every[int(0.99 * (len(every) - 1))] or 1.0)
    rows = {name: Counter(min(int(v / top * _BINS), _BINS - 1) for v in own if math.isfinite(v))
            for name, own in values.items()}  # fmt: skip
    most = max(count for row in rows.values() for count in row.values())
    height = 64
    width = (_WIDTH - 2 * _RIGHT) / _BINS
    marks: list[Html] = []
    for number, (name, row) in enumerate(rows.items()):
        base = (number + 1) * (height + 18) - 4
        marks.append(el("text", name, x=_RIGHT, y=base - height + 2))
        marks.append(el("line", class_="axis", x1=_RIGHT, x2=_WIDTH - _RIGHT, y1=base, y2=base))
        for at, count in sorted(row.items()):
            tall = max(round(count / most * (height - 14), 1), 1.5)
            note = f"{at * top / _BINS:.3g} .. {(at + 1) * top / _BINS:.3g}: {count}"
            x = round(_RIGHT + at * width + 1, 1)
            bar = el("rect", class_=f"bar v{number}", x=x, y=base - tall, width=round(width - 2, 1), height=tall)
            marks.append(el("g", el("title", note), bar))
    bottom = len(rows) * (height + 18) + 14
    marks += [
        el("text", f"{top * part:.3g}", x=_RIGHT + part * (_WIDTH - 2 * _RIGHT), y=bottom, text_anchor=anchor)
        for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    ]
    medians = ", ".join(f"{name}: {sorted(own)[len(own) // 2]:.3g}" for name, own in values.items() if own)
    label = tr("{title}: number of cases by value; medians {medians}", title=title, medians=medians)
    return el("svg", marks, class_="chart", viewBox=f"0 0 {_WIDTH} {bottom + 6}", role="img", aria_label=label)


def paired_chart(before: str, after: str, pairs: Sequence[tuple[float, float]]) -> Html | None:
    """Each case's repetition before (across) and after (up), as squares that grow with the number of cases.

    Cases below the diagonal repeat less than before. None without pairs.
    """
    if not pairs:
        return None
    size, left, top = _SQUARE, 40, 12
    step = size / _CELLS
    cells = Counter((_cell(x), _cell(y)) for x, y in pairs)
    most = max(cells.values())
    marks = [
        el("rect", class_="frame", x=left, y=top, width=size, height=size),
        el("line", class_="axis", x1=left, y1=top + size, x2=left + size, y2=top),
    ]
    for (x, y), count in sorted(cells.items()):
        side = round(step * max(math.sqrt(count / most), 0.22), 1)
        style = "same" if x == y else "better" if y < x else "worse"
        note = tr("{n} cases: {before} before, {after} after", n=count, before=_range(x), after=_range(y))
        square = el(
            "rect", class_=style, width=side, height=side,
            x=round(left + (x + 0.5) * step - side / 2, 1), y=round(top + size - (y + 0.5) * step - side / 2, 1),
        )  # fmt: skip
        marks.append(el("g", el("title", note), square))
    marks += [
        el("text", tr("{name}: repetition", name=before), x=left + size / 2, y=top + size + 30, text_anchor="middle"),
        el("text", tr("{name}: repetition", name=after), x=0, y=0, text_anchor="middle",
           transform=f"translate(12 {top + size / 2}) rotate(-90)"),
        *(el("text", str(v), x=left + v * size, y=top + size + 14, text_anchor="middle") for v in (0, 1)),
        *(el("text", str(v), x=left - 6, y=top + size - v * size + 4, text_anchor="end") for v in (0, 1)),
    ]  # fmt: skip
    better, worse = sum(y < x for x, y in pairs), sum(y > x for x, y in pairs)
    label = tr("Repetition before and after: {better} cases less, {worse} more", better=better, worse=worse)
    box = f"0 0 {left + size + 12} {top + size + 36}"
    return el("svg", marks, class_="chart square", viewBox=box, role="img", aria_label=label)


def _cell(value: float) -> int:
    return min(int(value * _CELLS), _CELLS - 1)


def _range(cell: int) -> str:
    return f"{cell / _CELLS:.2f}..{(cell + 1) / _CELLS:.2f}"


def history_chart(points: Sequence[tuple[str, float, float | None]]) -> Html | None:
    """Share of passing cases and repetition score over versions or runs, oldest first; None for fewer than two.

    Args:
        points: (name, share of passing cases 0..1, repetition score 0..1 or None).
    """
    if len(points) < 2:
        return None
    points = points[-40:]
    right, bottom = _WIDTH - 16, _HEIGHT - _BOTTOM

    def place(number: int, value: float) -> tuple[float, float]:
        x = _LEFT + number / (len(points) - 1) * (right - _LEFT)
        return round(x, 1), round(_TOP + (1 - min(max(value, 0.0), 1.0)) * (bottom - _TOP), 1)

    marks: list[Html] = [el("line", class_="axis", x1=_LEFT, x2=right, y1=place(0, v)[1], y2=place(0, v)[1])
                         for v in (0.0, 0.5, 1.0)]  # fmt: skip
    marks += [el("text", f"{v:.0%}", x=_LEFT - 8, y=place(0, v)[1] + 4, text_anchor="end") for v in (0.0, 0.5, 1.0)]
    series = {
        "passing": (tr("passing"), [(n, p[1]) for n, p in enumerate(points)]),
        "repeating": (tr("repetition"), [(n, p[2]) for n, p in enumerate(points) if p[2] is not None]),
    }
    for style, (name, values) in series.items():
        marks.append(
            el(
                "polyline",
                class_=f"curve {style}",
                points=" ".join("{},{}".format(*place(n, v or 0.0)) for n, v in values),
            )
        )
        for n, value in values:
            x, y = place(n, value or 0.0)
            marks.append(
                el("g", el("title", f"{points[n][0]}: {name} {value:.1%}"), el("circle", class_=style, cx=x, cy=y, r=3))
            )
    marks += [
        el("text", points[n][0][:18], x=place(n, 0.0)[0], y=_HEIGHT - 8, text_anchor=anchor)
        for n, anchor in ((0, "start"), (len(points) - 1, "end"))
    ]
    for at, (style, (name, _)) in enumerate(series.items()):
        marks.append(el("circle", class_=style, cx=_LEFT + 6 + at * 130, cy=_HEIGHT + 12, r=4))
        marks.append(el("text", name, x=_LEFT + 16 + at * 130, y=_HEIGHT + 16))
    last = points[-1]
    label = tr("History: {name} passes {share} of its cases", name=last[0], share=f"{last[1]:.1%}")
    return el("svg", marks, class_="chart", viewBox=f"0 0 {_WIDTH} {_HEIGHT + 24}", role="img", aria_label=label)
