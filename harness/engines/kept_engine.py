"""One engine for several models of one kind, one after the other: their weights are loaded into it in place.

A fix judges checkpoints as merged models where adapters are slow (on a CPU), and runs the suite on one of them.
Starting an engine for each takes longer than its answers. The models differ in nothing but their weights, so a running
vLLM can read those of the next one.

An engine with adapters is kept where it has room for those that come. One that runs on other machines stays while a
training runs here; one that lies on this machine gives its memory back.

Invariant: answers never come from other weights than those that were asked for. After a load the engine must compute
other log-probabilities than before; where it does not, or cannot load at all, a new engine is started. Not supported:
loading weights into engines with adapters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from harness.engines.base import Engine, EngineInfo, OnProgress, Outcome, Progress, Request
from harness.engines.fingerprint import take_fingerprint
from harness.errors import HarnessError

__all__ = ["KeptEngine", "Reloadable", "reload_weights"]

_MIN_EFFECT = 1e-4
"""Nats by which other weights must change the log-probability of a fixed answer."""
_ALIKE = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
"""Files that must be the same for two models to differ in their weights only."""


@runtime_checkable
class Reloadable(Protocol):
    """An engine that can take the weights of another model of the same kind."""

    def load_weights(self, model_path: Path) -> None:
        """Replace the weights by those in a model's folder, and forget what was computed with the others.

        Raises:
            EngineError: it cannot; the engine must not be used again.
        """
        ...


def reload_weights(engine: Engine, model_path: Path) -> bool:
    """Load a model's weights into ``engine``, which is :class:`Reloadable`; whether it computes by others than before.

    Raises:
        HarnessError: it cannot load them, or broke.
    """
    assert isinstance(engine, Reloadable)
    before = take_fingerprint(engine, None)
    engine.load_weights(model_path)
    after = take_fingerprint(engine, None)
    if before is None or after is None:
        return False
    return any(abs(a - b) > _MIN_EFFECT for a, b in zip(before.logprobs, after.logprobs, strict=True))


class _Opens(Protocol):
    def __call__(self, name: str, model_path: Path, **options: Any) -> Engine: ...


class KeptEngine:
    """Opens engines like ``open_engine``, and keeps the last one until another is needed. A context manager."""

    def __init__(self, open_engine: _Opens, *, room: Mapping[str, int] | None = None) -> None:
        """Open nothing yet.

        Args:
            open_engine: opens an engine.
            room: minimum of engine options that say how much an engine has room for (``max_model_len``, ``max_loras``,
                ``max_lora_rank``): what any caller will need. An option that a caller does not give stays away.
        """
        self._open = open_engine
        self._room = room or {}
        self._engine: Engine | None = None
        self._model: Path | None = None
        self._asked: dict[str, Any] = {}
        self._on_progress: OnProgress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(
        self,
        name: str,
        model_path: Path,
        *,
        on_progress: OnProgress | None = None,
        log_path: Path | None = None,
        **options: Any,
    ) -> Engine:
        """An engine on that model, for :meth:`close` to give back."""
        options |= {option: max(options[option], least) for option, least in self._room.items() if option in options}
        asked = {"name": name, **options}
        self._on_progress = on_progress
        if not self._same(asked, model_path) and not self._reload(asked, model_path):
            self.close()
            self._engine = self._open(name, model_path, on_progress=self._tell, log_path=log_path, **options)
            self._asked = asked
        self._model = model_path
        assert self._engine is not None
        return _Lent(self._engine)

    def give_way(self) -> None:
        """Before a training on this machine: end the engine unless it lies on others."""
        if getattr(self._engine, "holds_this_machine", True):
            self.close()

    def close(self) -> None:
        """End the engine."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _same(self, asked: dict[str, Any], model_path: Path) -> bool:
        return self._engine is not None and self._fits(asked) and self._model == model_path

    def _fits(self, asked: dict[str, Any]) -> bool:
        """Whether the running engine was opened with these options, or with room for more."""
        wanted, there = asked.get("max_model_len"), self._asked.get("max_model_len")
        room = wanted == there or (wanted is not None and there is not None and wanted <= there)
        return room and {**asked, "max_model_len": 0} == {**self._asked, "max_model_len": 0}

    def _reload(self, asked: dict[str, Any], model_path: Path) -> bool:
        engine = self._engine
        if not isinstance(engine, Reloadable) or asked.get("max_loras") or not self._fits(asked):
            return False
        if self._model is None or not _alike(self._model, model_path):
            return False
        # Whatever goes wrong here, a new engine is the answer.
        with suppress(HarnessError):
            return reload_weights(engine, model_path)
        return False

    def _tell(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)


class _Lent:
    """An engine that its user cannot end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        return self._engine.generate(requests)

    def close(self) -> None:
        """The engine stays for the next user."""


def _alike(one: Path, other: Path) -> bool:
    """Whether two model folders differ in their weights only."""

    def content(folder: Path, name: str) -> bytes | None:
        try:
            return (folder / name).read_bytes()
        except OSError:
            return None

    return all(content(one, name) == content(other, name) for name in _ALIKE)
