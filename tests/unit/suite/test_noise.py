"""The A/A measurement finds exactly what changed between equal runs."""

from __future__ import annotations

import itertools

import pytest

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Failure, Request
from harness.engines.scripted import Answer, ScriptedEngine
from harness.errors import EngineError
from harness.judging.results import Status, Verdict
from harness.metrics.types import Scores
from harness.suite.noise import measure_noise

REQUESTS = [Request(id=number, prompt_ids=(number,), decoding=Decoding()) for number in range(10, 18)]


def _judge(request_id: int, completion: Completion) -> tuple[Scores, Verdict]:
    loops = completion.text.count("loop")
    return Scores({"loops": float(loops), "one": 1.0}), Verdict(Status.FAIL if loops > 1 else Status.PASS)


def test_a_steady_engine_has_no_noise() -> None:
    """Nothing flips, nothing spreads, and every request was really run each time."""
    engine = ScriptedEngine(lambda request: f"answer {request.prompt_ids}")
    report = measure_noise(engine, REQUESTS, _judge, runs=3)
    assert report.answer_rate.value == report.verdict_rate.value == 0.0
    assert report.spread == {}
    assert len(engine.requests) == 24
    assert [one.request_id for one in report.requests] == [r.id for r in REQUESTS]


def test_changes_are_counted_apart_in_answers_scores_and_verdicts() -> None:
    """One request's text flickers without harm, another's verdict flips."""
    flicker, flip = itertools.count(), itertools.count()

    def answer(request: Request) -> Answer:
        if request.prompt_ids == (10,):
            return f"text {next(flicker)}"
        if request.prompt_ids == (11,):
            return "loop loop loop" if next(flip) == 1 else "loop"
        return "same"

    report = measure_noise(ScriptedEngine(answer), REQUESTS, _judge, runs=3)
    assert report.answer_rate.value == pytest.approx(2 / 8)
    assert report.verdict_rate.value == pytest.approx(1 / 8)
    by_id = {one.request_id: one for one in report.requests}
    assert (by_id[10].answers, by_id[10].flips) == (3, False)
    assert by_id[11].verdicts.count("FAIL") == 1
    assert by_id[11].spread == {"loops": 2.0}
    assert report.spread == {"loops": pytest.approx(2 / 8)}


def test_runs_differ_in_order() -> None:
    """Otherwise every run would make the same batches and hide what batching does."""
    engine = ScriptedEngine(lambda request: "x")
    measure_noise(engine, REQUESTS, _judge, runs=2)
    prompts = [r.prompt_ids for r in engine.requests]
    assert prompts[:8] != prompts[8:]
    assert sorted(prompts[:8]) == sorted(prompts[8:])


def test_a_failure_ends_the_measurement() -> None:
    """A comparison with holes would look quieter than it is."""
    engine = ScriptedEngine({(10,): Failure(0, "too long")})
    with pytest.raises(EngineError, match="request 10 failed in run 1: too long"):
        measure_noise(engine, REQUESTS[:1], _judge)


def test_one_run_is_no_measurement() -> None:
    """There is nothing to compare."""
    with pytest.raises(ValueError, match="two runs"):
        measure_noise(ScriptedEngine({}), REQUESTS, _judge, runs=1)
