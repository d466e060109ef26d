"""Groups of repeaters whose prompts are nearly the same, in bounded memory.

Prompts are compared in a normal form: NFKC, lower case, every number as 0, white space as one blank. Equal forms are
one group. For nearly equal ones MinHash over shingles of four characters proposes candidates (bands of two of 32
values), and rapidfuzz decides. So a prompt is compared with a few others and never with all.

A group is ranked by the sum of its answers' severities: how often it happens, weighed by how much of the answer is
repetition. When there are too many groups, or their texts are too long, the lowest ones are dropped and counted.

Trade-off: the first prompt of a group stands for it, so the order of the logs decides which texts are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from harness.cases.model import Message
from harness.engines.base import FinishReason

__all__ = ["Example", "Group", "Groups"]

MAX_GROUPS = 4_000
MAX_CHARACTERS = 32_000_000
"""Of all prompts and answers that are kept."""
COMPARED = 2_000
"""Characters of a prompt that are compared."""
ALIKE = 85.0
"""rapidfuzz's ratio, 0..100, from which on prompts are one group."""
MIN_SEVERITY = 0.1
"""Of a repeater whose excess is small: a loop at the end of a long answer."""
_HASHES, _BAND, _SHINGLE = 32, 2, 4
_MAX_CANDIDATES = 64
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One repeater."""

    place: int
    """Line, row or record in its file, from 1."""
    file: str
    messages: tuple[Message, ...]
    answer: str
    """Its beginning and its end."""
    severity: float
    rules: tuple[str, ...]
    finish: FinishReason | None = None

    @property
    def prompt(self) -> str:
        return self.messages[-1].content

    @property
    def size(self) -> int:
        return sum(len(m.content) for m in self.messages) + len(self.answer)


@dataclass(slots=True, kw_only=True)
class Group:
    """Repeaters with nearly the same prompt."""

    form: str
    """The first prompt's normal form."""
    records: int = 0
    severity: float = 0.0
    """Sum over its records."""
    worst: float = 0.0
    rules: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    """The first records with different prompts."""


class Groups:
    """All groups so far."""

    def __init__(self, per_group: int, most: int = MAX_GROUPS) -> None:
        """At most ``per_group`` examples of a group; of more than ``most`` groups the rare ones are dropped."""
        self.per_group = per_group
        self._most = most
        self.dropped_groups = 0
        self.dropped_records = 0
        self._groups: list[Group] = []
        self._exact: dict[str, int] = {}
        self._bands: dict[tuple[int, int, int], list[int]] = {}
        self._characters = 0

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, prompt: str, severity: float, rules: tuple[str, ...], example: Callable[[], Example]) -> None:
        """Put a repeater into its group, or begin one with it.

        Args:
            prompt: what it answers.
            severity: 0..1.
            rules: the signs of repetition.
            example: makes what is kept of it; called while the group has room, since most groups have none.
        """
        group = self._group(_normal(prompt))
        group.records += 1
        group.severity += severity
        group.worst = max(group.worst, severity)
        group.rules.update(rules)
        if len(group.examples) < self.per_group:
            self._keep(group, (example(),))
        self._bound()

    def merge(self, other: Groups) -> None:
        """Take in the groups of another part of the logs."""
        for theirs in other._groups:
            group = self._group(theirs.form)
            group.records += theirs.records
            group.severity += theirs.severity
            group.worst = max(group.worst, theirs.worst)
            group.rules.update(theirs.rules)
            self._keep(group, theirs.examples)
            self._bound()
        self.dropped_groups += other.dropped_groups
        self.dropped_records += other.dropped_records

    def ranked(self) -> list[Group]:
        """The groups, the one that costs users most first."""
        return sorted(self._groups, key=lambda g: (-g.severity, -g.records, g.form))

    def _keep(self, group: Group, examples: Iterable[Example]) -> None:
        for example in examples:
            if len(group.examples) >= self.per_group:
                return
            if all(_content(example) != _content(kept) for kept in group.examples):
                group.examples.append(example)
                self._characters += example.size

    def _group(self, form: str) -> Group:
        at = self._exact.get(form)
        if at is None:
            bands = _bands(form)
            at = self._similar(form, bands)
            if at is None:
                at = len(self._groups)
                self._groups.append(Group(form=form))
                self._characters += len(form)
                self._index(at, bands)
            if len(self._exact) < 4 * self._most:
                self._exact[form] = at
        return self._groups[at]

    def _similar(self, form: str, bands: list[tuple[int, int, int]]) -> int | None:
        from rapidfuzz import fuzz

        candidates = Counter(at for band in bands for at in self._bands.get(band, ()))
        best, best_at = ALIKE, None
        for at, _ in candidates.most_common(_MAX_CANDIDATES):
            ratio = fuzz.ratio(form, self._groups[at].form, score_cutoff=best)
            if ratio >= best and (best_at is None or ratio > best):
                best, best_at = ratio, at
        return best_at

    def _index(self, at: int, bands: list[tuple[int, int, int]]) -> None:
        for band in bands:
            members = self._bands.setdefault(band, [])
            if len(members) < _MAX_CANDIDATES:
                members.append(at)

    def _bound(self) -> None:
        if len(self._groups) <= 2 * self._most and self._characters <= MAX_CHARACTERS:
            return
        ranked = self.ranked()
        kept: list[Group] = []
        self._characters = 0
        for group in ranked:
            size = len(group.form) + sum(e.size for e in group.examples)
            if len(kept) < self._most and self._characters + size <= MAX_CHARACTERS // 2:
                kept.append(group)
                self._characters += size
            else:
                self.dropped_groups += 1
                self.dropped_records += group.records
        self._groups = kept
        self._exact = {group.form: at for at, group in enumerate(kept)}
        self._bands = {}
        for at, group in enumerate(kept):
            self._index(at, _bands(group.form))


def _content(example: Example) -> tuple[Message, ...]:
    return example.messages


def _normal(prompt: str) -> str:
    text = unicodedata.normalize("NFKC", prompt[: 2 * COMPARED]).casefold()
    return " ".join(_NUMBER.sub("0", text).split())[:COMPARED]


def _bands(form: str) -> list[tuple[int, int, int]]:
    """The bands of a form's MinHash signature; none for a text shorter than a shingle, which has to be equal."""
    import numpy as np

    codes = np.frombuffer(form.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if len(codes) < _SHINGLE:
        return []
    count = len(codes) - _SHINGLE + 1
    shingles = np.zeros(count, dtype=np.uint64)
    for offset in range(_SHINGLE):
        shingles = shingles * np.uint64(1_000_003) + codes[offset : offset + count]
    shingles = np.unique(shingles)
    draw = np.random.default_rng(7)
    factors = draw.integers(1, 2**62, _HASHES, dtype=np.uint64) | np.uint64(1)
    shifts = draw.integers(0, 2**62, _HASHES, dtype=np.uint64)
    values = (shingles[:, None] * factors[None, :] + shifts[None, :]) >> np.uint64(20)
    least = values.min(axis=0).tolist()
    return [(at, least[at], least[at + 1]) for at in range(0, _HASHES, _BAND)]
