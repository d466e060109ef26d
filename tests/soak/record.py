"""What a campaign leaves: one line of JSON, and the table made of the newest lines.

A record names machine and commit, and holds no name of a host or a person. Trade-off: every line of the file is kept,
so that a table of an older commit can be made again.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.runs.revision import git_revision
from harness.safe.files import append_line
from harness.safe.records import dump, load

__all__ = ["OUT", "Campaign", "CampaignResult", "Violation", "save", "table"]

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "reports" / "bench" / "soak.jsonl"
_MOST = 50
"""Violations that a record holds; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that a try broke."""

    kind: str
    seed: int
    """Of the try: ``python -m tests.soak CAMPAIGN --seed SEED --count 1 --kind KIND`` makes it again."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """A campaign that came to its end, or to the end of its time."""

    campaign: str
    seed: int
    tries: Mapping[str, int]
    """By kind."""
    broken: int
    """Tries that broke a promise."""
    violations: tuple[Violation, ...] = ()
    skipped: tuple[str, ...] = ()
    """Kinds that this machine cannot try, each with its reason."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Further figures: what was found by the way."""
    seconds: float
    date: str
    commit: str
    machine: str
    load: float
    """Of the machine, when the campaign began."""

    @property
    def total(self) -> int:
        return sum(self.tries.values())


class Campaign:
    """Counts tries and collects violations."""

    def __init__(self, name: str, seed: int, *, minutes: float | None = None, show: bool = True) -> None:
        """``minutes``: after which no new try begins; None: no limit."""
        self.name = name
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self._tries: Counter[str] = Counter()
        self._violations: list[Violation] = []
        self._broken = 0
        self._skipped: list[str] = []
        self._began = time.monotonic()
        self._end = None if minutes is None else self._began + 60 * minutes
        self._load = os.getloadavg()[0]
        self._show = show

    @property
    def over(self) -> bool:
        """Whether its time is used up."""
        return self._end is not None and time.monotonic() > self._end

    def tried(self, kind: str, seed: int, problems: Sequence[str], *, tries: int = 1) -> None:
        """Note a try, or several of one seed, and what was wrong with it."""
        self._tries[kind] += tries
        self._broken += bool(problems)
        for text in problems:
            if len(self._violations) < _MOST:
                self._violations.append(Violation(kind=kind, seed=seed, text=text[:2000]))
            self.say(f"VIOLATION {self.name}/{kind}, seed {seed}: {text}")

    def skip(self, kind: str, reason: str) -> None:
        """Note that a kind cannot be tried here."""
        self._skipped.append(f"{kind}: {reason}")
        self.say(f"skipped {self.name}/{kind}: {reason}")

    def say(self, text: str) -> None:
        if self._show:
            print(f"[{time.monotonic() - self._began:7.1f} s] {text}", flush=True)

    @contextmanager
    def kind(self, name: str) -> Iterator[None]:
        """Say how long a kind took."""
        began, before = time.monotonic(), self._tries.total()
        yield
        self.say(f"{self.name}/{name}: {self._tries.total() - before} tries in {time.monotonic() - began:.0f} s")

    def result(self) -> CampaignResult:
        return CampaignResult(
            campaign=self.name,
            seed=self.seed,
            tries=dict(self._tries),
            broken=self._broken,
            violations=tuple(self._violations),
            skipped=tuple(self._skipped),
            counts=dict(self.counts),
            seconds=round(time.monotonic() - self._began, 1),
            date=datetime.now(UTC).date().isoformat(),
            commit=git_revision(ROOT) or "no git work tree",
            machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            load=round(self._load, 1),
        )


def save(result: CampaignResult) -> None:
    """Add the record to the file of all campaigns."""
    append_line(OUT, dump(result))


def table(path: Path = OUT) -> str:
    """The newest record of each kind of try as a Markdown table, and where and when it was made."""
    newest: dict[tuple[str, str], CampaignResult] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.strip():
            result = load(CampaignResult, line)
            newest |= {(result.campaign, kind): result for kind in result.tries}
    rows = ["| campaign | what | tries | violations |", "|---|---|---:|---:|"]
    sums: dict[str, list[int]] = {}
    for (campaign, kind), result in sorted(newest.items()):
        broken = sum(v.kind == kind for v in result.violations)
        rows.append(f"| {campaign} | {kind} | {result.tries[kind]:,} | {broken} |")
        whole = sums.setdefault(campaign, [0, 0])
        whole[0] += result.tries[kind]
        whole[1] += broken
    rows += [f"| **{campaign}** | all | **{tries:,}** | **{broken}** |" for campaign, (tries, broken) in sums.items()]
    lines = dict.fromkeys(_about(result) for result in newest.values())
    return "\n".join([*rows, "", *lines])


def _about(result: CampaignResult) -> str:
    more = "".join(f" {name}: {value:g}." for name, value in sorted(result.counts.items()))
    skipped = "".join(f" Not tried: {reason}." for reason in result.skipped)
    return (
        f"- {result.campaign}: {result.date}, commit `{result.commit[:12]}`, seed {result.seed}, "
        f"{result.seconds / 60:.0f} minutes, {result.machine}, load {result.load:g} at the start.{more}{skipped}"
    )
