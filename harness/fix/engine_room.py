"""What one engine needs room for, so that it can serve a whole fix: candidates, checkpoints, and the suite again.

An engine on Ray or on servers may lie on other machines than the training, and then stays while it runs. Any other one
gives its memory back before the training, and a new one is started for the checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.cases.model import Case
from harness.models.target import Target
from harness.project.settings import Settings
from trainers.recipe import Recipe

__all__ = ["ELSEWHERE", "room_needed"]

ELSEWHERE = ("ray", "server")
"""Engines that may lie on other machines than the training."""


def room_needed(
    cases: Sequence[Case], target: Target, settings: Settings, trained: Recipe | None = None
) -> dict[str, int]:
    """Minimum of engine options; a limit that the user has set is not among them.

    Args:
        cases: that will be asked.
        target: the parent.
        settings: of the project.
        trained: the recipe, where the engine serves the parent and every checkpoint as adapters; None: where adapters
            are left to each call.
    """
    render = target.renderer.prompt_ids
    room = {
        "max_model_len": max(len(render(c.messages, c.chat_template_kwargs)) + c.decoding.max_tokens for c in cases)
    }
    if trained is not None and trained.tuning == "lora" and not settings.merge:
        # The parent, its checkpoints, and the one that is published under its own name.
        room["max_loras"] = int(target.weights is not None) + trained.keep_checkpoints + 1
        below = target.rank if trained.parent == "new" else 0
        room["max_lora_rank"] = max(target.rank, below + trained.lora_rank)
    return {name: least for name, least in room.items() if name not in settings.engine_options}
