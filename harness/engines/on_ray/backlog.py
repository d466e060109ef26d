"""The requests of one call that have no answer yet: which wait, which replica holds which, how often each was moved.

Pure: it knows no Ray. A replica gets as many requests as it may hold at a time, the least busy replica first. Requests
of a lost replica are tried again after all others, a limited number of times and each time in smaller company, the last
time alone: with two moves and 400 requests at a time these are 400, 20 and 1. A request that breaks engines then takes
no other one with it, and one that only was there costs little.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence

from harness.engines.base import Failure, Request
from harness.engines.lanes import AnyLane, Lane, least_busy, with_room

__all__ = ["Backlog"]


class Backlog:
    """Spreads the requests of one call over lanes."""

    def __init__(self, requests: Sequence[Request], *, limit: int, moves: int) -> None:
        """Take the requests.

        Args:
            requests: with ids that are unique among them.
            limit: maximum of requests that one lane holds.
            moves: maximum of times that a request goes to another lane.
        """
        self._waiting: list[deque[Request]] = [deque(requests), *(deque[Request]() for _ in range(moves))]
        """By the number of moves so far."""
        self._rows = [1, *(_rows(limit, (moves - moved) / moves) for moved in range(1, moves + 1))]
        """That a request takes of a lane, by its number of moves."""
        self._held: dict[int, tuple[Lane, Request]] = {}
        self._moves: Counter[int] = Counter()
        self._limit = limit

    @property
    def open(self) -> bool:
        """Whether any request has no outcome yet."""
        return bool(self._held or any(self._waiting))

    def assign(self, lanes: Sequence[AnyLane]) -> list[tuple[AnyLane, list[Request]]]:
        """Hand out what has room on ``lanes``: each lane with the requests that it gets now."""
        given: dict[int, tuple[AnyLane, list[Request]]] = {}
        for queue, rows in zip(self._waiting, self._rows, strict=True):
            while queue and (free := with_room(lanes, rows, self._limit)):
                lane, request = least_busy(free), queue.popleft()
                lane.rows += rows
                self._held[request.id] = (lane, request)
                given.setdefault(id(lane), (lane, []))[1].append(request)
        return list(given.values())

    def answered(self, lane: Lane, request_id: int) -> bool:
        """Note an outcome; False where ``lane`` does not hold that request, whose outcome then does not count."""
        holder, request = self._held.get(request_id, (None, None))
        if request is None or holder is not lane:
            return False
        del self._held[request_id]
        lane.rows -= self._rows[self._moves[request_id]]
        return True

    def lost(self, lane: Lane, why: str) -> list[Failure]:
        """Take back what a lane holds that is lost.

        Args:
            lane: it gets nothing more until its rows are used again.
            why: names the lane and what happened to it.

        Returns:
            Failures of the requests that were moved as often as they may be.
        """
        held = [request for holder, request in self._held.values() if holder is lane]
        failures = []
        for request in held:
            del self._held[request.id]
            self._moves[request.id] += 1
            attempts = self._moves[request.id]
            if attempts < len(self._waiting):
                self._waiting[attempts].append(request)
            else:
                times = "" if attempts == 1 else f" ({attempts} replicas were lost with this request)"
                failures.append(Failure(request.id, f"{why}{times}"))
        lane.rows = 0
        return failures


def _rows(limit: int, share: float) -> int:
    """What a request takes of a lane so that ``limit`` to the power of ``share`` of its kind fill it."""
    return math.ceil(limit / max(1, round(math.pow(limit, share))))
