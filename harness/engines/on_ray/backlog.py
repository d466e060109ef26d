"""The requests of one call that have no answer yet: which wait, which replica holds which, how often each was moved.

Pure: it knows no Ray. A replica gets as many requests as it may hold at a time, the least busy replica first. Requests
of a lost replica wait again, in front of the others, and are moved a limited number of times. The last attempt of such
a request runs alone on its replica, after all others: a request that breaks engines then takes no other one with it.
"""

from __future__ import annotations

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
        self._waiting = deque(requests)
        self._last: deque[Request] = deque()
        """Requests whose next attempt is the last one."""
        self._held: dict[int, tuple[Lane, Request]] = {}
        self._moves: Counter[int] = Counter()
        self._limit = limit
        self._most = moves

    @property
    def open(self) -> bool:
        """Whether any request has no outcome yet."""
        return bool(self._waiting or self._last or self._held)

    def assign(self, lanes: Sequence[AnyLane]) -> list[tuple[AnyLane, list[Request]]]:
        """Hand out what has room on ``lanes``: each lane with the requests that it gets now."""
        given: dict[int, tuple[AnyLane, list[Request]]] = {}
        # A last attempt takes all of a lane.
        for queue, rows in ((self._waiting, 1), (self._last, self._limit)):
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
        lane.rows -= self._rows(request)
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
        failures, again = [], []
        for request in held:
            del self._held[request.id]
            self._moves[request.id] += 1
            attempts = self._moves[request.id]
            if attempts > self._most:
                times = "" if attempts == 1 else f" ({attempts} replicas were lost with this request)"
                failures.append(Failure(request.id, f"{why}{times}"))
            elif attempts == self._most:
                self._last.append(request)
            else:
                again.append(request)
        self._waiting.extendleft(reversed(again))
        lane.rows = 0
        return failures

    def _rows(self, request: Request) -> int:
        moves = self._moves[request.id]
        return self._limit if moves and moves == self._most else 1
