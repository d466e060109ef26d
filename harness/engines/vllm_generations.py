"""One answer in progress on vLLM: which engine requests it needs, and what it makes of their outputs.

A generation owns engine requests ("streams") and turns their outputs into one :class:`Completion`. A plain generation
is one stream. A beam generation keeps one stream for each live hypothesis. A stream decodes greedily without end and
yields a row of log-probabilities for each step. As long as the search follows its greedy token, the stream goes on.
Where the search takes another token, a new stream forks off; its prefix comes out of vLLM's prefix cache except for the
last, partly filled block. A stream that no live hypothesis follows is aborted at once. So every computed row is used,
except for at most one for each abort, and generations never wait for one another.

Invariant: a generation's state changes only in :meth:`start` and :meth:`take`; the engine closes streams. Not
supported: looking ahead a fixed number of tokens for each request, which needs fewer requests but computes unused rows;
and vLLM's own repetition detection, which counts tokens and proves nothing about the scorer's units.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Failure, FinishReason, Outcome, Request
from harness.engines.beam import BeamRules, BeamSearch, Finished, Hypothesis, Row, make_row
from harness.engines.beam.proof import LoopProof
from harness.engines.beam.stops import StopStrings, cut_at

__all__ = ["BeamGeneration", "Generation", "PlainGeneration", "Streams", "Text", "decoding_problem"]


def decoding_problem(decoding: Decoding, rows: int) -> str | None:
    """Why vLLM cannot decode so with ``rows`` sequences at a time, or None."""
    if decoding.no_repeat_ngram:
        return "no_repeat_ngram: vLLM has none; use the transformers engine"
    if decoding.method != "beam":
        return None
    for name, neutral in (("repetition_penalty", 1.0), ("presence_penalty", 0.0)):
        if getattr(decoding, name) != neutral:
            return f"{name} under beam search: vLLM ranks raw log-probabilities; use method 'greedy' or 'sample'"
    if decoding.beam_width > rows:
        return f"beam_width {decoding.beam_width} is more than the engine's {rows} sequences (max_num_seqs)"
    return None


class Text(Protocol):
    """The part of a tokenizer that a run needs."""

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = ...) -> str: ...


class Streams(Protocol):
    """Where a run opens and drops its engine requests."""

    def open(self, run: Generation, ids: list[int], params: dict[str, Any], parent: str | None = None) -> str:
        """Start decoding after ``ids``, all but the last of which stream ``parent`` has; returns the stream's key."""
        ...

    def drop(self, keys: Sequence[str]) -> None:
        """Abort streams; keys that have ended are fine."""
        ...


class Generation(Protocol):
    """One request under way."""

    request: Request
    keys: set[str]
    result: Outcome | None

    @property
    def tokens(self) -> int:
        """Tokens of the longest hypothesis so far."""
        ...

    @property
    def rows(self) -> int:
        """Maximum of rows that it needs at a time."""
        ...

    def start(self) -> None: ...

    def take(self, key: str, output: Any, ended: bool) -> None:
        """Take one output (vLLM's CompletionOutput, delta) of the stream ``key``."""
        ...


class PlainGeneration:
    """Greedy or sampled: one stream."""

    def __init__(self, request: Request, streams: Streams, ends: Sequence[int], text: Text) -> None:
        self.request = request
        self._proof = _proof(request, lambda ids: text.decode(ids, skip_special_tokens=True))
        self.keys: set[str] = set()
        self.result: Outcome | None = None
        self._streams = streams
        self._ends = ends
        self._ids: list[int] = []
        self._text: list[str] = []
        self._began = 0.0

    @property
    def tokens(self) -> int:
        return len(self._ids)

    @property
    def rows(self) -> int:
        return 1

    def start(self) -> None:
        decoding = self.request.decoding
        self._began = time.monotonic()
        sampled = decoding.method == "sample"
        params: dict[str, Any] = {
            "max_tokens": decoding.max_tokens,
            "temperature": decoding.temperature if sampled else 0.0,
            "repetition_penalty": decoding.repetition_penalty,
            "presence_penalty": decoding.presence_penalty,
            "stop": list(decoding.stop),
            "stop_token_ids": list(self._ends),
        }
        if sampled:
            params |= {
                "top_p": decoding.top_p,
                "top_k": decoding.top_k,
                "seed": decoding.seed + self.request.sample,
            }
        self.keys = {self._streams.open(self, list(self.request.prompt_ids), params)}

    def take(self, key: str, output: Any, ended: bool) -> None:
        self._ids.extend(output.token_ids)
        self._text.append(output.text)
        proven = not ended and self._proof is not None and self._proof.of_growing(self._ids)
        if ended and (failure := _unexpected_end(self.request, output)) is not None:
            self.keys = set()
            self.result = failure
        elif ended or proven:
            if proven:
                self._streams.drop([key])
            self.keys = set()
            reason: FinishReason = "loop" if proven else "stop" if output.finish_reason == "stop" else "length"
            text = "".join(self._text)
            seconds = time.monotonic() - self._began
            self.result = Completion(
                request_id=self.request.id, text=text, token_ids=tuple(self._ids), finish_reason=reason, seconds=seconds
            )


def _unexpected_end(request: Request, output: Any) -> Failure | None:
    """Why a stream that ended is no answer: vLLM also ends requests as aborted, or with an error."""
    if output.finish_reason in ("stop", "length"):
        return None
    return Failure(request.id, f"vLLM ended the request with finish reason {output.finish_reason!r}")


def _proof(request: Request, answer: Callable[[Sequence[int]], str]) -> LoopProof | None:
    if request.loop_units is None or not request.decoding.early_fail:
        return None
    return LoopProof(request.loop_units, answer)


class _Stream:
    """One live hypothesis' rows: the next one is at the head of ``ahead`` when it has come."""

    __slots__ = ("ahead", "ended", "ids", "key")

    def __init__(self, key: str, ids: list[int]) -> None:
        self.key = key
        self.ids = ids
        """Prompt and hypothesis."""
        self.ahead: deque[tuple[Row, int]] = deque()
        """Rows not used yet, each with the token that the stream itself went on with."""
        self.ended = False


class BeamGeneration:
    """A beam search: one stream per live hypothesis."""

    def __init__(self, request: Request, streams: Streams, ends: Sequence[int], text: Text, n_best: int) -> None:
        decoding = request.decoding
        self.request = request
        self.keys: set[str] = set()
        self.result: Outcome | None = None
        self._text = text
        self._streams = streams
        self._proof = _proof(request, self._answer)
        self.rules = BeamRules(
            width=decoding.beam_width,
            max_tokens=decoding.max_tokens,
            prompt_length=len(request.prompt_ids),
            # vLLM's own beam search knows the tokenizer's end token alone.
            eos_ids=frozenset(ends if decoding.semantics == "hf" else ends[:1]),
            semantics=decoding.semantics,
            length_penalty=decoding.length_penalty,
            early_stopping=decoding.early_stopping,
            n_best=n_best,
            stop_strings=bool(decoding.stop),
        )
        stops = StopStrings(decoding.stop, lambda ids: text.decode(ids)) if decoding.stop else None
        self._search = BeamSearch(self.rules, stops)
        self._lanes: list[_Stream] = []
        self._by_key: dict[str, _Stream] = {}
        self._began = 0.0
        self.tokens = 0

    @property
    def rows(self) -> int:
        return self.rules.width

    @property
    def finished(self) -> Sequence[Finished]:
        """What ended, best first; the first ``n_best`` are exact."""
        return tuple(self._search.finished)

    def start(self) -> None:
        self._began = time.monotonic()
        self._lanes = [self._open(list(self.request.prompt_ids))]
        self.keys = set(self._by_key)

    def take(self, key: str, output: Any, ended: bool) -> None:
        stream = self._by_key.get(key)
        if stream is None:
            return
        for token, entries in zip(output.token_ids, output.logprobs, strict=True):
            row = make_row(((t, entry.logprob) for t, entry in entries.items()), self.rules.row_width)
            stream.ahead.append((row, token))
        stream.ended = stream.ended or ended
        if ended and (failure := _unexpected_end(self.request, output)) is not None:
            # Without this stream the search would wait for its next row for ever.
            self._drop(self._lanes)
            self._lanes = []
            self.result = failure
        while self.result is None and all(lane.ahead for lane in self._lanes):
            self._advance()
        self.keys = set(self._by_key)

    def _advance(self) -> None:
        search = self._search
        before = self._lanes
        heads = [lane.ahead.popleft() for lane in before]
        search.step([row for row, _ in heads])
        self.tokens += 1
        if search.done:
            self._finish(None)
            return
        if self._proof is not None and self._proof(search):
            self._finish("loop")
            return
        free = dict.fromkeys(range(len(before)))
        after: list[_Stream | None] = [None] * len(search.live)
        for place, hypothesis in enumerate(search.live):
            origin = hypothesis.origin
            lane = before[origin]
            if origin in free and heads[origin][1] == hypothesis.token and (lane.ahead or not lane.ended):
                del free[origin]
                after[place] = lane
        # Forks copy their parent's ids before the parent's own stream takes its next token.
        forks = [
            (place, [*before[hypothesis.origin].ids, hypothesis.token], before[hypothesis.origin].key)
            for place, hypothesis in enumerate(search.live)
            if after[place] is None
        ]
        for place, kept in enumerate(after):
            if kept is not None:
                kept.ids.append(search.live[place].token)
        # Forks first: they copy from streams that are about to be dropped.
        for place, ids, parent in forks:
            after[place] = self._open(ids, parent)
        self._drop([before[origin] for origin in free])
        self._lanes = [lane for lane in after if lane is not None]

    def _open(self, ids: list[int], parent: str | None = None) -> _Stream:
        params = {
            "max_tokens": self.rules.max_tokens - self.tokens,
            "temperature": 0.0,
            "logprobs": self.rules.row_width,
            "detokenize": False,
            # The search handles end tokens. A stream that stopped at one could not be forked cheaply.
            "ignore_eos": True,
        }
        key = self._streams.open(self, ids, params, parent)
        stream = _Stream(key, ids)
        self._by_key[key] = stream
        return stream

    def _drop(self, lanes: Sequence[_Stream]) -> None:
        self._streams.drop([lane.key for lane in lanes if not lane.ended])
        for lane in lanes:
            self._by_key.pop(lane.key, None)

    def _finish(self, reason: FinishReason | None) -> None:
        search = self._search
        self._drop(self._lanes)
        self._lanes = []
        best = search.best
        winner = best.hypothesis if best else search.live[0]
        ids = winner.tokens()
        if reason is None:
            reason = "stop" if self._ended_by_itself(winner) else "length"
        self.result = Completion(
            request_id=self.request.id,
            text=self._answer(ids),
            token_ids=ids,
            finish_reason=reason,
            logprob=winner.total,
            score=best.score if best else None,
            alternatives=tuple(f.hypothesis.tokens() for f in search.finished[1 : self.rules.n_best]),
            seconds=time.monotonic() - self._began,
        )

    def _answer(self, ids: Sequence[int]) -> str:
        return cut_at(self._text.decode(ids, skip_special_tokens=True), self.request.decoding.stop)

    def _ended_by_itself(self, winner: Hypothesis) -> bool:
        return winner.length < self.rules.max_tokens or self._search.ends(winner)
