"""How an answer is decoded: one frozen value that travels from case file to engine to cache key.

A verdict is only comparable under the same decoding, so every field is part of the generation's identity
(:meth:`Decoding.key`). Thresholds are not here: they judge an answer, they do not change it.
Given up: engine-specific escape hatches. A field exists only if at least one shipped engine obeys it, and an engine
that cannot obey one refuses the request instead of ignoring it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from harness.errors import SettingsError

__all__ = ["Decoding", "EarlyStopping", "Method", "Semantics"]

Method = Literal["beam", "greedy", "sample"]
Semantics = Literal["hf", "vllm"]
EarlyStopping = bool | Literal["never"]

_CHOICES: dict[str, tuple[object, ...]] = {
    "method": ("beam", "greedy", "sample"),
    "semantics": ("hf", "vllm"),
    "early_stopping": (True, False, "never"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Decoding parameters of one case; the defaults are what production uses."""

    method: Method = "beam"
    """``beam`` (deterministic search), ``greedy`` or ``sample``."""
    max_tokens: int = 4096
    """Most new tokens; the prompt is not counted."""
    beam_width: int = 5
    """Live hypotheses a step (method ``beam`` only)."""
    semantics: Semantics = "hf"
    """Whose beam search: ``hf`` counts generated tokens with EOS, ``vllm`` counts the prompt and not EOS."""
    length_penalty: float = 1.0
    """Exponent on the length by which a hypothesis' summed log-probability is divided."""
    early_stopping: EarlyStopping = False
    """When a beam search ends; the meaning of transformers' option of this name."""
    early_fail: bool = True
    """Stop once every hypothesis that can still win provably loops (the verdict FAIL is certain)."""
    temperature: float = 0.0
    """Sampling temperature (method ``sample`` only); 0 elsewhere."""
    top_p: float = 1.0
    top_k: int = 0
    """0 means: all tokens."""
    seed: int = 0
    """Seed of the first sample; sample i uses ``seed + i``."""
    samples: int = 1
    """Answers drawn per case."""
    min_pass: int = 1
    """How many of ``samples`` must pass for the case to pass."""
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    no_repeat_ngram: int = 0
    """Size of n-grams that may not occur twice; 0 is off. The transformers engine only."""
    stop: tuple[str, ...] = ()
    """Strings that end the answer; not part of the text returned."""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise SettingsError("decoding: " + "; ".join(problems))

    def _problems(self) -> list[str]:
        found: list[str] = []

        def check(name: str, good: bool, want: str) -> None:
            if not good:
                found.append(f"{name} = {getattr(self, name)!r} (want {want})")

        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            # ``1 in (True, ...)`` is true in Python, hence the identity of types.
            check(name, any(value == a and type(value) is type(a) for a in allowed), f"one of {allowed}")
        for name, least in (
            ("max_tokens", 1), ("beam_width", 1), ("samples", 1), ("min_pass", 1),
            ("top_k", 0), ("seed", 0), ("no_repeat_ngram", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            check(name, type(value) is int and value >= least, f"a whole number >= {least}")
        for name, low, high in (
            ("length_penalty", -10.0, 10.0), ("temperature", 0.0, 10.0), ("top_p", 0.0, 1.0),
            ("repetition_penalty", 0.01, 10.0), ("presence_penalty", -2.0, 2.0),
        ):  # fmt: skip
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            # NaN is in no range, and a bound says more than finite.
            check(name, number and low <= value <= high, f"a number {low}..{high}")
        check("early_fail", isinstance(self.early_fail, bool), "true or false")
        check("stop", isinstance(self.stop, tuple) and all(isinstance(s, str) and s for s in self.stop), "strings")
        if not found:
            if self.min_pass > self.samples:
                found.append(f"min_pass = {self.min_pass} is more than samples = {self.samples}")
            if self.method != "sample" and self.temperature != 0:
                found.append(f"temperature = {self.temperature} needs method = 'sample'")
            if self.method == "sample" and self.temperature == 0:
                found.append("method = 'sample' needs temperature > 0")
            if self.method != "sample" and self.samples != 1:
                found.append(f"samples = {self.samples} needs method = 'sample'")
        return found

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Decoding | None = None) -> Decoding:
        """``base`` (or the defaults) with ``values`` over it.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise SettingsError(f"decoding: unknown {', '.join(map(repr, unknown))}; known: {', '.join(sorted(names))}")
        given = dict(values)
        if isinstance(given.get("stop"), list):
            given["stop"] = tuple(given["stop"])
        return dataclasses.replace(base or cls(), **given)

    def key(self) -> dict[str, object]:
        """Every field as plain JSON data: part of a generation's identity in the cache."""
        data = cast("dict[str, object]", dataclasses.asdict(self))
        data["stop"] = list(self.stop)
        # How many of the samples must pass is a threshold, not decoding.
        del data["min_pass"]
        return data
