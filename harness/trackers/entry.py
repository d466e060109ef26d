"""What a tracker is given: one run, or one training, as ids, numbers and files.

By default no text of a prompt, an answer or a standard answer is in it. The verdicts by case are a table of ids, rules
and numbers. The reports, which hold these texts, are added only where ``trackers_send_texts`` says so. Reasons are
texts too, since they quote the answer; the table has the names of the rules instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol, runtime_checkable

from harness.judging.results import CaseResult
from harness.reports.conclusion import Conclusion
from harness.suite.figures import Figures, grouped_figures

__all__ = ["Entry", "Tracker", "run_entry", "training_entry", "verdict_rows"]

_GROUPS = ("all", "role:", "tag:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run, or one training that belongs to no run."""

    name: str
    """The run's id, or ``training-VERSION``."""
    kind: str
    """``run`` or ``training``."""
    facts: Mapping[str, str]
    """Ids and short words: commit, adapters, engine, gate ..."""
    metrics: Mapping[str, float]
    """Finite numbers by path: ``v4.0/pass_rate``, ``v4.0/role.guard/repetition`` ...; shares are 0..1."""
    series: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    """(training step, value) by path: ``training/loss``, ``training/drift.ordinary`` in nats a token ..."""
    files: tuple[Path, ...] = ()
    """``verdicts.jsonl``, and the reports where texts may leave the machine."""


@runtime_checkable
class Tracker(Protocol):
    """Keeps entries somewhere. It is made with the project's folder and its options, in a process of its own."""

    def send(self, entry: Entry) -> str:
        """Keep the entry, and return where a person finds it: an address or a path.

        Raises:
            Exception: whatever goes wrong; its text becomes a warning.
        """
        ...


def run_entry(conclusion: Conclusion) -> Entry:
    """The entry of a concluded run, without files."""
    report, run = conclusion.report, conclusion.run
    own = [a for a in report.adapters if not a.earlier]
    metrics: dict[str, float] = {}
    for adapter in own:
        metrics |= _adapter_metrics(adapter.name, adapter.results)
    for kind in ("fixed", "broken", "still failing"):
        if conclusion.changes:
            metrics[f"changes/{kind.replace(' ', '_')}"] = sum(c.kind == kind for c in conclusion.changes)
    training = run.facts.get("training") or {}
    facts = {
        "run": run.id, "started": run.started, "status": run.status, "commit": str(run.facts.get("commit", "")),
        "adapters": ", ".join(a.name for a in own),
        "compared_with": ", ".join(a.name for a in report.adapters if a.earlier),
        "engine": report.run.engine.name if report.run.engine else "",
        "gate": str(report.gate.outcome) if report.gate else "", "tags": ", ".join(run.facts.get("tags", ())),
        **{f"training.{k}": str(training[k]) for k in ("adapter", "parent", "recipe", "stage") if k in training},
        **{f"limit.{k}": str(v) for k, v in run.facts.get("limits", {}).items() if v is not None},
    }  # fmt: skip
    metrics |= {f"training/{k}": float(training[k]) for k in ("pairs", "steps", "seconds") if k in training}
    return Entry(
        name=run.id,
        kind="run",
        facts={k: v for k, v in facts.items() if v},
        metrics=_finite(metrics.items()),
        series=_series({"training/loss": training.get("losses", ()), **training.get("series", {})}),
    )


def training_entry(
    name: str,
    facts: Mapping[str, object],
    numbers: Mapping[str, float],
    series: Mapping[str, Iterable[Sequence[float]]],
) -> Entry:
    """The entry of a training that belongs to no run.

    Args:
        name: of the version that was trained.
        facts: parent, recipe, stage ...
        numbers: by path.
        series: (step, value) by path.
    """
    return Entry(
        name=f"training-{name}",
        kind="training",
        facts={k: str(v) for k, v in facts.items() if v},
        metrics=_finite(numbers.items()),
        series=_series(series),
    )


def verdict_rows(conclusion: Conclusion) -> list[dict[str, Any]]:
    """A row for each case and adapter of the run itself: ids, verdict, names of rules, numbers; no text."""
    return [
        {
            "case": r.case.id, "adapter": r.adapter, "role": r.case.role, "verdict": r.verdict.status.value,
            "rules": sorted({reason.rule for reason in r.verdict.reasons}), "repetition": r.repetition,
            "similarity": _mean(r, "similarity"), "tokens": sum(a.tokens for a in r.attempts),
            "cut_off": sum(a.finish_reason == "length" for a in r.attempts), "samples": len(r.attempts),
        }
        for a in conclusion.report.adapters
        if not a.earlier
        for r in a.results
    ]  # fmt: skip


def _adapter_metrics(name: str, results: tuple[CaseResult, ...]) -> dict[str, float]:
    attempts = [a for r in results for a in r.attempts if a.finish_reason is not None]
    medians: dict[str, list[float]] = {
        "repetition_median": [r.repetition for r in results if r.repetition is not None],
        "similarity_median": [s for r in results if (s := _mean(r, "similarity")) is not None],
        "tokens_median": [a.tokens for a in attempts],
        "seconds_median": [a.seconds for a in attempts if not a.cached],
    }
    values = {f"{name}/{key}": median(numbers) for key, numbers in medians.items() if numbers}
    for figures in grouped_figures(results):
        if figures.group.startswith(_GROUPS):
            group = "" if figures.group == "all" else f"/{figures.group.replace(':', '.', 1)}"
            values |= {f"{name}{group}/{key}": value for key, value in _figures(figures).items()}
    return values


def _figures(figures: Figures) -> dict[str, float]:
    values = {**figures.summary(), "pass_rate": figures.passes.estimate}
    return {key: float(value) for key, value in values.items() if value is not None}


def _mean(result: CaseResult, name: str) -> float | None:
    values = [a.scores.values[name] for a in result.attempts if a.scores is not None and name in a.scores.values]
    return sum(values) / len(values) if values else None


def _finite(items: Iterable[tuple[str, float]]) -> dict[str, float]:
    return {key: float(value) for key, value in items if math.isfinite(value)}


def _series(series: Mapping[str, Iterable[Sequence[float]]]) -> dict[str, tuple[tuple[int, float], ...]]:
    found = {
        name: tuple((int(step), float(value)) for step, value in points if math.isfinite(value))
        for name, points in series.items()
    }
    return {name: points for name, points in found.items() if points}
