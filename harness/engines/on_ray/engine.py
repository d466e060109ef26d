"""The Ray engine: requests in, outcomes out, over replicas that are actors of a Ray cluster.

The first replica that is ready begins to answer, and the others join. Each holds a bounded number of requests; the
others wait here (harness/engines/on_ray/backlog.py). A replica that is lost, or whose engine breaks or hangs, is
started again, and its requests go to another one.

Invariant: what happens to a replica is a :class:`Failure` of requests that were moved as often as they may be, or an
:class:`EngineError` where no replica is left or one cannot be set up. It is never an answer. A replica that cannot be
set up (no model there, another version) is an error at once, whatever the others do: the cluster is not as was meant.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import harness
from harness import errors
from harness.engines import messages
from harness.engines.base import EngineInfo, OnProgress, Outcome, Progress, Request
from harness.engines.gpu_memory import fit
from harness.engines.on_ray import cluster
from harness.engines.on_ray.actor import ReplicaActor, gpus_here
from harness.engines.on_ray.backlog import Backlog
from harness.engines.on_ray.files import model_contents
from harness.engines.on_ray.inner import inner_engine
from harness.engines.on_ray.placement import Node, Placement, place
from harness.engines.on_ray.replica import Replica
from harness.engines.watch import EngineWatch
from harness.errors import EngineError, SettingsError
from harness.project.deadlines import Deadlines

__all__ = ["RayEngine"]

_POLL = 0.5
"""Seconds between two looks at the deadlines."""
_PATIENCE = 30.0
"""Seconds that actors get to end their engines."""
_GRACE = 5.0
"""Seconds that an engine with a watch of its own gets to report what hangs."""
_SPARE_STARTS = 3
"""Times that a replica is started again without an answer, beyond the moves of one request."""


class RayEngine:
    """Answers by actors on a Ray cluster."""

    def __init__(
        self,
        model_path: Path,
        *,
        info: EngineInfo,
        ray_address: str = "",
        replicas: int | None = None,
        in_flight: int = 512,
        retries: int = 2,
        deadlines: Deadlines | None = None,
        on_progress: OnProgress | None = None,
        log_path: Path | None = None,
        **settings: Any,
    ) -> None:
        """Connect to the cluster and ask it for the replicas; they start while the caller goes on.

        Args:
            model_path: folder of the model, at the same path on every node.
            info: the identity of the engine inside.
            ray_address: ``HOST:PORT`` or ``auto`` of a running cluster; empty: start a Ray on this machine.
            replicas: how many; None: as many as the GPUs allow, or one without GPUs.
            in_flight: maximum of requests that a replica holds.
            retries: attempts of a request after the first one, where replicas are lost.
            deadlines: how long a replica may be silent; None: the defaults.
            on_progress: called with progress, in the thread that consumes :meth:`generate`.
            log_path: where the engines of a shared folder write; replica N has ``-N`` before the suffix.
            settings: ``ray_engine`` (the engine inside), and all other options of it.

        Raises:
            SettingsError: an option has a wrong value.
            EngineError: there is no cluster, or it holds no replica.
        """
        if in_flight < 1 or retries < 0 or (replicas is not None and replicas < 1):
            raise SettingsError("engine_options: in_flight and replicas are at least 1, and retries at least 0")
        self.info = info
        self._name, self._settings = inner_engine(settings)
        self._in_flight, self._retries = in_flight, retries
        self._deadlines = deadlines or Deadlines()
        self._on_progress = on_progress or (lambda _: None)
        self._on_progress(Progress(state="starting"))
        self._log_path = log_path
        self._model_path = model_path
        self._contents = model_contents(model_path)
        # The time to a first token and between tokens is kept for each replica.
        self._watch = EngineWatch(replace(self._deadlines, engine_start=0.0, first_token=0.0, engine_stall=0.0))
        self._replicas: list[Replica] = []
        self._adapters: dict[str, str] = {}
        self._call = self._tokens = 0
        self._began = time.monotonic()
        self._busy = self._closed = False
        if log_path is not None:
            log_path.parent.mkdir(parents=True, exist_ok=True)
        self._ray = cluster.connect(ray_address)
        try:
            self._placement, self._opened_with = self._placed(replicas)
            self._replicas = [self._started(number + 1) for number in range(self._placement.replicas)]
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of the actors that have started, on their own nodes; for a test or an administrator."""
        return tuple(replica.where["pid"] for replica in self._replicas if replica.where)

    @property
    def holds_this_machine(self) -> bool:
        """Whether a replica lies on this machine, whose memory a training would need."""
        here = self._ray.get_runtime_context().get_node_id()
        asked = self._placement
        room = any(
            node.gpus >= asked.gpus and node.cpus >= asked.cpus for node in cluster.nodes(self._ray) if node.id == here
        )
        # One that waits for room may find it here.
        return room and any(replica.where.get("node", here) == here for replica in self._replicas)

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """Yield outcomes as they finish; see :class:`harness.engines.base.Engine`."""
        if self._closed:
            raise EngineError("the Ray engine is closed; open a new one")
        if self._busy:
            raise EngineError("the engine is already generating; one call at a time")
        if not self._replicas:
            raise EngineError("the Ray engine has no replica left; open a new one")
        self._busy = True
        self._call += 1
        backlog = Backlog(requests, limit=self._in_flight, moves=self._retries)
        self._watch.call()
        for replica in self._replicas:
            if not replica.ready:
                # What it did while nobody listened is heard now.
                replica.watch = self._new_watch()
        tokens, began, done = self._tokens, time.monotonic(), 0
        try:
            while backlog.open:
                ready = [replica for replica in self._replicas if replica.ready]
                for replica, given in backlog.assign(ready):
                    replica.submit(self._call, given, self._adapters)
                for outcome in self._step(backlog):
                    done += 1
                    self._watch.answered()
                    yield outcome
                if (problem := self._watch.problem()) is not None:
                    raise EngineError(f"the replicas on Ray {problem}")
                self._tell(done, len(requests), self._tokens - tokens, time.monotonic() - began)
        finally:
            self._stop_work()
            self._busy = False

    def load_weights(self, model_path: Path) -> None:
        """See :class:`harness.engines.kept_engine.Reloadable`; every replica proves that it computes by other weights.

        Raises:
            EngineError: one does not, or is lost meanwhile; the engine must not be used again.
        """
        self._contents, self._model_path = model_contents(model_path), model_path
        waiting = {replica.number: replica for replica in self._replicas if replica.ready}
        for replica in [replica for replica in self._replicas if not replica.ready]:
            self._end(replica)
            self._replicas[self._replicas.index(replica)] = self._started(replica.number)
        for replica in waiting.values():
            replica.watch.call()
            replica.actor.load_weights.remote(str(model_path), self._contents)
        while waiting:
            for replica, event in self._news():
                if isinstance(event, str) or "broken" in event:
                    raise EngineError(f"{replica.name}: {event if isinstance(event, str) else event['broken']['text']}")
                if event.get("loaded") is False:
                    raise EngineError(f"{replica.name}: {event['problem']}")
                if event.get("loaded"):
                    waiting.pop(replica.number, None)
                replica.ready = replica.ready or "ready" in event
            for replica in waiting.values():
                if (problem := replica.watch.problem()) is not None:
                    raise EngineError(f"{replica.name}: loading weights {problem}")

    def close(self) -> None:
        """End the actors with their engines, and a Ray that was started here; calling it twice is fine."""
        if self._closed:
            return
        self._closed = True
        ending = [replica.actor.close.remote() for replica in self._replicas if replica.where]
        with suppress(self._ray.exceptions.RayError):
            self._ray.wait(ending, num_returns=len(ending), timeout=_PATIENCE) if ending else None
        for replica in self._replicas:
            self._end(replica)
        self._replicas = []
        cluster.disconnect(self._ray)

    # -- replicas --------------------------------------------------------------------------------------------------

    def _placed(self, replicas: int | None) -> tuple[Placement, dict[str, Any]]:
        """What to ask Ray for, and what the engine inside is opened with."""
        nodes = cluster.nodes(self._ray)
        largest = max(nodes, key=lambda node: node.gpus, default=None)
        opened_with = dict(self._settings)
        if self._name == "vllm" and largest is not None and largest.gpus:
            opened_with = fit(self._model_path, opened_with, self._gpus_of(largest))
        gpus = opened_with.get("tensor_parallel_size", 1) * opened_with.get("pipeline_parallel_size", 1)
        return place(nodes, replicas=replicas, gpus=gpus), opened_with

    def _gpus_of(self, node: Node) -> Sequence[Any]:
        ray = self._ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        task = ray.remote(num_cpus=0, max_retries=0)(gpus_here).options(
            scheduling_strategy=there, runtime_env=cluster.worker_environment()
        )
        try:
            return tuple(ray.get(task.remote(), timeout=self._deadlines.engine_start or None))
        except ray.exceptions.RayError as error:
            raise EngineError(f"the Ray cluster does not run the harness: {_why(error)}; {_INSTALL}") from error

    def _started(self, number: int) -> Replica:
        ray, placement = self._ray, self._placement
        log = self._log_path
        kind = ray.remote(max_restarts=0, max_concurrency=4)(ReplicaActor).options(
            num_cpus=placement.cpus, num_gpus=placement.gpus, scheduling_strategy="SPREAD",
            runtime_env=cluster.worker_environment(),
        )  # fmt: skip
        actor = kind.remote({
            "version": harness.__version__, "engine": self._name, "settings": self._opened_with,
            "identity": {"options": self._settings, **asdict(self.info)}, "model_path": str(self._model_path),
            "contents": self._contents, "deadlines": {**asdict(self._deadlines), "run": 0.0, "answer": 0.0},
            "log_path": str(log.with_name(f"{log.stem}-{number}{log.suffix}")) if log is not None else "",
        })  # fmt: skip
        return Replica(number=number, actor=actor, news=actor.where.remote(), watch=self._new_watch())

    def _new_watch(self) -> EngineWatch:
        """For one replica."""
        watched = {
            name: seconds + _GRACE if (seconds := getattr(self._deadlines, name)) else 0.0
            for name in ("engine_start", "first_token", "engine_stall")
        }
        return EngineWatch(replace(self._deadlines, run=0.0, answer=0.0, **watched))

    def _end(self, replica: Replica) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(replica.actor)

    def _stop_work(self) -> None:
        for replica in self._replicas:
            if replica.rows:
                replica.actor.cancel.remote(self._call)
                replica.rows = 0

    # -- what they say ---------------------------------------------------------------------------------------------

    def _news(self) -> Iterator[tuple[Replica, Mapping[str, Any] | str]]:
        """What replicas say within a moment: events, or the reason why one is lost."""
        ray = self._ray
        for replica in list(self._replicas):
            # Of a call that was closed in the middle.
            yield from self._unheard(replica)
        asked = {replica.news: replica for replica in self._replicas}
        some, _ = ray.wait(list(asked), num_returns=1, timeout=_POLL)
        if some:
            some, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for reference in some:
            replica = asked[reference]
            try:
                said = ray.get(reference)
            except ray.exceptions.RayError as error:
                if getattr(error, "actor_init_failed", False) or isinstance(error, ray.exceptions.RuntimeEnvSetupError):
                    raise EngineError(f"{replica.name} cannot be set up: {_why(error)}; {_INSTALL}") from error
                yield replica, f"it was lost: {_why(error)}"
                continue
            replica.ask_for_news()
            if "host" in said:
                replica.where = said
                continue
            self._tokens += replica.heard(said["tokens"])
            replica.unheard += said["events"]
            yield from self._unheard(replica)

    @staticmethod
    def _unheard(replica: Replica) -> Iterator[tuple[Replica, Mapping[str, Any]]]:
        while replica.unheard:
            yield replica, replica.unheard.popleft()

    def _step(self, backlog: Backlog) -> Iterator[Outcome]:
        """Hear what replicas say, and replace those that are lost or silent."""
        for replica, event in self._news():
            if isinstance(event, str):
                yield from self._lost(replica, event, backlog)
            elif "ready" in event:
                replica.ready = True
                self._on_progress(Progress(state="ready", seconds=time.monotonic() - self._began))
            elif "broken" in event:
                kind, text = event["broken"]["class"], event["broken"]["text"]
                # One that was lost and starts again may need several starts, until its memory is free.
                if not replica.ready and not replica.faults:
                    raise getattr(errors, kind, EngineError)(f"{replica.name}: {text}")
                yield from self._lost(replica, text, backlog)
            elif event.get("call") == self._call and "outcome" in event:
                outcome = messages.read_outcome(event["outcome"])
                if backlog.answered(replica, outcome.request_id):
                    replica.faults = 0
                    replica.watch.answered()
                    yield outcome
        for replica in list(self._replicas):
            if (problem := replica.silent()) is None:
                continue
            if replica.ready:
                yield from self._lost(replica, f"it {problem}", backlog)
            elif any(other.ready for other in self._replicas):
                # The cluster may have less room than was asked for; those that run are enough.
                self._end(replica)
                self._replicas.remove(replica)
            else:
                room = "" if replica.where else "; the Ray cluster has no room for it"
                raise EngineError(f"{replica.name} {problem}{room}")

    def _lost(self, replica: Replica, why: str, backlog: Backlog) -> Iterator[Outcome]:
        """Replace a replica; its requests wait again, or fail."""
        self._end(replica)
        self._replicas.remove(replica)
        text, faults = f"{replica.name}: {why}", replica.faults + 1
        failures = backlog.lost(replica, text)
        if faults <= self._retries + _SPARE_STARTS:
            another = self._started(replica.number)
            another.faults = faults
            self._replicas.append(another)
        # Last, since the caller may close the iterator here.
        yield from failures
        if not self._replicas:
            raise EngineError(f"no replica is left; {text}")

    def _tell(self, done: int, requests: int, tokens: int, seconds: float) -> None:
        if not any(replica.ready for replica in self._replicas):
            self._on_progress(Progress(state="starting", seconds=time.monotonic() - self._began))
            return
        self._on_progress(
            Progress(state="running", requests_done=done, requests=requests, tokens=tokens, seconds=seconds)
        )


_INSTALL = f"install badcase-harness {harness.__version__} in the environment of Ray on every node"


def _why(error: BaseException) -> str:
    """An error of Ray in one line: what its long text says of the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("The actor is dead", "ModuleNotFoundError", "ImportError"))]
    text = (telling or lines or [type(error).__name__])[-1]
    return f"{type(error).__name__}: {text.partition(' Some common causes')[0][:300]}"
