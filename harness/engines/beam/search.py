"""One beam search, step by step, over rows that an engine computes.

Two declared semantics (:class:`harness.cases.decoding.Decoding`). ``hf`` is transformers' ``generate(num_beams=...)``:
the length is the number of generated tokens with the end token, an end counts only when ranked in the top ``width``,
sums are float32. ``vllm`` is vLLM's ``LLM.beam_search``: the length is prompt and generated tokens without the end
token, every end in a row's top ``2 * width`` counts, sums are Python doubles, and the search always runs to
``max_tokens``.

Invariant: the ``n_best`` first finished hypotheses and their scores are bit-identical to a search without any pruning.
Pruning is sound because log-probabilities are <= 0. A hypothesis' sum only falls, and its final score is at most
``bound(sum)`` = sum / length**penalty, at the length that gives the highest score (the longest for a penalty > 0,
otherwise the present one). At one step all candidates are equally long, so they compete by sum alone. Descendants of a
dropped hypothesis rank below every candidate of a greater sum and can never take a slot from one.

- Stop once ``bound(best live) <= n-th best finished``: nothing that could still finish gets into the first n. This is
  sound for every ``early_stopping``, since a pool only improves, and a search that stops later has the same first n.
- Drop a live hypothesis once ``bound(sum) <= n-th best finished``, where the rule that ends the search cannot change
  the first n (``vllm``; ``hf`` with "never", or with False and a penalty <= 0).
- ``hf`` with False and a penalty > 0 ends by a heuristic on the *worst* of a full pool, so there a hypothesis is
  dropped only once it cannot enter the full pool at all. With True any end fills the pool: no dropping.

Ties: equal candidates are taken in the order (parent's rank, token id); a finished hypothesis stays before a later
equal one. Not supported: vocabularies smaller than a row (``BeamRules.row_width``), where transformers keeps dummy
beams.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.cases.decoding import EarlyStopping, Semantics
from harness.engines.beam.rows import Row

__all__ = ["BeamRules", "BeamSearch", "Finished", "Hypothesis"]

StopsAt = Callable[["Hypothesis"], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamRules:
    """Everything except the model that decides which hypotheses win."""

    width: int
    max_tokens: int
    prompt_length: int
    eos_ids: frozenset[int]
    semantics: Semantics = "hf"
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    n_best: int = 1
    """How many hypotheses of the result are exact; fewer means more pruning."""
    stop_strings: bool = False
    """Whether tokens other than the end tokens may end a hypothesis."""

    @property
    def kept(self) -> int:
        """Candidates looked at in a step: transformers' ``max(2, 1 + ends) * width``."""
        return max(2, 1 + len(self.eos_ids)) * self.width

    @property
    def row_width(self) -> int:
        """Entries a row needs for an exact search.

        ``hf``: of one row at most ``width`` entries may go on and at most all end tokens may precede them; where any
        token may end a hypothesis, all candidates of a step may come from one row.
        """
        if self.semantics == "vllm":
            return 2 * self.width
        return self.kept if self.stop_strings else self.width + len(self.eos_ids)


class Hypothesis:
    """A prefix of an answer.

    Its tokens are links into one table per search, eight bytes a token: a search holds thousands of prefixes that share
    most of what they are, and as Python objects they would take hundreds of MiB for 200 long prompts.
    """

    __slots__ = ("_before", "_links", "_node", "length", "look_at", "origin", "proven", "token", "total")

    def __init__(self, parent: Hypothesis | None, token: int, total: float, origin: int) -> None:
        self.token = token
        self.total = total
        """Sum of log-probabilities, nats."""
        self.length: int = parent.length + 1 if parent else 0
        self.origin = origin
        """Position of the parent among the hypotheses that were live before this step."""
        self.proven: bool = parent.proven if parent else False
        """Whether it is known to fail, whatever follows (harness/engines/beam/proof.py)."""
        self.look_at: int = parent.look_at if parent else 0
        """The length before which a proof is impossible."""
        self._links: _Links = parent._links if parent else _Links(array("i"), array("i"))
        self._before: int = parent._enter() if parent else -1
        self._node = -1

    def tokens(self) -> tuple[int, ...]:
        """The generated token ids, first to last; linear in their number."""
        return tuple(self.last(self.length))

    def last(self, count: int) -> list[int]:
        """The last ``count`` generated token ids at most."""
        if not self.length or count < 1:
            return []
        newest = [self.token]
        parents, tokens = self._links
        node = self._before
        while node >= 0 and len(newest) < count:
            newest.append(tokens[node])
            node = parents[node]
        newest.reverse()
        return newest

    def _enter(self) -> int:
        """Its place in the table; only prefixes that go on need one."""
        if self._node < 0 and self.length:
            parents, tokens = self._links
            self._node = len(parents)
            parents.append(self._before)
            tokens.append(self.token)
        return self._node


class _Links(NamedTuple):
    """The prefixes of one search that went on; the empty answer is -1."""

    parents: array[int]
    tokens: array[int]


class Finished(NamedTuple):
    """A hypothesis that ended, and the score that ranks it."""

    score: float
    hypothesis: Hypothesis


def _single(values: Sequence[float]) -> array[float]:
    """``values`` rounded to float32; a double sum or quotient of two float32 rounds to theirs (53 >= 2 * 24 + 2)."""
    return array("f", values)


class BeamSearch:
    """The state of one search. Feed one row per hypothesis of :attr:`live` to :meth:`step` until :attr:`done`."""

    def __init__(self, rules: BeamRules, stops_at: StopsAt | None = None) -> None:
        """Start with the empty answer.

        Args:
            rules: the declared semantics.
            stops_at: whether a hypothesis has just completed a stop string (``rules.stop_strings`` must be set).
        """
        self.rules = rules
        self.live: list[Hypothesis] = [Hypothesis(None, -1, 0.0, 0)]
        """What goes on, best first."""
        self.finished: list[Finished] = []
        """What ended, best first: the pool of transformers, or everything that can still be among the n best."""
        self.done = False
        self.steps = 0
        """Steps taken: the length of every live hypothesis."""
        self._stops_at = stops_at if rules.stop_strings else None
        self._hf = rules.semantics == "hf"
        # One beam is greedy decoding in transformers: the first end that it takes is the end.
        self._early_stopping: EarlyStopping = rules.early_stopping if rules.width > 1 else True
        heuristic = self._hf and self._early_stopping is False and rules.length_penalty > 0
        self._prune_at: int | None = rules.width if heuristic else rules.n_best
        """Finished hypotheses that it takes to drop live ones; None: never drop."""
        if self._hf and self._early_stopping is True:
            self._prune_at = None

    @property
    def best(self) -> Finished | None:
        """The best hypothesis that has ended so far."""
        return self.finished[0] if self.finished else None

    def step(self, rows: Sequence[Row]) -> None:
        """Extend every live hypothesis by one token.

        Args:
            rows: the row after each hypothesis of :attr:`live`, in that order, each at least
                ``rules.row_width`` long where the vocabulary is.
        """
        self.steps += 1
        if self._hf:
            self._step_hf(rows)
        else:
            self._step_vllm(rows)
        if not self.live:
            self.done = True
        if not self.done:
            self._prune()

    def contenders(self) -> list[Hypothesis]:
        """Every hypothesis of which the winner is, or is a continuation."""
        best = self.best
        if best is None:
            return list(self.live)
        able = [h for h in self.live if self._bound(h.total) > best.score]
        return [*able, best.hypothesis]

    def ends(self, hypothesis: Hypothesis) -> bool:
        """Whether a hypothesis ends by an end token or a stop string (not by its length)."""
        return hypothesis.token in self.rules.eos_ids or (self._stops_at is not None and self._stops_at(hypothesis))

    def _step_hf(self, rows: Sequence[Row]) -> None:
        rules = self.rules
        totals: list[float] = []
        marks: list[tuple[int, int]] = []
        for origin, (parent, row) in enumerate(zip(self.live, rows, strict=True)):
            before = parent.total
            totals.extend([before + logprob for logprob in row.logprobs])
            marks.extend([(origin, token) for token in row.tokens])
        single = _single(totals)
        order = sorted(range(len(marks)), key=lambda i: (-single[i], marks[i]))[: rules.kept]
        last = self.steps == rules.max_tokens
        live: list[Hypothesis] = []
        for rank, index in enumerate(order):
            origin, token = marks[index]
            candidate = Hypothesis(self.live[origin], token, single[index], origin)
            if last or self.ends(candidate):
                if rank < rules.width:
                    self._keep(candidate, self._score(candidate.total, self.steps), rules.width)
            else:
                live.append(candidate)
                if len(live) == rules.width and rank >= rules.width - 1:
                    break
        self.live = live
        if not live:
            return
        full = len(self.finished) == rules.width
        if full and self._early_stopping is True:
            self.done = True
        elif full:
            hopeful = rules.max_tokens if self._early_stopping == "never" and rules.length_penalty > 0 else self.steps
            self.done = self._score(live[0].total, hopeful) <= self.finished[-1].score

    def _step_vllm(self, rows: Sequence[Row]) -> None:
        rules = self.rules
        live: list[Hypothesis] = []
        for origin, (parent, row) in enumerate(zip(self.live, rows, strict=True)):
            for token, logprob in zip(row.tokens, row.logprobs, strict=True):
                candidate = Hypothesis(parent, token, parent.total + logprob, origin)
                if token in rules.eos_ids:
                    self._keep(candidate, self._score(candidate.total, self.steps - 1), rules.n_best)
                elif self._stops_at is not None and self._stops_at(candidate):
                    self._keep(candidate, self._score(candidate.total, self.steps), rules.n_best)
                else:
                    live.append(candidate)
        live.sort(key=lambda h: self._score(h.total, self.steps), reverse=True)
        self.live = live[: rules.width]
        if self.steps == rules.max_tokens:
            for hypothesis in self.live:
                self._keep(hypothesis, self._score(hypothesis.total, self.steps), rules.n_best)
            self.live = []

    def _score(self, total: float, length: int) -> float:
        """The score of a sum at a length of generated tokens, in the arithmetic of the semantics."""
        penalty = self.rules.length_penalty
        if not self._hf:
            return float(total / max(self.rules.prompt_length + length, 1) ** penalty)
        divisor = _single([length**penalty])[0]
        return _single([total / divisor])[0]

    def _bound(self, total: float) -> float:
        """The best score that a continuation of a live hypothesis can end with."""
        longest = self.rules.max_tokens if self.rules.length_penalty > 0 else self.steps
        return self._score(total, longest)

    def _keep(self, hypothesis: Hypothesis, score: float, most: int) -> None:
        place = bisect_right(self.finished, -score, key=lambda f: -f.score)
        if place < most:
            self.finished.insert(place, Finished(score, hypothesis))
            del self.finished[most:]

    def _prune(self) -> None:
        rules = self.rules
        if len(self.finished) >= rules.n_best:
            self.done = self._bound(self.live[0].total) <= self.finished[rules.n_best - 1].score
        if self.done or self._prune_at is None or len(self.finished) < self._prune_at:
            return
        floor = self.finished[self._prune_at - 1].score
        self.live = [h for h in self.live if self._bound(h.total) > floor]
        self.done = not self.live
