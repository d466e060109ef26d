"""Which machine runs which cases: parts of equal cost, the same on every machine.

Cases are dealt out by greedy longest processing time: the costliest one first, each to the part that has the least so
far. That is at most a third above the best possible split (Graham, 1969). The cost of a case is the number of tokens
that were generated for it before. A case without a record costs the mean of the others; without any record, parts have
equal numbers of cases.

Machines do not talk to each other, so all inputs must be the same everywhere: the ids, the number of parts, and the
costs, which come from a committed baseline file or from one run of a common database. The digest of a split covers all
of them. It is recorded with each part, and parts with different digests are never joined.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from harness.judging.results import CaseResult

__all__ = ["Split", "recorded_costs", "split_cases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which case is in which part."""

    parts: tuple[tuple[str, ...], ...]
    """Ids of the cases of each part, sorted; a part may be empty."""
    digest: str
    """sha256 over the parts and the costs."""
    costed: int
    """How many cases have a recorded cost."""


def split_cases(ids: Collection[str], parts: int, costs: Mapping[str, int] | None = None) -> Split:
    """Split a suite.

    Args:
        ids: of all cases, each once, in any order.
        parts: how many parts; at least 1.
        costs: tokens by case id; those of other cases do not count.
    """
    known = {name: int(costs[name]) for name in ids if name in costs} if costs else {}
    usual = max(1, sum(known.values()) // max(1, len(known)))
    order = sorted(ids, key=lambda name: (-known.get(name, usual), name))
    own: list[list[str]] = [[] for _ in range(parts)]
    # Equal loads go by the number of cases: answers without tokens cost a little as well.
    loads = [(0, 0, number) for number in range(parts)]
    for name in order:
        load, cases, number = heapq.heappop(loads)
        own[number].append(name)
        heapq.heappush(loads, (load + known.get(name, usual), cases + 1, number))
    split = tuple(tuple(sorted(names)) for names in own)
    text = json.dumps([split, sorted(known.items())], ensure_ascii=True)
    return Split(parts=split, digest=hashlib.sha256(text.encode()).hexdigest(), costed=len(known))


def recorded_costs(results: Iterable[CaseResult]) -> dict[str, int]:
    """Tokens by case id out of the results of a run, over all its versions; cases without an answer are left out."""
    costs: dict[str, int] = {}
    for result in results:
        if tokens := sum(attempt.tokens for attempt in result.attempts):
            costs[result.case.id] = costs.get(result.case.id, 0) + tokens
    return costs
