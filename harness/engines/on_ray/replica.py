"""The driver's side of one replica: its actor, what was heard from it, and how long it may be silent."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.engines import messages
from harness.engines.base import Progress, Request
from harness.engines.lanes import Lane
from harness.engines.on_ray.files import adapter_content
from harness.engines.watch import EngineWatch

__all__ = ["Replica"]


@dataclass(slots=True, kw_only=True, eq=False)
class Replica(Lane):
    """One replica; its rows are requests."""

    number: int
    """From 1."""
    actor: Any
    news: Any
    """Ray's reference to the answer of the call that waits for news."""
    watch: EngineWatch
    ready: bool = False
    where: Mapping[str, Any] = field(default_factory=dict)
    """Host, process and Ray's node, as the actor says them."""
    unheard: deque[Mapping[str, Any]] = field(default_factory=deque)
    """Events that were received and not looked at yet."""
    tokens: int = 0
    """That it generated since its start."""
    _tokens_before: int = 0
    """Before its current work."""

    @property
    def name(self) -> str:
        """For messages."""
        if not self.where:
            return f"replica {self.number}"
        return f"replica {self.number} on node {self.where['host']} (process {self.where['pid']})"

    def ask_for_news(self) -> None:
        """Wait for what happens next."""
        self.news = self.actor.events.remote()

    def submit(self, call: int, requests: Sequence[Request], contents: dict[str, str]) -> None:
        """Send requests.

        Args:
            call: which call they belong to.
            requests: they are counted in ``rows`` already.
            contents: of adapters by digest; missing ones are added.
        """
        if self.rows == len(requests):
            # It was idle until now.
            self.watch.call()
            self._tokens_before = self.tokens
        adapters = {}
        for adapter in (request.adapter for request in requests):
            if adapter is not None:
                if adapter.digest not in contents:
                    contents[adapter.digest] = adapter_content(adapter.path)
                adapters[adapter.digest] = contents[adapter.digest]
        self.actor.submit.remote(call, [messages.write_value(request) for request in requests], adapters)

    def heard(self, tokens: int) -> int:
        """Note how many tokens it has generated; returns how many are new."""
        new, self.tokens = tokens - self.tokens, tokens
        self.watch.progress(Progress(state="running", tokens=tokens - self._tokens_before))
        return new

    def silent(self) -> str | None:
        """What takes too long, or None; a replica with nothing to do may be silent."""
        return self.watch.problem() if self.rows or not self.ready else None
