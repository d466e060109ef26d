"""A beam run on streams finds what the bare search finds, however the engine schedules its streams."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from harness.cases.decoding import Decoding, Semantics
from harness.engines.base import Completion, Request
from harness.engines.vllm_generations import BeamGeneration, Generation
from tests.support.beam_outputs import Entry, Output, Words
from tests.support.beam_tables import Trial, make_trial, run_search


class _TableStreams:
    """Decodes streams greedily on a table model; every step only some of them, up to several tokens at once."""

    def __init__(self, trial: Trial, seed: int) -> None:
        self.trial = trial
        self.chance = random.Random(seed)
        self.open_ids: dict[str, list[int]] = {}
        self.left: dict[str, int] = {}
        self.width: dict[str, int] = {}
        self.opened = self.rows = self.most = 0
        self.decoded: dict[str, list[int]] = {}

    def open(self, run: Generation, ids: list[int], params: dict[str, Any], parent: str | None = None) -> str:
        if parent is not None:
            assert parent in self.open_ids or self.left[parent] == 0, "a fork's parent is dropped only after the fork"
            assert self.decoded[parent][: len(ids) - 1] == ids[:-1], "a fork continues its parent"
        self.opened += 1
        key = str(self.opened)
        self.open_ids[key], self.left[key], self.width[key] = list(ids), params["max_tokens"], params["logprobs"]
        self.decoded[key] = self.open_ids[key]
        return key

    def drop(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.open_ids.pop(key, None)

    def step(self, run: Generation) -> None:
        self.most = max(self.most, len(self.open_ids))
        for key in list(self.open_ids):
            if key not in self.open_ids or self.chance.random() < 0.3:
                continue
            output = Output([], [])
            for _ in range(min(self.chance.choice((1, 1, 1, 3)), self.left[key])):
                ids = self.open_ids[key]
                start = len(self.trial.prompt)
                row = self.trial.model.row(self.trial.prompt, ids[start:]).tolist()
                best = sorted(range(len(row)), key=lambda t: (-row[t], t))[: self.width[key]]
                output.token_ids.append(best[0])
                output.logprobs.append({t: Entry(row[t]) for t in self.chance.sample(best, len(best))})
                ids.append(best[0])
                self.left[key] -= 1
                self.rows += 1
            ended = self.left[key] == 0
            if ended:
                del self.open_ids[key]
            run.take(key, output, ended)


def _complete(trial: Trial, semantics: Semantics, seed: int) -> tuple[Completion, _TableStreams]:
    decoding = Decoding(
        beam_width=trial.width, max_tokens=trial.max_tokens, length_penalty=trial.penalty,
        early_stopping=trial.early, semantics=semantics,
    )  # fmt: skip
    streams = _TableStreams(trial, seed)
    run = BeamGeneration(
        Request(id=1, prompt_ids=trial.prompt, decoding=decoding), streams, trial.ends, Words(), n_best=1
    )
    run.start()
    for _ in range(10_000):
        if run.result is not None:
            assert isinstance(run.result, Completion)
            return run.result, streams
        streams.step(run)
    raise AssertionError("the run never ended")


@pytest.mark.parametrize("semantics", ["hf", "vllm"])
def test_the_winner_does_not_depend_on_the_schedule(semantics: Semantics) -> None:
    """Over 120 models, streams that lag, run ahead and bring several rows at once: same answer, score and sum."""
    for seed in range(120):
        trial = make_trial(seed)
        if semantics == "vllm":
            # There only the tokenizer's own end token counts, which is the first.
            trial = Trial(
                model=trial.model,
                prompt=trial.prompt,
                width=trial.width,
                max_tokens=trial.max_tokens,
                penalty=trial.penalty,
                early=trial.early,
                ends=trial.ends[:1],
            )
        found, _ = run_search(trial, semantics)
        result, streams = _complete(trial, semantics, seed)
        assert (result.score, result.token_ids) == found[0], f"seed {seed}"
        assert result.text == " ".join(map(str, found[0][1]))
        assert result.finish_reason == ("stop" if found[0][1][-1] in trial.ends else "length")
        assert streams.open_ids == {}, "every stream is given back"
        assert streams.most <= trial.width


def test_a_stream_goes_on_where_the_search_follows_it() -> None:
    """A model that is sure of itself needs far fewer streams than rows."""
    trial = make_trial(11, widths=[3], penalties=[1], lengths=(40, 40))
    sure = trial.model.logprobs.copy()
    sure[...] = -20.0
    for token in range(sure.shape[1]):
        sure[:, token, (token + 1) % sure.shape[1]] = -0.01
    trial = Trial(
        model=type(trial.model)(sure, sure),
        prompt=trial.prompt,
        width=3,
        max_tokens=40,
        penalty=1,
        early="never",
        ends=(0,),
    )
    _, streams = _complete(trial, "hf", 0)
    assert streams.opened < streams.rows / 2
