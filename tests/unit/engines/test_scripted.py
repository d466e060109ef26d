"""The shipped fake answers as it is told and keeps the contract of every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Engine, Failure, Request
from harness.engines.scripted import ScriptedEngine
from harness.errors import EngineError
from harness.models.weights import AdapterWeights


def _request(number: int, prompt: str, adapter: AdapterWeights | None = None) -> Request:
    return Request(id=number, prompt_ids=tuple(map(ord, prompt)), decoding=Decoding(), adapter=adapter)


def test_it_is_an_engine() -> None:
    """It passes for an engine wherever one is asked for."""
    assert isinstance(ScriptedEngine({}), Engine)


def test_a_piece_of_the_prompt_selects_the_answer() -> None:
    """Keys are pieces of text or exact ids; ids of an answer are its code points."""
    engine = ScriptedEngine({"sea": "blue", (1, 2): "by ids"})
    found = list(
        engine.generate([_request(7, "a poem about the sea"), Request(id=8, prompt_ids=(1, 2), decoding=Decoding())])
    )
    assert found == [
        Completion(request_id=7, text="blue", token_ids=tuple(map(ord, "blue")), finish_reason="stop"),
        Completion(request_id=8, text="by ids", token_ids=tuple(map(ord, "by ids")), finish_reason="stop"),
    ]


def test_an_answer_may_depend_on_the_adapter() -> None:
    """A mapping as value goes by the adapter's name, the empty name being the model as shipped."""
    engine = ScriptedEngine({"sea": {"": "base", "v2": "tuned"}})
    adapter = AdapterWeights("v2", Path("v2"), "digest")
    found = list(engine.generate([_request(0, "sea"), _request(1, "sea", adapter)]))
    assert [o.text for o in found if isinstance(o, Completion)] == ["base", "tuned"]


def test_failures_are_values_and_errors_are_raised() -> None:
    """A scripted failure is that request's outcome; a scripted error is the engine's end."""
    engine = ScriptedEngine({"bad": Failure(0, "too long"), "worse": EngineError("it broke")})
    outcomes = engine.generate([_request(3, "bad"), _request(4, "worse")])
    assert next(outcomes) == Failure(3, "too long")
    with pytest.raises(EngineError, match="it broke"):
        next(outcomes)


def test_a_prompt_without_an_answer_fails() -> None:
    """Nothing is made up."""
    assert list(ScriptedEngine({}).generate([_request(1, "?")])) == [
        Failure(1, "the script has no answer to this prompt")
    ]


def test_a_closed_engine_says_so() -> None:
    """Closing twice is fine; generating afterwards is not."""
    engine = ScriptedEngine({"": "x"})
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        list(engine.generate([_request(0, "x")]))
