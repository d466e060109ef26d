"""An engine that takes its time and says how far it is, as a real one does: what tests of progress need."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.engines.base import Completion, EngineInfo, OnProgress, Outcome, Progress, Request
from tests.support.projects import CLEAN, LOOP

__all__ = ["SlowEngine"]


class SlowEngine:
    """Starts for ``start`` seconds, then answers each request after ``delay``; prompts that hold "sea" loop."""

    def __init__(
        self, model_path: Path, *, on_progress: OnProgress | None = None, start: float = 0.3, delay: float = 0.3,
        **settings: Any,
    ) -> None:  # fmt: skip
        self.info = EngineInfo("slow", "1")
        self._tell = on_progress or (lambda _: None)
        self._start, self._delay = start, delay

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        for _ in range(3):
            self._tell(Progress(state="starting"))
            time.sleep(self._start / 3)
        self._tell(Progress(state="ready"))
        for number, request in enumerate(requests):
            for step in range(3):
                self._tell(Progress(state="running", requests_done=number, tokens=10 * number + 3 * step))
                time.sleep(self._delay / 3)
            text = LOOP if "sea" in "".join(map(chr, (i + 30 for i in request.prompt_ids))) else CLEAN
            yield Completion(request_id=request.id, text=text, token_ids=(1, 2, 3), finish_reason="stop")

    def close(self) -> None:
        """Nothing is open."""
