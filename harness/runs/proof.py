"""Proves on the engine that every part of a version's update acts, kind of module by kind of module.

A run proves a version as a whole (:mod:`harness.engines.canary`). That an engine drops one kind of module in silence
shows only here. Each kind needs a proof of its own, so this is a command of its own: ``harness adapters verify
--engine``.

Trade-off: a part whose update is too small to stand out of the engine's noise is reported, although it may act.
"""

from __future__ import annotations

from harness.cases.model import Message
from harness.engines.canary import PROOF_TOKENS, prove_adapter
from harness.errors import AdapterError
from harness.models.adapters.groups import parts
from harness.models.adapters.lora import Lora
from harness.models.target import Target, engine_options
from harness.project.settings import Settings
from harness.runs.runner import OpenEngine
from harness.safe.files import scratch_folder

__all__ = ["prove_parts"]

_PROMPTS = ("Name three rivers.", "Write a line about the sea.", "1, 2, 3,", "用一句话介绍秋天。")


def prove_parts(target: Target, settings: Settings, open_engine: OpenEngine) -> dict[str, str]:
    """Why parts of a version do not act, by kind of module; empty when all of them do.

    Args:
        target: a version that is served as one LoRA; of a merged one there is nothing to prove.
        settings: the engine and its options.
        open_engine: opens it.

    Raises:
        HarnessError: the engine cannot be had.
    """
    if target.weights is None:
        return {}
    asked = [target.renderer.prompt_ids((Message("user", text),)) for text in _PROMPTS]
    longest = max(map(len, asked)) + PROOF_TOKENS
    problems: dict[str, str] = {}
    with scratch_folder(settings.reports) as folder:
        engine = open_engine(
            settings.engine, target.model_path, deadlines=settings.deadlines,
            **engine_options([target], settings.engine_options, longest=longest),
        )  # fmt: skip
        try:
            for kind, weights in parts(Lora(target.weights.path), folder):
                try:
                    prove_adapter(engine, asked, weights)
                except AdapterError as error:
                    problems[kind] = str(error)
        finally:
            engine.close()
    return problems
