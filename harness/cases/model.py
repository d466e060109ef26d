"""A bad case as the harness knows it, whatever file it came from.

Frozen values only: a case is read once and never changed, so every later step (prompt, cache key, verdict, pair)
may rely on it. A case's id is given or derived from its content, never from its position in a file, so that
adding a record does not rename its neighbours (node ids, --lf and the history of a case hang on it).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from harness.cases.decoding import Decoding
from harness.errors import SettingsError

__all__ = ["Case", "Message", "Role", "Thresholds"]

Role = Literal["fix", "holdout", "guard"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What an answer is judged against. Shares are 0..1, similarities 0..1, lengths are mixed units."""

    max_rep8_excess: float = 0.30
    """Most rep-8 above the standard answer's own; above the usual 0.2 where that has less and the answer ended."""
    max_rep8d_excess: float = 0.35
    """The same with every run of digits taken for one sign."""
    max_loop_excess: float = 0.15
    """Most share of the answer inside its longest tandem run (on units, numbered, on characters), above the standard
    answer's own. Counts from ``min_loop_copies`` copies and ``min_loop_units`` units on."""
    max_tail_excess: float = 0.05
    """The same for a run that reaches the end of the answer: one that did not terminate."""
    max_templated_excess: float = 0.30
    """Most share of the answer in lines or sentences that repeat but for a word, above the standard answer's own."""
    min_loop_copies: float = 4.0
    """Fewest copies that make a loop; 3 do where one copy is a sentence (12 units) or more."""
    min_loop_units: float = 32.0
    """Fewest units that make a loop; twice as many characters for one on characters."""
    min_similarity: float = 0.0
    """Least similarity to the standard answer; 0 is off: a good answer may be worded otherwise."""
    min_units: int = 1
    """Fewest words and numbers an answer must have; an empty answer never passes."""
    min_length_ratio: float = 0.1
    """Least length in units, as a share of the standard answer's; counts where that has 20 units or more."""
    allow_cutoff: bool = True
    """Whether an answer cut off at max_tokens may pass (it is counted in the cut-off rate either way)."""
    reference_may_repeat: bool = False
    """Whether the standard answer may itself be a loop (the prompt asks for one); else such a case is refused."""
    min_metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Least value of any score by name, the user's own metrics included."""
    max_metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Most value of any score by name."""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise SettingsError("thresholds: " + "; ".join(problems))

    def _problems(self) -> Iterator[str]:
        # By the type of the default, so that a new threshold is checked without being named here.
        for spec in dataclasses.fields(self):
            value, default = getattr(self, spec.name), cast("float", spec.default)
            if spec.default is dataclasses.MISSING:
                good = isinstance(value, Mapping) and all(isinstance(k, str) and _finite(v) for k, v in value.items())
                want = "names of scores with finite numbers"
            elif isinstance(default, bool):
                good, want = isinstance(value, bool), "true or false"
            elif isinstance(default, int):
                good, want = type(value) is int and value >= 0, "a whole number >= 0"
            elif default <= 1.0:
                good, want = _finite(value) and 0.0 <= value <= 1.0, "a number 0..1"
            else:
                good, want = _finite(value) and value >= 0, "a finite number >= 0"
            if not good:
                yield f"{spec.name} = {value!r} (want {want})"

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Thresholds | None = None) -> Thresholds:
        """``base`` (or the defaults) with ``values`` over it; limits on scores by name go over those of ``base``.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise SettingsError(
                f"thresholds: unknown {', '.join(map(repr, unknown))}; known: {', '.join(sorted(names))}"
            )
        base = base or cls()
        given = dict(values)
        for name, value in values.items():
            # A record that adds a limit keeps its folder's: a limit that vanished would pass everything.
            if isinstance(getattr(base, name), Mapping) and isinstance(value, Mapping):
                given[name] = {**getattr(base, name), **value}
        return dataclasses.replace(base, **given)


def _finite(value: object) -> bool:
    # math.isfinite fails on whole numbers that no float holds.
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One bad case."""

    id: str
    """Stable and unique within the suite, ``<folder>/<name>``."""
    folder: str
    """Name of the case's group: the folder under badcases."""
    messages: tuple[Message, ...]
    """The conversation to answer; ends with a user turn."""
    standard_answer: str | None
    """The answer a person would accept; None where there is none."""
    role: Role = "fix"
    """``fix`` may be trained on; ``holdout`` is a sibling never trained on; ``guard`` must keep passing."""
    tags: tuple[str, ...] = ()
    decoding: Decoding = field(default_factory=Decoding)
    thresholds: Thresholds = field(default_factory=Thresholds)
    must_include: tuple[str, ...] = ()
    """Regular expressions that the answer must match."""
    must_not_include: tuple[str, ...] = ()
    """Regular expressions that the answer must not match."""
    skip: str = ""
    """Why the case is not judged (verdict SKIP); empty: it is judged."""
    xfail: str = ""
    """Why the case is known to fail; empty: it is expected to pass. A case that passes all the same is reported."""
    weight: float = 1.0
    """Weight in the suite's mean scores."""
    source: str = ""
    """Where the case came from, for people: a file and record, a ticket, a log line."""

    @property
    def prompt(self) -> str:
        """The last user turn: what a person calls the prompt."""
        return self.messages[-1].content
