"""Requests that may grow while an engine answers them: what arrives joins the batch that is under way.

An engine that does not ask for more gets those in its next call. So no engine has to know this module, and one that
does stays busy although nobody knew all requests at its start (an actor of :mod:`harness.engines.on_ray`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from harness.engines.base import Request

__all__ = ["GrowingRequests", "Joinable", "more_requests"]


@runtime_checkable
class Joinable(Protocol):
    """An engine whose call of ``generate`` further requests may join, from another thread."""

    def add(self, requests: Sequence[Request]) -> bool:
        """Add requests to the call that is under way; False where there is none."""
        ...

    def left_over(self) -> list[Request]:
        """After a call: requests that were added and not taken; they have no outcome."""
        ...


class GrowingRequests(list[Request]):
    """Requests of one call, and a source of more."""

    def __init__(self, first: Sequence[Request], source: Callable[[], Sequence[Request]]) -> None:
        """``source`` gives the requests that came since it was last asked, and does not wait for any."""
        super().__init__(first)
        self._source = source

    def more(self) -> Sequence[Request]:
        """Requests that came since the last call; they belong to this list from then on."""
        new = self._source()
        self.extend(new)
        return new


def more_requests(requests: Sequence[Request]) -> Sequence[Request]:
    """What an engine has to answer in addition, now; nothing for requests that do not grow."""
    return requests.more() if isinstance(requests, GrowingRequests) else ()
