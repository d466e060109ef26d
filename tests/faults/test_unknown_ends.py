"""An answer that ended in a way that nobody knows is an ERROR of that case, and nothing else breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, EngineInfo, Failure, Outcome, Request
from harness.engines.vllm_generations import BeamGeneration, PlainGeneration
from tests.faults.conftest import Make
from tests.support.projects import CLEAN


class Aborting:
    """Answers every prompt, and aborts the first one."""

    version = "1"

    def __init__(self, _model: Path, **_: Any) -> None:
        self.info = EngineInfo("aborting", "1")

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        for at, request in enumerate(requests):
            reason: Any = "abort" if at == 0 else "stop"
            yield Completion(request_id=request.id, text=CLEAN, token_ids=(1,), finish_reason=reason)

    def close(self) -> None:
        """Nothing to close."""


def test_an_aborted_answer_is_an_error_of_its_case(project: Make, pytester: pytest.Pytester) -> None:
    """vLLM gave finish_reason 'abort', and the report crashed."""
    project()
    done = pytester.runpytest("badcases", "--engine", "tests.faults.test_unknown_ends:Aborting")
    done.assert_outcomes(passed=2, errors=1)
    assert done.ret == 3
    assert "unknown finish reason 'abort'" in " ".join(done.stdout.str().split())
    done = pytester.runpytest("badcases", "--engine", "tests.faults.test_unknown_ends:Aborting")
    done.assert_outcomes(passed=2, errors=1)


class Streams:
    """vLLM's requests, without vLLM."""

    def __init__(self) -> None:
        self.open_keys: list[str] = []

    def open(self, _run: Any, _ids: list[int], _params: dict[str, Any], _parent: str | None = None) -> str:
        self.open_keys.append(str(len(self.open_keys)))
        return self.open_keys[-1]

    def drop(self, keys: Sequence[str]) -> None:
        """Nothing runs, so nothing is dropped."""


@pytest.mark.parametrize("method", ["greedy", "beam"])
@pytest.mark.parametrize("reason", ["abort", "error", None])
def test_a_stream_that_vllm_aborts_fails_its_request_alone(method: Any, reason: str | None) -> None:
    """A beam search whose stream was aborted must not wait for its next row for ever."""
    text: Any = SimpleNamespace(decode=lambda ids, **_: "")
    request = Request(id=3, prompt_ids=(1, 2), decoding=Decoding(method=method))
    generation: PlainGeneration | BeamGeneration = (
        BeamGeneration(request, Streams(), (0,), text, 1)
        if method == "beam"
        else PlainGeneration(request, Streams(), (0,), text)
    )
    generation.start()
    (key,) = generation.keys
    generation.take(key, SimpleNamespace(token_ids=(), logprobs=(), text="", finish_reason=reason), True)
    assert isinstance(generation.result, Failure)
    assert generation.result.request_id == 3
    assert not generation.keys
