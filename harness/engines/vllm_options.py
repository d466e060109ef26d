"""How vLLM is started: the keyword arguments of its ``LLM``, and the same as the command line of its server.

One place for both, so that an answer does not depend on which of them gave it. This module imports no vLLM.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.engines.model_folder import context_length
from harness.models.processor import cpu_dtype

__all__ = ["command_line", "copies_forks", "vllm_options"]

_GIB = 1024**3
_MIN_BATCHED_TOKENS = 4096
"""Tokens that a step computes at most, where the context is not longer."""
_FORKS = {
    "kv_connector": "ForkConnector",
    "kv_connector_module_path": "harness.engines.vllm_fork",
    "kv_role": "kv_consumer",
}
"""vLLM's ``kv_transfer_config`` for harness/engines/vllm_fork.py."""


def vllm_options(
    model_path: Path,
    *,
    cpu: bool,
    max_model_len: int | None = None,
    max_loras: int = 0,
    max_lora_rank: int = 16,
    dtype: str = "auto",
    kv_cache_gib: float | None = None,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    pipeline_parallel_size: int = 1,
    quantization: str | None = None,
    max_num_seqs: int | None = None,
    trust_remote_code: bool = False,
    llm_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Keyword arguments of ``vllm.LLM``, from the engine options of a project.

    Args:
        model_path: folder of the model.
        cpu: whether vLLM runs on a CPU here.
        max_model_len: tokens of prompt and answer together; None: the model's own limit.
        max_loras: adapters that may be used; 0 leaves LoRA off, which is faster.
        max_lora_rank: largest rank among them.
        dtype: of the weights, vLLM's names; ``auto``: the model's own, or float32 on a CPU without bfloat16.
        kv_cache_gib: size of the KV cache; None: 2 GiB on a CPU, what is free on a GPU.
        gpu_memory_utilization: share of a GPU's memory to take.
        tensor_parallel_size: GPUs that share each layer.
        pipeline_parallel_size: groups of GPUs that share the layers.
        quantization: vLLM's name of a method; None: as the model's config says.
        max_num_seqs: maximum of sequences in a batch; None: 128 on a CPU, vLLM's choice on a GPU.
        trust_remote_code: whether Python code in the model's folder may run.
        llm_options: anything else, over what is chosen here.
    """
    options: dict[str, Any] = {
        "model": str(model_path),
        "dtype": cpu_dtype(dtype) if cpu else dtype,
        "max_model_len": context_length(model_path, max_model_len),
        "enable_prefix_caching": True,
        # A beam search of width w needs up to 2w entries in a row.
        "max_logprobs": -1,
        "seed": 0,
        "tensor_parallel_size": tensor_parallel_size,
        "trust_remote_code": trust_remote_code,
        "disable_log_stats": True,
    }
    if pipeline_parallel_size > 1:
        options["pipeline_parallel_size"] = pipeline_parallel_size
    if quantization is not None:
        options["quantization"] = quantization
    if cpu:
        options |= _cpu_options(options["max_model_len"], max_num_seqs)
    else:
        options |= _gpu_options(gpu_memory_utilization, max_num_seqs)
    if kv_cache := kv_cache_gib or (2.0 if cpu else None):
        options["kv_cache_memory_bytes"] = int(kv_cache * _GIB)
    return options | _lora_options(max_loras, max_lora_rank, cpu) | dict(llm_options or {})


def copies_forks(options: Mapping[str, Any]) -> bool:
    """Whether a vLLM that is started with ``options`` copies the last block of a fork's parent."""
    return options.get("kv_transfer_config") == _FORKS


def command_line(options: Mapping[str, Any]) -> list[str]:
    """``options`` as arguments of vLLM's OpenAI server; a value of None is left out."""
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return words


def _cpu_options(max_model_len: int | None, max_num_seqs: int | None) -> dict[str, Any]:
    # The smallest block of the CPU kernels: a fork recomputes what a block does not hold yet.
    options: dict[str, Any] = {
        "block_size": 32,
        "enforce_eager": True,
        "max_num_seqs": max_num_seqs or 128,
        "kv_transfer_config": _FORKS,
    }
    # Whole prompts only: vLLM 0.32 breaks on a CPU when a seeded sample's prompt is computed in parts.
    if max_model_len:
        options |= {
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(max_model_len, _MIN_BATCHED_TOKENS),
        }
    return options


def _gpu_options(memory_utilization: float, max_num_seqs: int | None) -> dict[str, Any]:
    # Blocks of 16 tokens are vLLM's default; a GPU computes the rest of a block quickly.
    options: dict[str, Any] = {"gpu_memory_utilization": memory_utilization}
    return options | ({"max_num_seqs": max_num_seqs} if max_num_seqs else {})


def _lora_options(max_loras: int, max_lora_rank: int, cpu: bool) -> dict[str, Any]:
    if not max_loras:
        return {}
    # vLLM's CPU kernels take "no adapter" (slot -1) for the last slot, so that the model as shipped would answer with
    # the adapter in that slot. One slot more than needed keeps the last one empty.
    return {"enable_lora": True, "max_loras": max_loras + int(cpu), "max_lora_rank": _lora_rank(max_lora_rank)}


def _lora_rank(rank: int) -> int:
    """The next rank that vLLM has kernels for."""
    return next((known for known in (8, 16, 32, 64, 128, 256, 320, 512) if known >= rank), rank)
