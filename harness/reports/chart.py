"""A line chart as inline SVG: the training's loss, drawn without a library.

The thin line is the logged loss, the thick one a running mean. Not supported: any other chart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.reports.markup import Html, el

__all__ = ["loss_chart"]

_WIDTH, _HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 26
_MAX_POINTS = 600


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
