"""What runs on a node of the cluster: an actor that opens an engine of this project and answers by it.

Requests and outcomes are the plain data of :mod:`harness.engines.messages`. One thread has the engine; the actor's
methods only put work in front of it and take what it says. A call of :meth:`ReplicaActor.events` waits for news, so the
driver needs no other channel, and a lost actor shows as the error of that call.

Invariant: nothing is answered before the harness, the engine's identity and the model's folder are those of the machine
that asks. What arrives while the engine is at work joins its batch where it is vLLM; other engines get it as their
next one.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import harness
from harness.engines import engine_info, messages, open_here
from harness.engines.base import Engine, EngineInfo, Failure, Outcome, Progress, Request
from harness.engines.growing import Joinable
from harness.engines.kept_engine import Reloadable, reload_weights
from harness.engines.on_ray.files import adapter_difference, model_difference
from harness.errors import EngineError, EngineMissing, HarnessError
from harness.project.deadlines import Deadlines
from harness.setup.gpus import Gpu, gpus_with_memory

__all__ = ["ReplicaActor", "gpus_here"]

_NEWS = 1.0
"""Seconds that a call waits for news."""
_PATIENCE = 20.0
"""Seconds that the engine gets to end."""
_ALL = 1 << 62


class _Cancelled(BaseException):
    """Leaves an engine's step loop; not an error, so nothing that handles errors may catch it."""


def gpus_here() -> tuple[Gpu, ...]:
    """All GPUs of the node, whatever Ray lets the caller see."""
    return gpus_with_memory({})


class ReplicaActor:
    """One replica."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        """Begin to open the engine.

        Args:
            spec: ``version`` of the harness; ``engine``, ``settings``, ``model_path``, ``deadlines`` and ``log_path``
                as for :func:`harness.engines.open_engine`; ``identity``: options and :class:`EngineInfo` fields of the
                machine that asks; ``contents``: :func:`harness.engines.on_ray.files.model_contents` there.
        """
        self._spec = spec
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._todo = threading.Condition()
        self._requests: list[tuple[int, Request]] = []
        self._weights: tuple[Path, Mapping[str, str]] | None = None
        self._closing = False
        self._cancelled = 0
        self._call = 0
        self._tokens = self._tokens_before = 0
        self._adapters: dict[str, str] = {}
        """Content of adapters by digest, as the machine that asks has it."""
        self._checked: dict[str, str | None] = {}
        """Problems of adapters by digest."""
        self._left: dict[int, Request] = {}
        """Requests that the engine is answering."""
        self._joinable: Joinable | None = None
        """The engine, while further requests may join its batch."""
        self._thread = threading.Thread(target=self._work, daemon=True, name="replica")
        self._thread.start()

    # -- called by the driver --------------------------------------------------------------------------------------

    def where(self) -> dict[str, Any]:
        """Host, process and Ray's node of this actor."""
        import ray

        return {"host": socket.gethostname(), "pid": os.getpid(), "node": ray.get_runtime_context().get_node_id()}

    def submit(self, call: int, requests: Sequence[Mapping[str, Any]], adapters: Mapping[str, str]) -> None:
        """Take requests of a call, with the content of their adapters by digest."""
        read = [(call, messages.read_request(request)) for request in requests]
        with self._todo:
            self._adapters |= adapters
            self._requests += read
            self._join(call)
            self._todo.notify()

    def cancel(self, call: int) -> None:
        """Stop what is under way of that call and of earlier ones."""
        with self._todo:
            self._cancelled = max(self._cancelled, call)

    def load_weights(self, model_path: str, contents: Mapping[str, str]) -> None:
        """Take the weights of another model of the same kind; the answer is the event ``loaded``."""
        with self._todo:
            self._weights = (Path(model_path), contents)
            self._todo.notify()

    def events(self) -> dict[str, Any]:
        """What happened since the last call; waits a moment for it. ``tokens`` counts from the actor's start."""
        events: list[dict[str, Any]] = []
        with suppress(queue.Empty):
            events.append(self._events.get(timeout=_NEWS))
            while True:
                events.append(self._events.get_nowait())
        return {"tokens": self._tokens, "events": events}

    def close(self) -> None:
        """End the engine, and wait until it is gone."""
        with self._todo:
            self._closing, self._cancelled = True, _ALL
            self._todo.notify()
        self._thread.join(_PATIENCE)

    # -- the thread that has the engine ----------------------------------------------------------------------------

    def _work(self) -> None:
        engine: Engine | None = None
        try:
            engine = self._opened()
            self._events.put({"ready": True})
            while self._next():
                if self._weights is not None:
                    self._reload(engine, *self._weights)
                    self._weights = None
                else:
                    self._answer(engine, self._batch())
                    self._call = 0
        except _Cancelled:
            pass
        except HarnessError as error:
            self._events.put({"broken": {"class": type(error).__name__, "text": str(error)}})
        except Exception as error:  # noqa: BLE001 - the driver must get every error
            text = f"the engine broke: {type(error).__name__}: {error}"
            self._events.put({"broken": {"class": "EngineError", "text": text}})
        finally:
            if engine is not None:
                engine.close()

    def _opened(self) -> Engine:
        spec = self._spec
        if spec["version"] != harness.__version__:
            raise EngineError(
                f"badcase-harness {harness.__version__} is installed here, and the machine that asks has "
                f"{spec['version']}; install the same version in Ray's environment"
            )
        model_path = Path(spec["model_path"])
        if (problem := model_difference(model_path, spec["contents"])) is not None:
            raise EngineMissing(f"{problem}; every node must read the model's folder at this path")
        info = engine_info(spec["engine"], **spec["identity"]["options"])
        wanted = EngineInfo(spec["identity"]["name"], spec["identity"]["version"])
        if info != wanted:
            raise EngineError(
                f"the engine here is {info.name} {info.version}, and on the machine that asks {wanted.name} "
                f"{wanted.version}; answers would not be comparable: install the same versions"
            )
        log_path = Path(spec["log_path"]) if spec["log_path"] else None
        engine = open_here(
            spec["engine"], model_path, info=info, on_progress=self._progress,
            # The folder is on this machine only where the nodes share it.
            log_path=log_path if log_path is not None and log_path.parent.is_dir() else None,
            deadlines=Deadlines.from_mapping(spec["deadlines"]), **spec["settings"],
        )  # fmt: skip
        # An engine in a process of its own loads its model meanwhile; an empty call waits for it.
        try:
            for _ in engine.generate([]):
                pass
        except BaseException:
            engine.close()
            raise
        return engine

    def _next(self) -> bool:
        """Wait for work; False at the end."""
        with self._todo:
            self._todo.wait_for(lambda: self._closing or self._weights is not None or self._requests)
            return not self._closing

    def _batch(self) -> list[Request]:
        with self._todo:
            asked, self._requests = self._requests, []
            self._call = max(call for call, _ in asked)
            return [request for call, request in asked if call == self._call and call > self._cancelled]

    def _answer(self, engine: Engine, batch: Sequence[Request]) -> None:
        with self._todo:
            usable = self._usable(batch)
            self._left = {request.id: request for request in usable}
            self._joinable = engine if isinstance(engine, Joinable) and usable else None
        outcomes = None
        try:
            outcomes = engine.generate(usable) if usable else ()
            for outcome in outcomes:
                with self._todo:
                    known = self._left.pop(outcome.request_id, None)
                if known is not None:
                    self._say(outcome)
                self._leave_if_cancelled()
            self._forgotten()
        except _Cancelled:
            pass
        finally:
            self._joinable = None
            self._tokens_before = self._tokens
            if (close := getattr(outcomes, "close", None)) is not None:
                close()

    def _join(self, call: int) -> None:
        """Let what waits join the batch that is under way; called with the lock."""
        if self._joinable is None or call != self._call or call <= self._cancelled:
            return
        waiting = self._usable([request for of, request in self._requests if of == call])
        self._requests = []
        if waiting and self._joinable.add(waiting):
            self._left |= {request.id: request for request in waiting}
        else:
            self._requests = [(call, request) for request in waiting]

    def _forgotten(self) -> None:
        """After a batch: what joined too late waits for the next one; what has no outcome otherwise is a failure."""
        with self._todo:
            late = self._joinable.left_over() if self._joinable is not None else []
            self._joinable = None
            for request in late:
                del self._left[request.id]
            self._requests = [*((self._call, request) for request in late), *self._requests]
        for number in self._left:
            self._say(Failure(number, "the engine gave no answer to this request"))

    def _usable(self, batch: Sequence[Request]) -> list[Request]:
        """The requests whose adapters are there; the others are failures."""
        usable = []
        for request in batch:
            if (problem := self._adapter_problem(request)) is None:
                usable.append(request)
            else:
                self._say(Failure(request.id, problem))
        return usable

    def _reload(self, engine: Engine, model_path: Path, contents: Mapping[str, str]) -> None:
        problem = model_difference(model_path, contents)
        if problem is None and not isinstance(engine, Reloadable):
            problem = f"engine {engine.info.name!r} takes no other weights"
        if problem is None and not reload_weights(engine, model_path):
            problem = f"the weights of {model_path} were not loaded"
        self._events.put({"loaded": problem is None, "problem": problem})

    def _adapter_problem(self, request: Request) -> str | None:
        adapter = request.adapter
        if adapter is None:
            return None
        if adapter.digest not in self._checked:
            problem = adapter_difference(adapter.path, self._adapters.get(adapter.digest, ""))
            where = f"adapter {adapter.name} on node {socket.gethostname()}"
            help_ = "every node must read adapters at their paths (HARNESS_CACHE_DIR on shared storage)"
            self._checked[adapter.digest] = None if problem is None else f"{where}: {problem}; {help_}"
        return self._checked[adapter.digest]

    def _say(self, outcome: Outcome) -> None:
        self._events.put({"call": self._call, "outcome": messages.write_outcome(outcome)})

    def _progress(self, progress: Progress) -> None:
        # Engines report after every step, so this is also where a long step loop can be left.
        self._leave_if_cancelled()
        if progress.state == "running":
            self._tokens = max(self._tokens, self._tokens_before + progress.tokens)

    def _leave_if_cancelled(self) -> None:
        if self._closing or 0 < self._call <= self._cancelled:
            raise _Cancelled
