"""How long an engine or a training may be silent; ``[tool.harness.deadlines]`` changes single fields.

Without deadlines, a hanging GPU is waited for for ever. What ends by one is an error of the harness: verdict ERROR, no
training pair, nothing registered. The defaults are far above what a large model needs; 0 is no deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.safe.validate import NonNegative, field_problems, from_mapping, raise_problems

__all__ = ["Deadlines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds; 0 is no deadline."""

    engine_start: NonNegative = 1800.0
    """From the start of an engine until it takes requests."""
    first_token: NonNegative = 900.0
    """From the request for answers to the first token, or to the first answer of an engine that reports none."""
    engine_stall: NonNegative = 600.0
    """Without a new token or answer, after the first."""
    answer: NonNegative = 0.0
    """From one answer to the next one, and to the first."""
    run: NonNegative = 0.0
    """For all answers of a run; what is not answered by then is ERROR."""
    training_start: NonNegative = 3600.0
    """From the start of a training's processes to its first step."""
    training_stall: NonNegative = 1800.0
    """Without a new step, evaluation or checkpoint, after the first."""
    tracker: NonNegative = 60.0
    """For all experiment trackers together to take a run; what is not sent by then is a warning."""

    def __post_init__(self) -> None:
        raise_problems("deadlines", field_problems(self).values())

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Deadlines:
        """The defaults with ``values`` over them.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        return from_mapping(cls, values, cls(), "deadlines")
