"""The session's part of a run that several machines make: which cases are its own, and what they wait for.

Only what every machine has alike may decide the split: the collected cases and versions, the number of parts, and costs
out of a committed baseline file or out of one run of the common database, which the first part of a group chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.project.run_group import pipeline_group
from harness.project.settings import Settings
from harness.runs.whole import newest_complete_run
from harness.store import Part, Store
from harness.suite.baseline import read_baseline
from harness.suite.shards import Split, recorded_costs, split_cases

__all__ = ["Shard"]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The ``number``-th of ``of`` parts of the collected cases."""

    number: int
    of: int
    settings: Settings
    planned: Sequence[tuple[str, str]]
    """Case id and version of every collected test, on all machines alike."""
    collect_only: bool = False

    @cached_property
    def group(self) -> str:
        """The name under which the parts find each other; empty: this one stays alone."""
        if self.settings.run_group or not self.settings.database_is_shared:
            return self.settings.run_group
        return pipeline_group()

    @cached_property
    def split(self) -> Split:
        """Which case is in which part.

        Raises:
            UsageError, StoreError: the costs cannot be read.
        """
        return split_cases({case for case, _ in self.planned}, self.of, self._costs())

    @cached_property
    def cases(self) -> frozenset[str]:
        """Ids of this part's cases."""
        return frozenset(self.split.parts[self.number - 1])

    @property
    def part(self) -> Part:
        """The part as the store records it."""
        number_of = {case: number for number, cases in enumerate(self.split.parts) for case in cases}
        sizes = [0] * self.of
        for case, _ in set(self.planned):
            sizes[number_of[case]] += 1
        return Part(number=self.number, sizes=tuple(sizes), plan=self.split.digest, group=self.group)

    def positions(self, own: Sequence[tuple[str, str]]) -> list[int]:
        """The places of these tests in the whole run."""
        places = {pair: place for place, pair in enumerate(dict.fromkeys(self.planned))}
        return [places[pair] for pair in own]

    def _costs(self) -> Mapping[str, int]:
        if self.settings.baseline_is_file:
            costs = read_baseline(self.settings.baseline, self.settings.root).costs
            if any(case in costs for case, _ in self.planned):
                return costs
        if not (self.settings.database_is_shared and self.group):
            return {}
        with Store(self.settings.database) as store:
            run = store.costs_run(self.group, lambda: newest_complete_run(store), keep=not self.collect_only)
            return recorded_costs(store.iter_results(run)) if run else {}
