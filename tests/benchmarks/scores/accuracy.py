"""Recall by kind of loop, false positives by kind of answer, each with its interval."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.judging.lines import ScoredLine, score_lines
from harness.judging.results import Status
from harness.suite.significance import wilson
from tests.benchmarks.scores.handmade_legitimate import handmade_legitimate
from tests.benchmarks.scores.handmade_loops import handmade_loops
from tests.benchmarks.scores.handmade_reported import handmade_reported
from tests.benchmarks.scores.legitimate import legitimate
from tests.benchmarks.scores.loops import looping
from tests.benchmarks.scores.ordinary import ordinary
from tests.benchmarks.scores.sample import REPORTED, TUNED, Sample

__all__ = ["accuracy", "half_of", "real_answers", "rows"]

ORDINARY, LEGITIMATE, LOOPING = 300, 7, 40
"""Texts of a language, of a kind, of a kind and language, in each half."""


def real_answers() -> list[Sample]:
    """What the embedded model really said (greedy), labelled by hand (material/README.md); no reference."""
    lines = (Path(__file__).parent / "material" / "real.jsonl").read_text("utf-8").splitlines()
    return [
        Sample(
            id=f"real-{i}",
            kind=f"real {r['label']}" + (f", {r['kind']}" if "kind" in r else ""),
            text=r["text"],
            reference=None,
            loops=r["label"] == "loop",
            onset=r.get("onset"),
        )
        for i, r in enumerate(map(json.loads, lines))
    ]


def half_of(half: str) -> list[Sample]:
    """All texts of a half, generated and hand-made."""
    hand = handmade_reported() if half == REPORTED else (*handmade_loops(), *handmade_legitimate())
    return [*looping(LOOPING, half), *ordinary(ORDINARY, half), *legitimate(LEGITIMATE, half), *hand]


def accuracy() -> dict[str, Any]:
    """Rows by kind for the reported half, with and without references; the totals of the tuned half beside them."""
    reported, tuned, real = half_of(REPORTED), half_of(TUNED), real_answers()
    return {
        "with references": rows(reported, references=True),
        "without references": rows(reported, references=False),
        "tuned half, with references": totals(rows(tuned, references=True)),
        "tuned half, without references": totals(rows(tuned, references=False)),
        "real answers of the embedded model, no reference": rows(real, references=False),
        "onset of exact loops": onset(reported),
        "onset of real loops": onset(real),
    }


def totals(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in found if r["kind"].startswith("all")]


def judged(samples: Sequence[Sample], *, references: bool) -> Iterable[tuple[Sample, ScoredLine]]:
    lines = [
        json.dumps({"text": s.text, "reference": s.reference if references else None}, ensure_ascii=False).encode()
        for s in samples
    ]
    return zip(samples, score_lines(lines), strict=True)


def rows(samples: Sequence[Sample], *, references: bool) -> list[dict[str, Any]]:
    """A row a kind, and totals: how many were flagged, with the 95 % interval."""
    groups: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    for sample, line in judged(samples, references=references):
        flagged = line.verdict.status is Status.FAIL
        for name in (sample.kind, *_total(sample)):
            groups[name, sample.loops].append(flagged)
    found = []
    for (kind, loops), flags in sorted(groups.items(), key=lambda item: (not item[0][1], item[0][0].startswith("all"))):
        interval = wilson(sum(flags), len(flags))
        measure = "recall" if loops else "flagged" if "borderline" in kind else "false positives"
        found.append(
            {
                "kind": kind,
                "measure": measure,
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
                "n": interval.n,
            }
        )
    return found


def _total(sample: Sample) -> list[str]:
    """Which totals a text counts in: the generated ones and the hand-made ones apart."""
    source = {"hand": "hand-made", "real": "real"}.get(sample.id.split("-")[0], "generated")
    if sample.loops:
        return [f"all {source} loops"]
    if source == "real":
        return []
    return [f"all {source} ordinary" if sample.id.startswith("ordinary") else f"all {source} legitimately repetitive"]


def onset(samples: Sequence[Sample]) -> dict[str, Any]:
    """How far from the true start of a loop the mark of the longest one is, in characters; word for word loops only."""
    exact = ("word", "phrase", "sentence", "paragraph")
    off = sorted(
        abs(line.scores.loops[0].start - sample.onset)
        for sample, line in judged(samples, references=False)
        if sample.onset is not None
        and line.scores.loops
        and (sample.kind.split()[0] in exact or sample.kind.split(", ")[-1] in exact)
    )
    return {"median": off[len(off) // 2], "95 % within": off[int(len(off) * 0.95)], "n": len(off), "unit": "characters"}
