"""Joins the parts of a run that were recorded apart, each in a database of its own, to one whole run.

The databases come from other machines, as artifacts of jobs, so they are input that may be anything: they are opened
read-only, every row's seal is checked, and what the runs say about themselves is checked by shape before it is used.

Parts are joined if, and only if, they are parts of one plan (the same cases in the same split by the same costs),
agree in everything that decides comparability (suite, versions' contents, models, engine, limits, baseline, commit,
packages), do not overlap, leave no gap, and hold exactly the results that they planned. The whole is written in one
transaction.

Not joined: stored answers. They would enter the cache of this machine, and a cache answers without being asked why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cases.model import Case
from harness.cases.suite import SuiteFacts, describe_suite
from harness.errors import StoreError, UsageError
from harness.judging.results import CaseResult
from harness.runs.parts import missing_parts
from harness.safe.records import from_data
from harness.store import PartRecord, Run, Store
from harness.store.parts import differing, end_facts

__all__ = ["Source", "join_runs", "newest_part"]

_MAX_PARTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run that holds a part, and where it was found."""

    name: str
    """A file or a run, for messages."""
    store: Store
    run: Run
    parts: tuple[PartRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    sizes: tuple[int, ...]
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunFacts:
    """The shape of what a run says about itself, as far as anything uses it."""

    parts: _Plan
    suite: SuiteFacts
    adapters: tuple[str, ...]
    engine: tuple[str, str]
    kind: str = "suite"
    group: str = ""
    baseline: str = ""
    commit: str = ""
    limits: Mapping[str, float | bool | None] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    chat_template_kwargs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    trust_remote_code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartFacts:
    command: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    seconds: float | None = None
    process: _Process = field(default_factory=_Process)
    complete: bool = False


def newest_part(store: Store, name: str, run_id: str = "last") -> Source:
    """The newest run of a database, or the named one, which must hold a part of a run.

    Raises:
        StoreError: there is none, or it was changed.
        UsageError: it is not a part.
    """
    run = store.run(run_id)
    if not run.part_sizes:
        raise UsageError(f"{name}: run {run.id} is no part of a run; make parts with: pytest badcases --shard I/N")
    source = Source(name=name, store=store, run=run, parts=store.parts(run.id))
    try:
        facts = from_data(_RunFacts, dict(run.facts))
        for part in source.parts:
            from_data(_PartFacts, part.facts)
    except ValueError as error:
        raise StoreError(f"{name}: run {run.id} does not say what parts say: {error}") from error
    numbers = {part.number for part in source.parts}
    sizes = facts.parts.sizes
    if not (
        0 < len(sizes) <= _MAX_PARTS and min(sizes) >= 0 and sum(sizes) > 0 and numbers <= set(range(1, len(sizes) + 1))
    ):
        raise StoreError(f"{name}: run {run.id} has parts {sorted(numbers)} of {len(sizes)}, which cannot be")
    return source


def join_runs(sources: Sequence[Source], into: Store) -> Run:
    """Write the whole run that the parts make.

    Raises:
        UsageError: the parts are not those of one run: an overlap, other settings.
        StoreError: a part is missing, was changed since it was recorded, or does not hold what it planned.
    """
    first = sources[0]
    _require_one_plan(sources)
    _require_each_part_once(sources)
    parts = [part for source in sources for part in source.parts if part.complete]
    shared = {n: v for n, v in first.run.facts.items() if n not in ("group", "complete", "part_runs")}
    facts = {**shared, **end_facts(parts), "joined": [source.name for source in sources]}
    return into.record_run(sum(first.run.part_sizes), facts, _results(sources))


def _require_one_plan(sources: Sequence[Source]) -> None:
    first = sources[0]
    for other in sources[1:]:
        names = differing(first.run.facts, other.run.facts)
        if "parts" in names:
            raise UsageError(
                f"{other.name} is of another plan than {first.name}: other cases, another number of parts, or another "
                "split; run all parts with the same files and options"
            )
        if names:
            raise UsageError(
                f"{other.name} was made with other {', '.join(names)} than {first.name}; "
                "run all parts with the same files and options"
            )


def _require_each_part_once(sources: Sequence[Source]) -> None:
    where: dict[int, Source] = {}
    complete = []
    for source in sources:
        for part in source.parts:
            if part.number in where:
                raise UsageError(
                    f"part {part.number} is in {where[part.number].name} and in {source.name}; name each part once"
                )
            where[part.number] = source
            complete.append(part)
    if missing := missing_parts(sources[0].run, complete):
        incomplete = [n for n in missing if n in where]
        absent = [n for n in missing if n not in where]
        reasons = [f"part {n} in {where[n].name} did not come to its end with all its results" for n in incomplete] + (
            [f"parts {', '.join(map(str, absent))} are missing"] if absent else []
        )
        raise StoreError(f"of {len(sources[0].run.part_sizes)} parts, {'; '.join(reasons)}")


def _results(sources: Sequence[Source]) -> Iterator[tuple[int, CaseResult]]:
    """All results with their positions; at the end it is sure that they are the whole suite's."""
    sizes = sources[0].run.part_sizes
    adapters = set(sources[0].run.adapters)
    seen: dict[tuple[str, str], str] = {}
    cases: dict[str, Case] = {}
    for source in sources:
        before = len(seen)
        for position, result in source.store.placed_results(source.run.id):
            key = (result.case.id, result.adapter)
            if key in seen or result.adapter not in adapters:
                raise UsageError(f"{source.name}: {key[0]} on {key[1]} is also in {seen.get(key, 'no plan')}")
            seen[key] = source.name
            cases.setdefault(result.case.id, result.case)
            yield position, result
        planned = sum(sizes[part.number - 1] for part in source.parts)
        if len(seen) - before != planned:
            raise StoreError(f"{source.name}: holds {len(seen) - before} results and planned {planned}; run it again")
    suite = sources[0].run.facts["suite"]
    if len(cases) == suite["cases"] and describe_suite(cases.values()).digest != suite["digest"]:
        raise StoreError(f"the cases of {', '.join(s.name for s in sources)} are not those of the recorded suite")
