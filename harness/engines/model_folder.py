"""What an engine must know about a model's folder before, or without, loading the model.

Invariant: all engines end answers at the same tokens, which are those of the generation config and of the tokenizer
together. An answer then does not run past its turn because one of the two files is incomplete.
"""

from __future__ import annotations

from pathlib import Path

from harness.engines.base import Request
from harness.models.weights import AdapterWeights
from harness.safe.read import read_facts

__all__ = ["adapter_problem", "context_length", "end_ids", "length_problem"]


def end_ids(model_path: Path, tokenizer_end: int | None) -> tuple[int, ...]:
    """The ids that end an answer, the tokenizer's own first."""
    declared = read_facts(model_path / "generation_config.json").get("eos_token_id")
    if declared is None:
        declared = read_facts(model_path / "config.json").get("eos_token_id")
    ids = declared if isinstance(declared, list) else [declared]
    known = [i for i in [tokenizer_end, *ids] if isinstance(i, int)]
    return tuple(dict.fromkeys(known))


def adapter_problem(adapter: AdapterWeights, max_rank: int | None = None) -> str | None:
    """Why an adapter cannot be loaded, or None."""
    config = read_facts(adapter.path / "adapter_config.json")
    if not config:
        return f"adapter {adapter.name}: {adapter.path} has no readable adapter_config.json"
    if not (adapter.path / "adapter_model.safetensors").is_file():
        return f"adapter {adapter.name}: {adapter.path} has no adapter_model.safetensors"
    rank = config.get("r")
    if max_rank is not None and isinstance(rank, int) and rank > max_rank:
        return f"adapter {adapter.name} has rank {rank}, the engine was started for {max_rank} at most"
    return None


def context_length(model_path: Path, wanted: int | None) -> int | None:
    """``wanted`` tokens, or what the model was made for where that is less; None: unknown, the engine decides."""
    own = read_facts(model_path / "config.json").get("max_position_embeddings")
    if not isinstance(own, int):
        return wanted
    return min(wanted, own) if wanted else own


def length_problem(request: Request, limit: int) -> str | None:
    """Why prompt and answer do not fit the context, or None."""
    prompt, answer = len(request.prompt_ids), request.decoding.max_tokens
    if not prompt:
        return "the prompt is empty"
    if prompt + answer > limit:
        return f"{prompt} prompt tokens + max_tokens {answer} are more than the context of {limit}"
    return None
