"""One request on a server: its generation, and the streams that feed it.

A stream of a beam search decodes greedily, so one that broke goes on from the tokens that have come. A plain answer is
started anew, since penalties and samples depend on where an answer began.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from harness.engines.base import Completion, Failure, Outcome, Request
from harness.engines.server.replica import pause
from harness.engines.server.replies import Fault, Unreachable, read_searched
from harness.engines.vllm_generations import BeamGeneration, Generation, PlainGeneration, decoding_problem

if TYPE_CHECKING:
    from harness.engines.server.dispatch import Dispatch, ServerLane

__all__ = ["Answer", "problem"]

_NEUTRAL = {
    "temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}  # fmt: skip
"""What a server would otherwise take from the model's generation config."""
_UNKNOWN_TO_SERVERS = ("detokenize",)
_KEEP_STEPS = 4
"""Steps of the engine that a dropped stream's blocks wait for its forks, whose requests may arrive later."""


def problem(request: Request, rows: int, *, server_beam: bool) -> str | None:
    """Why a server cannot decode as asked, or None."""
    decoding = request.decoding
    if (text := decoding_problem(decoding, rows)) is not None or decoding.method != "beam":
        return text
    if server_beam and (decoding.semantics != "vllm" or decoding.early_stopping is not False or decoding.stop):
        return "the server's own beam search knows semantics 'vllm', no early stopping and no stop strings"
    return None


class Answer:
    """One request under way."""

    def __init__(self, request: Request, lane: ServerLane, dispatch: Dispatch, rows: int) -> None:
        self.request = request
        self.lane = lane
        """The server that was chosen first; its rows are counted there until the end."""
        self.rows = rows
        self.fault: Fault | None = None
        """Why there is no answer."""
        self._dispatch = dispatch
        self._at = lane
        self._name = ""
        """Under which the server that is asked serves the model or adapter."""
        self._generation: Generation | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._id = uuid.uuid4().hex
        self._count = 0
        self._end = asyncio.Event()
        self._spent = False
        """Whether the stream that failed was tried as often as it may be."""

    @property
    def tokens(self) -> int:
        return self._generation.tokens if self._generation is not None else 0

    async def outcome(self) -> Outcome:
        """Generate; faults become failures."""
        searched = self._dispatch.server_beam and self.request.decoding.method == "beam"
        for attempt in range(1, self._dispatch.retries + 2):
            self.fault, self._spent = None, False
            try:
                return await (self._searched() if searched else self._streamed())
            except Fault as fault:
                self.fault = fault
                self._at.faults += 1
                if self._spent or not isinstance(fault, Unreachable) or attempt > self._dispatch.retries:
                    break
                await asyncio.sleep(pause(attempt, fault))
                self._at = self._dispatch.other(self._at)
        return Failure(self.request.id, f"server {self._at.replica.address}: {self.fault}")

    # -- generations of this project's own -------------------------------------------------------------------------

    async def _streamed(self) -> Outcome:
        dispatch = self._dispatch
        self._name = await self._at.names.of(self.request.adapter)
        self._end.clear()
        generation: Generation
        if self.request.decoding.method == "beam":
            generation = BeamGeneration(self.request, self, dispatch.ends, dispatch.text, dispatch.n_best)
        else:
            generation = PlainGeneration(self.request, self, dispatch.ends, dispatch.text)
        self._generation = generation
        try:
            generation.start()
            await self._end.wait()
        finally:
            tasks, self._tasks = [*self._tasks.values()], {}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.fault is not None:
            raise self.fault
        assert generation.result is not None
        return generation.result

    def open(self, run: Generation, ids: list[int], params: dict[str, Any], parent: str | None = None) -> str:
        """Start one streamed completion (see :class:`harness.engines.vllm_generations.Streams`)."""
        self._count += 1
        key = f"{self._id}-{self._count}"
        known = {name: value for name, value in params.items() if name not in _UNKNOWN_TO_SERVERS}
        if self._dispatch.forks and "logprobs" in params:
            known |= _fork(key, parent)
        self._tasks[key] = asyncio.create_task(self._pump(run, key, list(ids), known))
        return key

    def drop(self, keys: Sequence[str]) -> None:
        """Close streams; the server aborts them (see :class:`harness.engines.vllm_generations.Streams`)."""
        for key in keys:
            if (task := self._tasks.pop(key, None)) is not None:
                task.cancel()

    async def _pump(self, run: Generation, key: str, ids: list[int], params: dict[str, Any]) -> None:
        beam, attempt = "logprobs" in params, 0
        while self.fault is None and run.result is None:
            try:
                await self._read(run, key, ids, params)
                return
            except Unreachable as fault:
                attempt += 1
                if attempt > self._dispatch.retries or not beam:
                    self._spent = beam
                    self._broken(fault)
                    return
                self._at.faults += 1
                await asyncio.sleep(pause(attempt, fault))
                await self._move()
            except Fault as fault:
                self._broken(fault)
                return
            except Exception as error:  # noqa: BLE001 - nobody else would hear of it
                self._broken(Fault(f"the client broke: {type(error).__name__}: {error}"))
                return

    async def _move(self) -> None:
        try:
            lane = self._dispatch.other(self._at)
            self._name = await lane.names.of(self.request.adapter)
            self._at = lane
        except Fault as fault:
            self._broken(fault)

    def _broken(self, fault: Fault) -> None:
        self.fault = self.fault or fault
        self._end.set()

    async def _read(self, run: Generation, key: str, ids: list[int], params: dict[str, Any]) -> None:
        """Feed a stream to the generation; what has come is moved from ``params`` to ``ids``."""
        body = {
            **_NEUTRAL, **params, "model": self._name, "prompt": ids, "stream": True, "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }  # fmt: skip
        lane = self._at
        async with aclosing(lane.replica.stream(body, rows=params.get("logprobs", 0))) as chunks:
            async for chunk in chunks:
                lane.faults = 0
                if "logprobs" in params:
                    ids += chunk.token_ids
                    params["max_tokens"] -= len(chunk.token_ids)
                run.take(key, chunk, chunk.finish_reason is not None)
                if run.result is not None:
                    self._end.set()
                    return

    # -- the server's own beam search ------------------------------------------------------------------------------

    async def _searched(self) -> Outcome:
        decoding, began = self.request.decoding, time.monotonic()
        name = await self._at.names.of(self.request.adapter)
        body = {
            "model": name, "prompt": list(self.request.prompt_ids), "use_beam_search": True, "n": decoding.beam_width,
            "max_tokens": decoding.max_tokens, "length_penalty": decoding.length_penalty, "temperature": 0.0,
            "return_token_ids": True,
        }  # fmt: skip
        best = read_searched(await self._at.replica.post("/v1/completions", body), model=name, most=decoding.max_tokens)
        self._at.faults = 0
        return Completion(
            request_id=self.request.id, text=best.text, token_ids=best.token_ids,
            finish_reason="stop" if best.finish_reason == "stop" else "length", seconds=time.monotonic() - began,
        )  # fmt: skip


def _fork(key: str, parent: str | None) -> dict[str, Any]:
    """What tells harness/engines/vllm_fork.py from which stream this one forks off."""
    params: dict[str, Any] = {"keep_steps": _KEEP_STEPS}
    if parent is not None:
        # vLLM's name of a completion's first prompt.
        params["fork_of"] = f"cmpl-{parent}-0"
    return {"request_id": key, "kv_transfer_params": params}
