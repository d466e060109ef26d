"""Baselines: the results that a run is compared with, from the store or from a file that is kept under version control.

A clean checkout in CI has no run database. A baseline file is small, one line for each case, and reviewed like code:
the digest of what decides the case's verdict, the verdicts of its samples, the repetition score, and how many tokens
were generated, by which ``--shard`` balances its parts. Answers are not in it. A case that has changed since has no
baseline, whichever of the two it comes from.

A file carries a digest of its own content. Without it a single damaged character could take a case out of the
comparison, and a gate that counts regressions would pass. Trade-off: a file is not edited by hand, nor merged line by
line; it is written again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cases.model import Case
from harness.cases.suite import case_digest
from harness.errors import UsageError
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.metrics.types import Scores
from harness.safe.files import write_text
from harness.safe.read import read_json, reason

__all__ = ["BaselineFile", "StaleCases", "matching", "read_baseline", "seal_of", "write_baseline"]

_SCHEMA = 2
_REMEDY = "write it with: harness baseline write NAME"
_NO_ANSWER = "(the answer is not in the baseline file)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFile:
    """The content of a baseline file."""

    adapter: str
    facts: Mapping[str, Any]
    """Run, engine and the version's content, for people and for review; ``imported``: files of old answers."""
    cases: Mapping[str, Mapping[str, Any]]
    """By id: ``digest``, ``samples`` (verdicts), ``verdict``, ``repetition``, ``tokens`` (generated)."""

    @property
    def costs(self) -> Mapping[str, int]:
        """Tokens that were generated for each case; older files have none."""
        return {name: entry["tokens"] for name, entry in self.cases.items() if entry.get("tokens")}

    @property
    def imported(self) -> tuple[str, ...]:
        """Names of the files that the answers were imported from; empty where an engine gave them."""
        files = self.facts.get("imported")
        return tuple(map(str, files)) if isinstance(files, list) else ()

    @property
    def title(self) -> str:
        """What a comparison calls this side."""
        return f"{self.adapter} ({'baseline file of imported answers' if self.imported else 'baseline file'})"

    def results(self, cases: Iterable[Case]) -> tuple[CaseResult, ...]:
        """The baseline's results of these cases; those that changed since are left out."""
        return tuple(
            _result(case, self.adapter, self.cases[case.id])
            for case in cases
            if case.id in self.cases and self.cases[case.id]["digest"] == case_digest(case)
        )

    def stale(self, cases: Iterable[Case]) -> StaleCases:
        """How these cases, a whole suite, differ from those of the file."""
        now = {case.id: case_digest(case) for case in cases}
        return StaleCases(
            changed=tuple(
                name for name, digest in now.items() if self.cases.get(name, {}).get("digest", digest) != digest
            ),
            missing=tuple(name for name in now if name not in self.cases),
            gone=tuple(name for name in self.cases if name not in now),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleCases:
    """Ids by which a baseline file and a suite differ, in their order."""

    changed: tuple[str, ...]
    """In both, and another test since: its baseline does not count."""
    missing: tuple[str, ...]
    """In the suite only."""
    gone: tuple[str, ...]
    """In the file only."""

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.gone)


def matching(results: Sequence[CaseResult], cases: Iterable[Case]) -> tuple[CaseResult, ...]:
    """The stored results whose case is still the same test."""
    now = {case.id: case_digest(case) for case in cases}
    return tuple(r for r in results if now.get(r.case.id) == case_digest(r.case))


def write_baseline(path: Path, adapter: str, results: Sequence[CaseResult], facts: Mapping[str, Any]) -> Path:
    """Write the results of a whole run as a baseline; a line for each case, in the order of their ids."""
    cases = {r.case.id: _entry(r) for r in sorted(results, key=lambda r: r.case.id)}
    head = {"schema": _SCHEMA, "adapter": adapter, **facts}
    head["seal"] = seal_of({**head, "cases": cases})
    lines = [f"  {json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in cases.items()]
    text = json.dumps(head, indent=1, sort_keys=True)
    return write_text(path, text.removesuffix("\n}") + ',\n "cases": {\n' + ",\n".join(lines) + "\n }\n}\n")


def seal_of(data: Mapping[str, Any]) -> str:
    """sha256 of a baseline file's content without its ``seal``, as 64 hex digits."""
    content = {name: value for name, value in data.items() if name != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_baseline(name: str, root: Path) -> BaselineFile:
    """Read the baseline file ``name``, relative to the current folder or else to the project's ``root``.

    Raises:
        UsageError: it is not there, damaged, or of another schema.
    """
    path = Path(name).expanduser()
    path = path if path.exists() else root / path
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--baseline {path}: {reason(error)}; {_REMEDY}") from error
    if not isinstance(data, dict) or data.get("schema") != _SCHEMA or not _sound(data):
        raise UsageError(f"--baseline {path}: is not a baseline file of schema {_SCHEMA}; {_REMEDY}")
    if not _unchanged(data):
        raise UsageError(f"--baseline {path}: was changed after it was written; {_REMEDY}")
    facts = {k: v for k, v in data.items() if k not in ("schema", "adapter", "cases", "seal")}
    return BaselineFile(adapter=data["adapter"], facts=facts, cases=data["cases"])


def _unchanged(data: Mapping[str, Any]) -> bool:
    try:
        return data.get("seal") == seal_of(data)
    except RecursionError:
        # What could just be read, and is nested too deep to be written.
        return False


def _sound(data: Mapping[str, Any]) -> bool:
    cases = data.get("cases")
    statuses = {status.value for status in Status}

    def entry(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        score, samples = value.get("repetition"), value.get("samples")
        number = isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score)
        return (
            isinstance(value.get("digest"), str)
            and isinstance(samples, list)
            and all(isinstance(s, str) and s in statuses for s in [*samples, value.get("verdict")])
            and (score is None or (number and 0 <= score <= 1))
            and type(value.get("tokens", 0)) is int
            and 0 <= value.get("tokens", 0) < 10**12
        )

    return isinstance(data.get("adapter"), str) and isinstance(cases, dict) and all(map(entry, cases.values()))


def _entry(result: CaseResult) -> dict[str, Any]:
    score = result.repetition
    return {
        "digest": case_digest(result.case),
        "repetition": None if score is None else round(score, 4),
        "samples": [a.verdict.status.value for a in result.attempts],
        "tokens": sum(a.tokens for a in result.attempts),
        "verdict": result.verdict.status.value,
    }


def _result(case: Case, adapter: str, entry: Mapping[str, Any]) -> CaseResult:
    def verdict(status: str) -> Verdict:
        if status == Status.PASS:
            return Verdict(Status.PASS)
        return Verdict(Status(status), (Reason(rule="baseline", text=f"{status} in the baseline file"),))

    score = entry.get("repetition")
    scores = None if score is None else Scores({"repetition": float(score)})
    attempts = tuple(
        Attempt(sample=i, answer=_NO_ANSWER, finish_reason="stop", scores=scores, verdict=verdict(status))
        for i, status in enumerate(entry["samples"])
    )
    return CaseResult(case, adapter, attempts, verdict(entry["verdict"]))
