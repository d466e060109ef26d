"""What the store gives: runs, parts of runs and trainings, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["IMPORTED", "SHOWN", "SUITE", "Part", "PartRecord", "Run", "RunStatus", "Training"]

RunStatus = Literal["started", "finished", "interrupted", "failed"]
SUITE = "suite"
"""Kind of a run whose answers an engine gave."""
IMPORTED = "imported"
"""Kind of a run of old answers out of files: shown and compared, and never evidence of what an engine answers."""
SHOWN = (SUITE, IMPORTED)
"""Kinds that people look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One evaluation: facts about it; its results are read apart."""

    id: str
    started: str
    finished: str | None
    status: RunStatus
    planned: int
    """How many results a whole run has; fewer recorded ones mean that it was cut short."""
    facts: Mapping[str, Any]
    results_seal: str = ""
    """Seal of all its results; empty while it is under way."""

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(self.facts.get("adapters", ()))

    @property
    def kind(self) -> str:
        """``suite``, ``imported``, or what else asked for answers (``probe``, ``bisect``).

        Only suites are judged by the gate, blessed and fixed.
        """
        return str(self.facts.get("kind", SUITE))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the files that an imported run's answers come from; empty for every other run."""
        files = self.facts.get("files", ()) if self.kind == IMPORTED else ()
        return tuple(str(file.get("name", "")) for file in files)

    @property
    def group(self) -> str:
        """The name under which the parts of the run find each other; empty: it is made by one process."""
        return str(self.facts.get("group", ""))

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """How many results each part of the run has, where it has parts."""
        parts = self.facts.get("parts")
        return tuple(parts.get("sizes", ())) if isinstance(parts, Mapping) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The place of one process's cases in a run that several processes make."""

    number: int
    """From 1."""
    sizes: tuple[int, ...]
    """How many results each part has; every process knows the whole plan."""
    plan: str
    """Digest of which case is in which part, and of the costs behind it: the same in every process."""
    group: str = ""
    """The name under which the parts find each other in one database; empty: this part is a run of its own."""

    @property
    def of(self) -> int:
        """How many parts there are; some may be empty."""
        return len(self.sizes)

    @property
    def planned(self) -> int:
        """How many results this part has."""
        return self.sizes[self.number - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """A part as it was recorded."""

    run: str
    number: int
    started: str
    finished: str | None
    status: RunStatus
    planned: int
    facts: Mapping[str, Any]
    """What is the part's own: command, machine, process, seconds, and whether it is complete."""

    @property
    def complete(self) -> bool:
        """Whether it came to its end with all its results."""
        return self.status == "finished" and self.facts.get("complete") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training: what it was asked, how far it came."""

    id: str
    started: str
    finished: str | None
    status: str
    run: str
    adapter: str
    facts: Mapping[str, Any]
