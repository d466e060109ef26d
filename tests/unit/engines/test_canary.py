"""The canary lets adapters with an effect through and stops those without one, whatever the noise."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines.base import Completion, Failure, Request
from harness.engines.canary import prove_adapter
from harness.engines.scripted import Answer, ScriptedEngine
from harness.errors import AdapterError, EngineError
from harness.models.weights import AdapterWeights

ADAPTER = AdapterWeights("v4.1", Path("v4.1"), "digest")
PROMPTS = [(1, 2), (3, 4), (5, 6), (7, 8)]


def _engine(effect: float, noise: float, seed: int = 0) -> ScriptedEngine:
    chance = random.Random(seed)

    def answer(request: Request) -> Answer:
        shift = effect if request.adapter else 0.0
        return Completion(
            request_id=0,
            text="x",
            token_ids=(9,),
            finish_reason="length",
            logprob=-3.0 + shift + chance.uniform(-noise, noise),
        )

    return ScriptedEngine(answer)


@pytest.mark.parametrize(("effect", "noise"), [(0.01, 0.0), (0.05, 0.002), (2.0, 0.1)], ids=str)
def test_an_adapter_with_an_effect_passes(effect: float, noise: float) -> None:
    """Small next to an answer's log-probability, but well above what equal requests differ by."""
    report = prove_adapter(_engine(effect, noise), PROMPTS, ADAPTER)
    assert report.adapter == "v4.1"
    assert report.prompts == 4
    assert report.effect == pytest.approx(effect, abs=2 * noise + 1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.1], ids=str)
def test_an_adapter_without_an_effect_is_refused(noise: float) -> None:
    """Noise is not taken for an effect: over 300 runs it never passes for one."""
    for seed in range(300):
        with pytest.raises(AdapterError, match=r"v4\.1 has no provable effect"):
            prove_adapter(_engine(0.0, noise, seed), PROMPTS, ADAPTER)


def _says(base: Answer, tuned: Answer) -> Callable[[Request], Answer]:
    return lambda request: tuned if request.adapter else base


def test_an_engine_without_log_probabilities_is_judged_by_its_answers() -> None:
    """Different answers are the proof, equal ones are none."""
    assert prove_adapter(ScriptedEngine(_says("old", "new")), PROMPTS, ADAPTER).effect == 1.0
    with pytest.raises(AdapterError, match="no provable effect"):
        prove_adapter(ScriptedEngine(_says("same", "same")), PROMPTS, ADAPTER)


def test_an_adapter_that_cannot_be_used_is_named_with_the_reason() -> None:
    """A failure with the adapter is the adapter's; one without it is the engine's."""
    with pytest.raises(AdapterError, match=r"v4\.1 cannot be used: rank 64"):
        prove_adapter(ScriptedEngine(_says("x", Failure(0, "rank 64"))), PROMPTS, ADAPTER)
    with pytest.raises(EngineError, match="cannot be decoded: too long"):
        prove_adapter(ScriptedEngine(_says(Failure(0, "too long"), "x")), PROMPTS, ADAPTER)
