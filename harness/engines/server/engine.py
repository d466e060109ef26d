"""The server engine: requests in, outcomes out, over any number of vLLM servers of the same model.

The beam search is this project's own (harness/engines/vllm_generations.py), fed over HTTP: one streamed completion for
each live hypothesis. The generations run in an event loop of one thread; :meth:`ServerEngine.generate` takes outcomes
from its queue and keeps the deadlines.

Invariant: a fault of a server is a :class:`Failure` of that request, or an :class:`EngineError` where no server is left
or too many requests failed in a row. It is never an answer. What may be tried again is tried ``retries`` times.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from harness.engines.base import EngineInfo, OnProgress, Outcome, Progress, Request
from harness.engines.model_folder import end_ids
from harness.engines.server.address import api_key, read_addresses
from harness.engines.server.dispatch import Dispatch
from harness.engines.server.identity import server_info
from harness.engines.server.replica import Patience, Replica
from harness.engines.tokenizer import load_text
from harness.engines.watch import EngineWatch
from harness.errors import EngineError, SettingsError
from harness.project.deadlines import Deadlines

__all__ = ["ServerEngine"]

_POLL = 0.5
"""Seconds between two looks at the deadlines."""
_PATIENCE = 10.0
"""Seconds that a call gets to end once it was told to."""


class ServerEngine:
    """Answers by servers that somebody else runs."""

    holds_this_machine = False
    """Nothing is held here; see :class:`harness.engines.kept_engine.KeptEngine`."""

    def __init__(
        self,
        model_path: Path,
        *,
        base_url: str = "",
        model: str = "",
        beam_search: Literal["harness", "server"] = "harness",
        load_adapters: bool = False,
        max_num_seqs: int = 64,
        retries: int = 2,
        connect_timeout: float = 10.0,
        n_best: int = 1,
        key: str | None = None,
        info: EngineInfo | None = None,
        max_adapters: int | None = None,
        forks: bool = False,
        deadlines: Deadlines | None = None,
        on_progress: OnProgress | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        """Prepare to ask the servers; nothing is generated yet.

        Args:
            model_path: folder of the model here; its tokenizer is used.
            base_url: addresses of the servers, separated by commas.
            model: the base model's served name; empty: the only one, or the one of that folder's name.
            beam_search: ``harness``: exact, by this project; ``server``: vLLM's ``use_beam_search``, which follows
                the semantics ``vllm``.
            load_adapters: whether to load adapters that are not served; the server must read the same folders.
            max_num_seqs: maximum of sequences under way at each server.
            retries: attempts after the first one.
            connect_timeout: seconds.
            n_best: how many hypotheses of a beam search are exact.
            key: of the servers; None: the one in the environment.
            info: the identity, where the servers were asked before; None: ask them now.
            max_adapters: how many the server may be asked to load; None is no limit.
            forks: whether the servers were started with harness/engines/vllm_fork.py.
            deadlines: how long a server may be silent; None: the defaults.
            on_progress: called with progress, in the thread that consumes :meth:`generate`.
            trust_remote_code: whether a tokenizer's Python code may run.

        Raises:
            EngineError: a server does not answer.
            SettingsError: an option has a wrong value.
        """
        if beam_search not in ("harness", "server"):
            raise SettingsError(f"engine_options.beam_search = {beam_search!r}: 'harness' or 'server'")
        if max_num_seqs < 1 or retries < 0:
            raise SettingsError("engine_options: max_num_seqs is at least 1, and retries at least 0")
        self._key = api_key() if key is None else key
        self.info = info or server_info(base_url=base_url, connect_timeout=connect_timeout, key=self._key)
        self._deadlines = deadlines or Deadlines()
        self._patience = Patience(
            connect=connect_timeout, first_token=self._deadlines.first_token, stall=self._deadlines.engine_stall
        )
        self._addresses = read_addresses(base_url)
        text = load_text(model_path, trust_remote_code=trust_remote_code)
        self._dispatch = Dispatch(
            model_path=model_path, model=model, text=text, ends=end_ids(model_path, text.eos_token_id),
            server_beam=beam_search == "server", load_adapters=load_adapters, rows=max_num_seqs, retries=retries,
            n_best=n_best, max_adapters=max_adapters, forks=forks,
        )  # fmt: skip
        self._on_progress = on_progress or (lambda _: None)
        self._closed = False

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """Yield outcomes as they finish; see :class:`harness.engines.base.Engine`."""
        if self._closed:
            raise EngineError("the server engine is closed; open a new one")
        replicas = [Replica(address, self._key, self._patience) for address in self._addresses]
        call = _Call(self._dispatch, replicas, requests)
        # The time to a first token and between tokens is kept for each request, by its connection.
        watch = EngineWatch(replace(self._deadlines, first_token=0.0, engine_stall=0.0))
        watch.call()
        began, done = time.monotonic(), 0
        try:
            while True:
                try:
                    item = call.outcomes.get(timeout=_POLL)
                except queue.Empty:
                    item = None
                match item:
                    case EngineError():
                        raise item
                    case "done":
                        return
                    case None:
                        self._on_progress(
                            Progress(
                                state="running",
                                requests_done=done,
                                requests=len(requests),
                                tokens=call.tokens,
                                seconds=time.monotonic() - began,
                            )
                        )
                    case outcome:
                        done += 1
                        watch.answered()
                        yield outcome
                if (problem := watch.problem()) is not None:
                    raise EngineError(f"the server {problem}; {', '.join(self._addresses)}")
        finally:
            call.stop()

    def close(self) -> None:
        """Nothing is held between calls; calling it twice is fine."""
        self._closed = True


class _Call:
    """One call of :meth:`ServerEngine.generate`: an event loop in a thread of its own."""

    def __init__(self, dispatch: Dispatch, replicas: Sequence[Replica], requests: Sequence[Request]) -> None:
        self.outcomes: queue.SimpleQueue[Outcome | EngineError | Literal["done"]] = queue.SimpleQueue()
        self._dispatch = dispatch
        self._replicas = replicas
        self._requests = requests
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="server-engine")
        self._thread.start()

    @property
    def tokens(self) -> int:
        """Tokens so far, of the longest hypotheses."""
        return self._dispatch.tokens

    def stop(self) -> None:
        """Break off what is under way; the servers notice by the closed connections."""
        self._stopped = True
        # The loop is closed where the call has ended by itself.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(_PATIENCE)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._run())
            except asyncio.CancelledError:
                pass
            except EngineError as error:
                self.outcomes.put(error)
            except Exception as error:  # noqa: BLE001 - it belongs to the thread that waits
                self.outcomes.put(EngineError(f"the server engine broke: {type(error).__name__}: {error}"))
            else:
                self.outcomes.put("done")

    async def _run(self) -> None:
        self._task = asyncio.current_task()
        try:
            if self._stopped:
                return
            async for outcome in self._dispatch.answers(self._replicas, self._requests):
                self.outcomes.put(outcome)
        finally:
            for replica in self._replicas:
                await replica.close()
