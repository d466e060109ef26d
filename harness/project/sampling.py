"""How ``harness fix`` samples the model's own answers; ``[tool.harness.sampling]`` changes single fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from harness.cases.decoding import Decoding, RepetitionPenalty
from harness.cases.model import Case
from harness.safe.validate import Amount, Count, field_problems, from_mapping, raise_problems

__all__ = ["Sampling"]

FEW_CASES = 20
"""Number of failing cases below which more answers are drawn for each."""

SamplingTemperature = Annotated[float, Meta(gt=0, le=10, description="a number above 0, up to 10")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How candidates for chosen answers are drawn."""

    answers: Count = 6
    """Samples for each failing case; four more where there are fewer than twenty cases."""
    continuations: Amount = 2
    """Samples for each failing case that begin where its loop begins."""
    keep: Count = 2
    """Maximum of the model's own answers that become chosen answers of a case."""
    temperature: SamplingTemperature = 0.7
    top_k: Amount = 50
    """Number of tokens to sample from. Not top-p: it sorts the whole vocabulary for every row, which is slow on a
    CPU."""
    repetition_penalty: RepetitionPenalty = 1.15
    max_tokens: Count = 512
    """Maximum of new tokens; a case's own max_tokens counts where it is lower."""
    seed: Amount = 0
    """Seed of the first sample."""
    greedy: bool = True
    """Whether the greedy answer is drawn too: production may decode greedily, and a loop there is rejected as well."""

    def __post_init__(self) -> None:
        raise_problems("sampling", field_problems(self).values())

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Sampling:
        """The defaults with ``values`` over them.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        return from_mapping(cls, values, cls(), "sampling")

    def decoding(self, case: Case, samples: int) -> Decoding:
        """The decoding of one case's samples."""
        return Decoding(
            method="sample",
            samples=samples,
            temperature=self.temperature,
            top_k=self.top_k,
            repetition_penalty=self.repetition_penalty,
            max_tokens=min(case.decoding.max_tokens, self.max_tokens),
            stop=case.decoding.stop,
            seed=self.seed,
        )

    def for_cases(self, count: int) -> Sampling:
        """The same with more answers where there are few cases, since few cases give little variety."""
        more = count < FEW_CASES
        return dataclasses.replace(self, answers=self.answers + 4, keep=self.keep + 1) if more else self
