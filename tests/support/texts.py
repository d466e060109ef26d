"""Texts that repeat nothing, and the labelled texts in many forms."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tests.benchmarks.scores.material import sentences

__all__ = ["CLEAN", "filler", "labelled"]

CLEAN = (
    "The harbour was quiet that morning. Two boats lay against the wall, their nets drying in the sun, and a boy was "
    "painting the rail of the larger one. He worked slowly, with his tongue between his teeth. When the ferry came in, "
    "its wash lifted both, and a line of green ran down his arm. He laughed, wiped it on his trousers, and went on. By "
    "noon it was done. His father came down the steps, looked for a long time, and said nothing at all."
)
"""Prose of some hundred units."""


def filler(count: int) -> str:
    """So many sentences, none of which is said twice; after the bank's last one their words are shuffled."""
    draw = Random(3)
    found: list[str] = []
    while len(found) < count:
        for sentence in sentences("en"):
            words = sentence[:-1].split()
            if len(found) >= len(sentences("en")):
                draw.shuffle(words)
            found.append(" ".join(words) + ".")
    return " ".join(found[:count])


@cache
def labelled(*, looping: bool) -> tuple[dict[str, Any], ...]:
    """The loops, or the sound texts, of tests/benchmarks/scores/material/forms.jsonl."""
    path = Path(__file__).parents[1] / "benchmarks" / "scores" / "material" / "forms.jsonl"
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return tuple(row for row in rows if row["looping"] is looping)
