"""Language models that are tables, and beam search as a textbook has it: what the driver is held to, bit for bit.

The textbook searches are written from the definitions, on whole vocabularies and whole sequences, with no pruning, no
rows and no sharing of anything with harness/engines/beam.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.cases.decoding import EarlyStopping, Semantics
from harness.engines.beam import BeamRules, BeamSearch, Row, make_row

__all__ = ["VOCABULARY", "TableModel", "Trial", "make_trial", "run_search", "textbook"]

VOCABULARY = 24
"""Three ends and width 8 look at 24 candidates a step: transformers needs that many."""
Ended = tuple[float, tuple[int, ...]]


@dataclass(frozen=True)
class TableModel:
    """Next-token log-probabilities by position and last token, float32; bit-equal to what torch makes of ``logits``."""

    logits: np.ndarray
    """[positions, vocabulary, vocabulary]"""
    logprobs: np.ndarray

    def row(self, prompt: Sequence[int], answer: Sequence[int]) -> np.ndarray:
        last = answer[-1] if answer else prompt[-1]
        found: np.ndarray = self.logprobs[len(answer) % len(self.logprobs), last]
        return found


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One random model and one way to search it."""

    model: TableModel
    prompt: tuple[int, ...]
    width: int
    max_tokens: int
    penalty: float
    early: EarlyStopping
    ends: tuple[int, ...]

    def rules(self, semantics: Semantics, n_best: int = 1) -> BeamRules:
        return BeamRules(
            width=self.width,
            max_tokens=self.max_tokens,
            prompt_length=len(self.prompt),
            eos_ids=frozenset(self.ends),
            semantics=semantics,
            length_penalty=self.penalty,
            early_stopping=self.early,
            n_best=n_best,
        )


def make_trial(
    seed: int,
    *,
    widths: Sequence[int] = range(1, 9),
    penalties: Sequence[float] = (0, 0.5, 1, 2),
    lengths: tuple[int, int] = (1, 14),
    loops: float = 0.4,
) -> Trial:
    """A random trial; every third model has coarse logits, so that equal candidates abound.

    Args:
        seed: decides everything.
        widths, penalties: to choose from.
        lengths: least and greatest ``max_tokens``.
        loops: share of the models that like to repeat a token.
    """
    import torch

    chance = random.Random(seed)
    numbers = np.random.default_rng(seed)
    positions = chance.choice((1, 2, 5))
    logits = numbers.normal(0, chance.choice((0.5, 1.5, 3.0)), (positions, VOCABULARY, VOCABULARY)).astype(np.float32)
    if seed % 3 == 0:
        logits = np.round(logits)
    ends = tuple(chance.sample(range(VOCABULARY), chance.choice((1, 1, 2))))
    logits[:, :, list(ends)] += np.float32(chance.choice((-1.0, 0.0, 1.0, 2.0)))
    if chance.random() < loops:
        # An attractor: some token is likely after itself, which is how models loop.
        token = chance.randrange(VOCABULARY)
        logits[:, token, token] += np.float32(4.0)
    logprobs = torch.log_softmax(torch.from_numpy(logits), dim=-1).numpy()
    return Trial(
        model=TableModel(logits, logprobs),
        prompt=tuple(chance.randrange(VOCABULARY) for _ in range(chance.choice((1, 3, 20)))),
        width=chance.choice(list(widths)),
        max_tokens=chance.randint(*lengths),
        penalty=chance.choice(list(penalties)),
        early=chance.choice((True, False, "never")),
        ends=ends,
    )


def run_search(
    trial: Trial, semantics: Semantics, n_best: int = 1, watch: Callable[[BeamSearch], bool] | None = None
) -> tuple[list[Ended], BeamSearch]:
    """The driver's finished hypotheses, best first, and the search; ``watch`` may end it early."""
    search = BeamSearch(trial.rules(semantics, n_best))
    width = search.rules.row_width
    while not search.done:
        search.step([_top(trial, h.tokens(), width) for h in search.live])
        if watch is not None and not search.done and watch(search):
            break
    return [(f.score, f.hypothesis.tokens()) for f in search.finished], search


def _top(trial: Trial, answer: Sequence[int], width: int) -> Row:
    row = trial.model.row(trial.prompt, answer)
    return make_row(enumerate(row.tolist()), width)


def textbook(trial: Trial, semantics: Semantics) -> list[Ended]:
    """Everything that finished and was kept, best first."""
    return _textbook_hf(trial) if semantics == "hf" else _textbook_vllm(trial)


def _textbook_hf(trial: Trial) -> list[Ended]:
    f32 = np.float32
    width, penalty = trial.width, trial.penalty
    live: list[tuple[np.float32, tuple[int, ...]]] = [(f32(0), ())]
    pool: list[tuple[np.float32, tuple[int, ...]]] = []
    for length in range(1, trial.max_tokens + 1):
        candidates = [
            (f32(total + logprob), beam, token)
            for beam, (total, answer) in enumerate(live)
            for token, logprob in enumerate(trial.model.row(trial.prompt, answer))
        ]
        candidates.sort(key=lambda c: (-c[0], c[1], c[2]))
        following: list[tuple[np.float32, tuple[int, ...]]] = []
        for rank, (total, beam, token) in enumerate(candidates[: (1 + max(1, len(trial.ends))) * width]):
            answer = (*live[beam][1], token)
            if token in trial.ends or length == trial.max_tokens:
                if rank < width:
                    pool.append((total / f32(length**penalty), answer))
            else:
                following.append((total, answer))
        pool = sorted(pool, key=lambda e: -e[0])[:width]
        live = following[:width]
        if not live:
            break
        if len(pool) == width:
            if trial.early is True or width == 1:
                break
            reach = trial.max_tokens if trial.early == "never" and penalty > 0 else length
            if live[0][0] / f32(reach**penalty) <= pool[-1][0]:
                break
    return [(float(score), answer) for score, answer in pool]


def _textbook_vllm(trial: Trial) -> list[Ended]:
    def score(total: float, answer: tuple[int, ...]) -> float:
        length = len(trial.prompt) + len(answer) - (answer[-1] in trial.ends)
        return float(total / max(length, 1) ** trial.penalty)

    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    completed: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(trial.max_tokens):
        following: list[tuple[float, tuple[int, ...]]] = []
        for total, answer in live:
            row = trial.model.row(trial.prompt, answer).tolist()
            for token in sorted(range(VOCABULARY), key=lambda t: (-row[t], t))[: 2 * trial.width]:
                (completed if token in trial.ends else following).append((total + row[token], (*answer, token)))
        live = sorted(following, key=lambda c: score(*c), reverse=True)[: trial.width]
    ranked = sorted([*completed, *live], key=lambda c: score(*c), reverse=True)
    return [(score(*c), c[1]) for c in ranked[: trial.width]]
