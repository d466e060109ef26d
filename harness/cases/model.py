"""A bad case, independent of the file format it came from.

A case is read once and never changed, so every later step (prompt, cache key, verdict, pair) may rely on it. Its id is
given or derived from its content, never from its position in a file: a new record must not rename its neighbours,
because node ids, ``--lf`` and the history of a case depend on ids.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from harness.cases.decoding import Decoding
from harness.safe.validate import Amount, NonNegative, Share, field_problems, from_mapping, raise_problems

__all__ = ["Case", "Message", "Role", "Thresholds"]

Role = Literal["fix", "holdout", "guard"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


_Number = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
ScoreLimits = Annotated[Mapping[str, _Number], Meta(description="names of scores with finite numbers")]
"""Limits of scores by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What an answer is judged against. Shares are 0..1, similarities 0..1, lengths are mixed units."""

    max_rep8_excess: Share = 0.30
    """Maximum of rep-8 above the standard answer's own, or above the usual 0.2 where that is more. Code, tables and
    lists are excused up to 0.35 more."""
    max_rep8d_excess: Share = 0.35
    """The same with every run of digits replaced by one sign; usual is 0.3."""
    max_loop_excess: Share = 0.15
    """Maximum share of the answer inside its longest tandem run (on units, numbered, on characters), above the standard
    answer's own. A run counts from ``min_loop_copies`` copies and ``min_loop_units`` units on."""
    max_tail_excess: Share = 0.05
    """The same for a run that reaches the end of the answer, which therefore did not terminate."""
    max_templated_excess: Share = 0.30
    """Maximum share of the answer in lines or sentences that repeat except for a word, above the standard answer's
    own."""
    min_loop_copies: NonNegative = 4.0
    """Minimum number of copies of a loop in running text; 3 are enough where one copy is a sentence (12 units) or
    longer. Other forms ask for a multiple."""
    min_loop_units: NonNegative = 32.0
    """Minimum units of a loop in running text; twice as many characters for a loop of characters. Other forms ask for a
    multiple."""
    min_similarity: Share = 0.0
    """Minimum similarity to the standard answer; 0 is off, since a good answer may be worded differently."""
    min_units: Amount = 1
    """Minimum number of words and numbers of an answer; an empty answer never passes."""
    min_length_ratio: Share = 0.1
    """Minimum length as a share of the standard answer's; counts where the standard answer has 20 units or more."""
    max_length_ratio: NonNegative = 0.0
    """Maximum length as a multiple of the standard answer's; 0 is off, since people write short standard answers."""
    allow_cutoff: bool = True
    """Whether an answer cut off at max_tokens may pass; it counts in the cut-off rate either way."""
    reference_may_repeat: bool = False
    """Whether the standard answer may itself be a loop because the prompt asks for one; otherwise the case is
    refused."""
    min_metrics: ScoreLimits = field(default_factory=dict, hash=False)
    """Minimum of any score by name, your own metrics included."""
    max_metrics: ScoreLimits = field(default_factory=dict, hash=False)
    """Maximum of any score by name."""

    def __post_init__(self) -> None:
        raise_problems("thresholds", field_problems(self).values())

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Thresholds | None = None) -> Thresholds:
        """``base`` (or the defaults) with ``values`` over it; limits of scores by name are added to those of ``base``.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        base = base or cls()
        merged = dict(values)
        for name in ("min_metrics", "max_metrics"):
            # A record that adds a limit keeps its folder's: a limit that vanished would pass everything.
            if isinstance(value := values.get(name), Mapping):
                merged[name] = {**getattr(base, name), **value}
        return from_mapping(cls, merged, base, "thresholds")


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
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Arguments of the model's chat template (``enable_thinking`` ...), over those of the model in the manifest."""
    must_include: tuple[str, ...] = ()
    """Regular expressions that the answer must match."""
    must_not_include: tuple[str, ...] = ()
    """Regular expressions that the answer must not match."""
    accepted_answers: tuple[str, ...] = ()
    """Answers that a person accepts although they repeat: no rule about repetition is applied to exactly these."""
    rejected_answers: tuple[str, ...] = ()
    """Answers that a person rejects: exactly these fail, whatever they score."""
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
