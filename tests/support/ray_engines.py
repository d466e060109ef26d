"""Engines for the inside of a Ray actor that do what a test wants: die, hang, break, take other weights."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.engines.base import Completion, EngineInfo, OnProgress, Outcome, Progress, Request
from harness.errors import EngineError

__all__ = ["Controlled", "Joining", "lines", "requests_of"]


def requests_of(process: str, folder: Path) -> list[int]:
    """Ids of the requests that a process has begun, in order."""
    return [int(line) for line in (folder / process).read_text().split()]


def lines(folder: Path) -> int:
    """How many requests all processes have begun."""
    return sum(len(requests_of(path.name, folder)) for path in folder.glob("*"))


class Controlled:
    """Answers with the prompt's first id, after it has noted the request in a file of its process."""

    version = "1"

    def __init__(
        self, model_path: Path, *, on_progress: OnProgress | None = None, folder: str = "", delay: float = 0.0,
        die_once: int = -1, die_at: int = -1, raise_at: int = -1, hang_once: int = -1, most: int = 1000,
        **options: Any,
    ) -> None:  # fmt: skip
        self.info = EngineInfo("tests.support.ray_engines:Controlled", "1")
        self._folder = Path(folder)
        self._tell = on_progress or (lambda _: None)
        self._delay, self._most = delay, most
        self._die_once, self._die_at, self._raise_at, self._hang_once = die_once, die_at, raise_at, hang_once
        self.load_weights(model_path)

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        if len(requests) > self._most:
            raise EngineError(f"{len(requests)} requests at a time")
        for number, request in enumerate(requests):
            if request.prompt_ids[0] >= 0 and request.id < 1000:
                with (self._folder / str(os.getpid())).open("a") as file:
                    file.write(f"{request.id}\n")
            self._tell(Progress(state="running", tokens=number))
            if request.id == self._die_at or (request.id == self._die_once and self._first("died")):
                os.kill(os.getpid(), signal.SIGKILL)
            if request.id == self._hang_once and self._first("hung"):
                time.sleep(600)
            if request.id == self._raise_at:
                raise EngineError("it does not like that one")
            time.sleep(self._delay)
            yield Completion(
                request_id=request.id, text=str(request.prompt_ids[0]), token_ids=request.prompt_ids[:1],
                finish_reason="stop", logprob=-self._weights,
            )  # fmt: skip

    def load_weights(self, model_path: Path) -> None:
        weights = model_path / "weights"
        self._weights = float(weights.read_text()) if weights.is_file() else 0.0

    def close(self) -> None:
        """Nothing is open."""

    def _first(self, what: str) -> bool:
        """Whether this is the first time, in all processes."""
        try:
            (self._folder.parent / what).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class Joining(Controlled):
    """Further requests join its batch; with ``takes`` false they are left over, as by an engine that does not ask."""

    def __init__(self, model_path: Path, *, takes: bool = True, folder: str, **options: Any) -> None:
        super().__init__(model_path, folder=folder, **options)
        self._takes = takes
        self._joined: list[Request] = []
        self._open = False

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        with (self._folder.parent / "batches").open("a") as file:
            file.write(f"{len(requests)}\n")
        self._open = True
        waiting = list(requests)
        try:
            while waiting:
                yield from super().generate([waiting.pop(0)])
                if self._takes:
                    waiting += self.left_over()
        finally:
            self._open = False

    def add(self, requests: Sequence[Request]) -> bool:
        if self._open:
            self._joined += requests
        return self._open

    def left_over(self) -> list[Request]:
        joined, self._joined = self._joined, []
        return joined
