"""Recall by kind of loop, false positives by kind of answer, each with its interval."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.results import Status
from harness.scoring import ScoredLine, score_lines
from harness.significance import wilson
from tests.benchmarks.scores.legitimate import legitimate
from tests.benchmarks.scores.loops import looping
from tests.benchmarks.scores.ordinary import ordinary
from tests.benchmarks.scores.sample import Sample

__all__ = ["accuracy", "real_answers"]

ORDINARY, LEGITIMATE, LOOPING = 600, 14, 80
"""Texts of a language, of a kind, of a kind and language; half of them are reported."""


def real_answers() -> list[Sample]:
    """What the embedded model really said (greedy), labelled by hand; no reference. Nothing was tuned on them."""
    lines = (Path(__file__).parent / "material" / "real.jsonl").read_text("utf-8").splitlines()
    return [
        Sample(f"real-{i}", "real loop" if r["loops"] else "real answer", r["text"], None, r["loops"])
        for i, r in enumerate(map(json.loads, lines))
    ]


def accuracy() -> dict[str, Any]:
    """Rows by kind for the reported half, with and without references; the totals of the tuned half beside them."""
    samples = [*looping(LOOPING), *ordinary(ORDINARY), *legitimate(LEGITIMATE)]
    reported = [s for s in samples if s.reported]
    tuned = [s for s in samples if not s.reported]
    return {
        "with references": rows(reported, references=True),
        "without references": rows(reported, references=False),
        "tuned half, with references": [r for r in rows(tuned, references=True) if r["kind"].startswith("all")],
        "real answers of the embedded model": rows(real_answers(), references=False),
        "onset": onset(reported),
    }


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
        if sample.loops:
            total = "all loops"
        else:
            total = "all ordinary" if sample.id.startswith("ordinary") else "all legitimately repetitive"
        for name in (sample.kind, total):
            groups[name, sample.loops].append(flagged)
    found = []
    for (kind, loops), flags in sorted(groups.items(), key=lambda item: (not item[0][1], item[0][0].startswith("all"))):
        interval = wilson(sum(flags), len(flags))
        measure = "recall" if loops else "false positives"
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


def onset(samples: Sequence[Sample]) -> dict[str, Any]:
    """How far from the true start of an exact loop its mark is, in characters."""
    off = sorted(
        abs(line.scores.loops[0].start - sample.onset)
        for sample, line in judged(samples, references=False)
        if sample.onset is not None
        and line.scores.loops
        and sample.kind.split()[0] in ("word", "phrase", "sentence", "paragraph")
    )
    return {"median": off[len(off) // 2], "95 % within": off[int(len(off) * 0.95)], "n": len(off), "unit": "characters"}
