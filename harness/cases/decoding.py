"""How an answer is decoded: one frozen value that travels from case file to engine to cache key.

Verdicts are comparable only under the same decoding, so every field is part of a generation's identity
(:meth:`Decoding.key`). Thresholds are not here: they judge an answer and do not change it.

Not supported: engine-specific options. A field exists only if at least one shipped engine supports it. An engine that
does not support a field refuses the request instead of ignoring it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from msgspec import Meta

from harness.errors import SettingsError
from harness.safe.validate import Amount, Count, Share, field_problems, from_mapping, raise_problems

__all__ = ["Decoding", "EarlyStopping", "Method", "Semantics"]

Method = Literal["beam", "greedy", "sample"]
Semantics = Literal["hf", "vllm"]
EarlyStopping = bool | Literal["never"]

LengthPenalty = Annotated[float, Meta(ge=-10, le=10, description="a number -10.0..10.0")]
Temperature = Annotated[float, Meta(ge=0, le=10, description="a number 0.0..10.0")]
RepetitionPenalty = Annotated[float, Meta(ge=0.01, le=10, description="a number 0.01..10.0")]
PresencePenalty = Annotated[float, Meta(ge=-2, le=2, description="a number -2.0..2.0")]
StopStrings = Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(description="strings")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Decoding parameters of one case; the defaults are what production uses."""

    method: Method = "beam"
    """``beam`` (deterministic search), ``greedy`` or ``sample``."""
    max_tokens: Count = 4096
    """Maximum of new tokens; the prompt does not count."""
    beam_width: Count = 5
    """Live hypotheses of a step (method ``beam`` only)."""
    semantics: Semantics = "hf"
    """``hf`` counts generated tokens with the end token, as transformers; ``vllm`` counts the prompt instead."""
    length_penalty: LengthPenalty = 1.0
    """Exponent of the length by which a hypothesis' summed log-probability is divided."""
    early_stopping: EarlyStopping = False
    """When a beam search ends; the meaning of transformers' option of this name."""
    early_fail: bool = True
    """Stop once every hypothesis that can still win provably loops, so that the verdict FAIL is certain."""
    temperature: Temperature = 0.0
    """Sampling temperature (method ``sample`` only); 0 elsewhere."""
    top_p: Share = 1.0
    """Probability mass of the tokens to sample from."""
    top_k: Amount = 0
    """Number of tokens to sample from; 0 is all."""
    seed: Amount = 0
    """Seed of the first sample; sample i uses ``seed + i``."""
    samples: Count = 1
    """Answers drawn for each case."""
    min_pass: Count = 1
    """Number of ``samples`` that must pass for the case to pass."""
    repetition_penalty: RepetitionPenalty = 1.0
    """Divisor of the logits of tokens that occurred before; 1 is off."""
    presence_penalty: PresencePenalty = 0.0
    """Subtracted from the logits of tokens that occurred before; 0 is off."""
    no_repeat_ngram: Amount = 0
    """Size of n-grams that may not occur twice; 0 is off. The transformers engine only."""
    stop: StopStrings = ()
    """Strings that end the answer; not part of the text returned."""

    def __post_init__(self) -> None:
        raise_problems("decoding", field_problems(self).values() or self._conflicts())

    def _conflicts(self) -> list[str]:
        """Fields that are right by themselves and wrong together."""
        conflicts = []
        if self.min_pass > self.samples:
            conflicts.append(f"min_pass = {self.min_pass} is more than samples = {self.samples}")
        if self.method != "sample" and self.temperature != 0:
            conflicts.append(f"temperature = {self.temperature} needs method = 'sample'")
        if self.method == "sample" and self.temperature == 0:
            conflicts.append("method = 'sample' needs temperature > 0")
        if self.method != "sample" and self.samples != 1:
            conflicts.append(f"samples = {self.samples} needs method = 'sample'")
        return conflicts

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Decoding | None = None) -> Decoding:
        """``base`` (or the defaults) with ``values`` over it.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        stop = values.get("stop")
        values = {**values, "stop": tuple(stop)} if isinstance(stop, list) else dict(values)
        if values.get("top_k") == -1:
            # vLLM's word for all of them.
            values["top_k"] = 0
        if "best_of" in values:
            # vLLM's old name: hypotheses of a beam search, and samples of which the best is kept otherwise.
            width = values.pop("best_of")
            method = values.get("method", base.method if base is not None else "beam")
            if method != "beam":
                raise SettingsError(f"decoding: best_of = {width!r} is for method = 'beam'; otherwise use samples")
            if values.setdefault("beam_width", width) != width:
                raise SettingsError(
                    f"decoding: best_of = {width!r} and beam_width = {values['beam_width']!r}; keep one"
                )
        return from_mapping(cls, values, base or cls(), "decoding")

    def key(self) -> dict[str, object]:
        """Every field as plain JSON data: part of a generation's identity in the cache."""
        data = cast("dict[str, object]", dataclasses.asdict(self))
        data["stop"] = list(self.stop)
        # How many of the samples must pass is a threshold, not decoding.
        del data["min_pass"]
        return data
