"""Which request runs on which server, and when: admission by rows, the least busy server first, others on faults.

As many requests are under way as the servers hold sequences. The others wait here, where they cost nothing, and not in
a server's queue, where they would run into its time-outs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines.base import Failure, Outcome, Request
from harness.engines.lanes import Lane, least_busy, with_room
from harness.engines.model_folder import length_problem
from harness.engines.server.answer import Answer, problem
from harness.engines.server.names import ServedNames, base_model
from harness.engines.server.replica import Replica, pause
from harness.engines.server.replies import Fault, Unreachable, read_models
from harness.engines.tokenizer import ModelText
from harness.errors import EngineError

__all__ = ["Dispatch"]

_FAILED_IN_A_ROW = 20
"""Requests without an answer, one after the other, after which the servers are given up."""


@dataclass(slots=True, kw_only=True, eq=False)
class ServerLane(Lane):
    """One server that can be used; its rows are sequences."""

    replica: Replica
    names: ServedNames


class Dispatch:
    """Spreads requests over servers; used by one call at a time."""

    def __init__(
        self,
        *,
        model_path: Path,
        model: str,
        text: ModelText,
        ends: tuple[int, ...],
        server_beam: bool,
        load_adapters: bool,
        rows: int,
        retries: int,
        n_best: int,
        max_adapters: int | None,
        forks: bool = False,
    ) -> None:
        """See :class:`harness.engines.server.engine.ServerEngine`; ``ends`` are the ids that end an answer."""
        self._model_path = model_path
        self._model = model
        self.text = text
        self.ends = ends
        self.server_beam = server_beam
        self._load = load_adapters
        self._rows = rows
        self.retries = retries
        self.n_best = n_best
        self._max_adapters = max_adapters
        self.forks = forks
        self._lanes: list[ServerLane] = []
        self._ended_tokens = 0
        self._active: dict[asyncio.Task[Outcome], Answer] = {}

    @property
    def tokens(self) -> int:
        """Tokens of the longest hypotheses, of all answers of this call."""
        return self._ended_tokens + sum(answer.tokens for answer in list(self._active.values()))

    async def answers(self, replicas: Sequence[Replica], requests: Sequence[Request]) -> AsyncIterator[Outcome]:
        """One outcome for each request, as they finish.

        Raises:
            EngineError: no server can be used, or too many requests failed in a row.
        """
        self._ended_tokens = 0
        self._lanes = await self._opened(replicas)
        limit = min((lane.names.base.max_model_len or 1 << 62 for lane in self._lanes), default=0)
        waiting: deque[Request] = deque()
        for request in requests:
            text = problem(request, self._rows, server_beam=self.server_beam) or length_problem(request, limit)
            if text is None:
                waiting.append(request)
            else:
                yield Failure(request.id, text)
        failed = 0
        try:
            while waiting or self._active:
                self._admit(waiting)
                ended, _ = await asyncio.wait(self._active, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    answer = self._active.pop(task)
                    answer.lane.rows -= answer.rows
                    self._ended_tokens += answer.tokens
                    outcome = task.result()
                    failed = failed + 1 if answer.fault is not None else 0
                    yield outcome
                    if failed >= _FAILED_IN_A_ROW:
                        raise EngineError(f"{failed} requests in a row had no answer; the last one: {answer.fault}")
        finally:
            for task in self._active:
                task.cancel()
            await asyncio.gather(*self._active, return_exceptions=True)
            self._active = {}

    def other(self, lane: ServerLane) -> ServerLane:
        """The server to try next, after a fault of ``lane``."""
        return least_busy([other for other in self._lanes if other is not lane] or [lane])

    def _admit(self, waiting: deque[Request]) -> None:
        while waiting:
            rows = waiting[0].decoding.beam_width if waiting[0].decoding.method == "beam" else 1
            free = with_room(self._lanes, rows, self._rows)
            if not free:
                return
            answer = Answer(waiting.popleft(), least_busy(free), self, rows)
            answer.lane.rows += rows
            self._active[asyncio.create_task(answer.outcome())] = answer

    async def _opened(self, replicas: Sequence[Replica]) -> list[ServerLane]:
        """The servers that answer and serve the model.

        Raises:
            EngineError: none does, or one serves something else.
        """
        opened = await asyncio.gather(*(self._open(replica) for replica in replicas), return_exceptions=True)
        lanes = [lane for lane in opened if isinstance(lane, ServerLane)]
        problems = {r.address: e for r, e in zip(replicas, opened, strict=True) if isinstance(e, BaseException)}
        for address, error in problems.items():
            # A server that is away is done without; one that serves something else was named by mistake.
            if not isinstance(error, Unreachable) or not lanes:
                raise EngineError(f"server {address}: {error}") from error
        return lanes

    async def _open(self, replica: Replica) -> ServerLane:
        for attempt in range(1, self.retries + 2):
            try:
                models = read_models(await replica.get("/v1/models"))
                base = base_model(models, self._model, self._model_path)
                names = ServedNames(replica, models, base, load=self._load, most=self._max_adapters)
                return ServerLane(replica=replica, names=names)
            except Unreachable as fault:
                if attempt > self.retries:
                    raise
                await asyncio.sleep(pause(attempt, fault))
        raise Fault("no attempt was made")
