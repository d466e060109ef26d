"""Suites of failures of every kind, made out of the bundled prompts: what changes is what an answer is judged by.

    repetition   the suite as it is
    cutoff       the same prompts; an answer that had to be cut off fails
    length       short questions; an answer of more than one and a half times the standard answer's length fails
    pattern      short questions; an answer of more than one paragraph fails (a forbidden pattern)
    similarity   short questions; an answer that is unlike the standard answer fails

Short questions are the suite's guards. Half of them are trained on, a quarter is held out, and a quarter are guards,
judged as before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.judging.results import CaseResult, Status
from harness.safe.files import write_text

__all__ = ["KINDS", "SUITE", "Kind", "make_suite"]

SUITE = Path(__file__).with_name("suite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a suite's cases fail on."""

    text: str
    short: bool = False
    """Whether the short questions are asked, and not the prompts that loop."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What every record of role fix and holdout gets."""
    failed: Callable[[CaseResult], bool] = lambda r: r.verdict.status is Status.FAIL
    """Whether a case fails in this way."""


KINDS: Mapping[str, Kind] = {
    "repetition": Kind(text="repeaters", failed=lambda r: r.verdict.repeater),
    "cutoff": Kind(text="cut off", fields={"thresholds": {"allow_cutoff": False}}),
    "length": Kind(text="too long", short=True, fields={"thresholds": {"max_length_ratio": 1.5}}),
    "pattern": Kind(text="more than one paragraph", short=True, fields={"must_not_include": ["\\n\\s*\\n"]}),
    "similarity": Kind(text="unlike the standard answer", short=True, fields={"thresholds": {"min_similarity": 0.3}}),
}


def make_suite(kind: Kind, source: Path, badcases: Path) -> None:
    """Write the kind's cases below ``badcases``, a folder for each role."""
    records = {path.stem: _records(path) for path in sorted(source.glob("*.jsonl"))}
    if kind.short:
        asked = sorted(records["guard"], key=lambda r: hashlib.sha256(r["id"].encode()).digest())
        half, quarter = len(asked) // 2, len(asked) // 4
        records = {"fix": asked[:half], "holdout": asked[half : half + quarter], "guard": asked[half + quarter :]}
    for role, found in records.items():
        added = {} if role == "guard" else dict(kind.fields)
        lines = [json.dumps({**r, **added, "role": role}, ensure_ascii=False) + "\n" for r in found]
        write_text(badcases / role / "test.jsonl", "".join(lines))
        write_text(badcases / role / "case.toml", (source / "case.toml").read_text("utf-8"))


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
