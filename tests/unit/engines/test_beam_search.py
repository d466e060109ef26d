"""The beam search returns bit for bit what a textbook implementation returns, however much it prunes."""

from __future__ import annotations

import pytest

from harness.cases.decoding import Semantics
from harness.engines.beam import BeamRules, BeamSearch, Row
from tests.support.beam_tables import VOCABULARY, make_trial, run_search, textbook

TRIALS = 1000


@pytest.mark.parametrize("semantics", ["hf", "vllm"])
@pytest.mark.parametrize("block", range(4), ids=lambda block: f"block{block}")
def test_winner_and_score_are_the_textbooks(semantics: Semantics, block: int) -> None:
    """Over 1,000 random models a semantics: widths 1-8, penalties 0-2, all stops, several ends, ties included."""
    for seed in range(block, TRIALS, 4):
        trial = make_trial(seed)
        found, _ = run_search(trial, semantics)
        assert found[0] == textbook(trial, semantics)[0], f"seed {seed}"


@pytest.mark.parametrize("semantics", ["hf", "vllm"])
def test_the_n_best_are_the_textbooks(semantics: Semantics) -> None:
    """With ``n_best`` = width every finished hypothesis, its score and its place are the textbook's."""
    for seed in range(250):
        trial = make_trial(seed)
        found, _ = run_search(trial, semantics, n_best=trial.width)
        assert found == textbook(trial, semantics), f"seed {seed}"


@pytest.mark.parametrize("semantics", ["hf", "vllm"])
@pytest.mark.parametrize("penalty", [-1.0, -0.3, 3.0], ids=str)
def test_unusual_penalties_are_exact_too(semantics: Semantics, penalty: float) -> None:
    """Penalties below zero and far above one, which the bounds treat apart."""
    for seed in range(80):
        trial = make_trial(seed, penalties=[penalty])
        found, _ = run_search(trial, semantics)
        assert found[0] == textbook(trial, semantics)[0], f"seed {seed}"


def test_pruning_saves_rows() -> None:
    """With a bound that bites, fewer rows are asked for than width times length."""
    asked = full = 0
    for seed in range(200):
        trial = make_trial(seed, penalties=[0.0])
        rows = 0

        def watch(search: BeamSearch) -> bool:
            nonlocal rows
            rows += len(search.live)
            return False

        run_search(trial, "vllm", watch=watch)
        asked += rows
        full += trial.width * trial.max_tokens
    assert asked < full / 2


def test_row_width_is_enough_and_no_more_than_needed() -> None:
    """A row as wide as the rules ask gives the same search as a row of the whole vocabulary."""
    for seed in range(50):
        trial = make_trial(seed)
        found, search = run_search(trial, "hf")
        wide = BeamSearch(trial.rules("hf"))
        while not wide.done:
            rows = []
            for hypothesis in wide.live:
                logprobs = trial.model.row(trial.prompt, hypothesis.tokens()).tolist()
                order = sorted(range(VOCABULARY), key=lambda t: (-logprobs[t], t))
                rows.append(Row(tuple(order), tuple(logprobs[t] for t in order)))
            wide.step(rows)
        assert search.rules.row_width < VOCABULARY
        assert [(f.score, f.hypothesis.tokens()) for f in wide.finished] == found, f"seed {seed}"


def test_memory_is_linear_in_the_tokens() -> None:
    """Abandoned branches are freed: what a long search holds is about width times length, not its square."""
    import tracemalloc

    rules = BeamRules(width=5, max_tokens=4096, prompt_length=10, eos_ids=frozenset({0}))
    search = BeamSearch(rules)
    row = Row(tuple(range(1, 8)), tuple(-0.1 * k for k in range(1, 8)))
    tracemalloc.start()
    while search.live[0].length < 4000:
        search.step([row] * len(search.live))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200 * 2**20 / 200, f"{held} bytes for one prompt of 4,000 tokens; 200 prompts may take 200 MiB"
