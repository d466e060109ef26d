"""Cheaper cures first: which failing cases would pass under another decoding, and at what cost.

A loop that a repetition penalty or plain greedy decoding removes needs no training, only another setting in production.
Every variant is tried on every failing case, in one run of the engine, and judged like any answer. The cost is given as
similarity to the standard answers, before and after. A variant that the engine does not support is reported as
unsupported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.cases.decoding import Decoding
from harness.cases.model import Case
from harness.judging.results import CaseResult, Status
from harness.runs.evaluation import Evaluation

__all__ = ["VARIANTS", "ProbeRow", "probe", "variants_of"]

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "greedy": {"method": "greedy"},
    "greedy, repetition penalty 1.1": {"method": "greedy", "repetition_penalty": 1.1},
    "greedy, repetition penalty 1.3": {"method": "greedy", "repetition_penalty": 1.3},
    "greedy, presence penalty 1.0": {"method": "greedy", "presence_penalty": 1.0},
    "greedy, no repeated 8-gram": {"method": "greedy", "no_repeat_ngram": 8},
    "sampling, temperature 0.7": {"method": "sample", "temperature": 0.7, "top_p": 0.95},
    "beam, early stopping": {"method": "beam", "early_stopping": True},
    "beam, length penalty 0": {"method": "beam", "length_penalty": 0.0},
}
"""Name of each change and what it changes; everything else stays the case's own."""

_BETWEEN = "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """What one change of decoding does to the failing cases."""

    variant: str
    cured: tuple[str, ...]
    """Ids of the cases that pass under it."""
    failing: int
    unsupported: str
    """Why the engine could not do it; empty when it could."""
    similarity: float | None
    """Mean over the cases of similarity to the standard answer under the change."""
    similarity_before: float | None
    """The same of the failing answers."""


def variants_of(case: Case) -> dict[str, Decoding]:
    """The decodings to try on a case: its own with one change each, those that change nothing left out."""
    own = case.decoding
    tried: dict[str, Decoding] = {}
    for name, change in VARIANTS.items():
        base = {"temperature": 0.0, "samples": 1, "min_pass": 1, **change}
        variant = Decoding.from_mapping(base, own)
        if variant.key() != own.key():
            tried[name] = variant
    return tried


def probe(failures: Sequence[CaseResult], evaluation: Evaluation) -> tuple[ProbeRow, ...]:
    """Try every variant on every failing case.

    Args:
        failures: results with verdict FAIL, all on one adapter.
        evaluation: a fresh one; the caller closes it.

    Raises:
        HarnessError: the engine broke.
    """
    planned: list[tuple[Case, str]] = []
    for result in failures:
        for name, decoding in variants_of(result.case).items():
            case = dataclasses.replace(result.case, id=f"{result.case.id}{_BETWEEN}{name}", decoding=decoding)
            planned.append((case, result.adapter))
    results = evaluation.run(planned, {"kind": "probe", "command": ["harness", "probe"]})
    before = {r.case.id: _similarity(r) for r in failures}
    rows = [_row(name, results, before) for name in VARIANTS]
    return tuple(sorted((r for r in rows if r is not None), key=lambda r: -len(r.cured)))


def _row(name: str, results: Iterable[CaseResult], before: Mapping[str, float | None]) -> ProbeRow | None:
    mine = [r for r in results if r.case.id.partition(_BETWEEN)[2] == name]
    if not mine:
        return None
    errors = [r for r in mine if r.verdict.status is Status.ERROR]
    ids = {r.case.id: r.case.id.partition(_BETWEEN)[0] for r in mine}
    cured = tuple(ids[r.case.id] for r in mine if r.verdict.status is Status.PASS)
    why = errors[0].verdict.reasons[0].text if errors else ""
    return ProbeRow(
        variant=name,
        cured=cured,
        failing=len(mine) - len(cured) - len(errors),
        unsupported=why,
        similarity=_mean([_similarity(r) for r in mine]),
        similarity_before=_mean([before[i] for i in ids.values()]),
    )


def _similarity(result: CaseResult) -> float | None:
    attempt = result.worst
    return attempt.scores.values.get("similarity") if attempt is not None and attempt.scores is not None else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return fmean(known) if known else None
