"""Whether a model fits the GPUs, and on how many: arithmetic before vLLM loads for minutes and then runs out of memory.

Per GPU, with t GPUs in a tensor-parallel group and p such groups in a pipeline:

    weights      bytes of the safetensors files / (t p); times 2 or 1/2 where ``dtype`` is not the saved one
    KV cache     2 x layers x heads of keys x size of a head x bytes x tokens / (min(t, heads of keys) p), for one
                 sequence of ``max_model_len`` tokens: what vLLM itself asks for at least
    LoRA slots   slots x layers x rank x sum over the seven linear layers of (in + out / t) x bytes / p
    the rest     3 GiB: the CUDA context, activations of a batch, CUDA graphs

against ``gpu_memory_utilization`` x the GPU's memory. Trade-off: it is an estimate from config.json. A model whose
configuration does not say what it needs is not judged. Mixture-of-experts models count with all their weights, and with
LoRA slots of their attention only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import EngineError, ManifestError
from harness.models.description import describe_model
from harness.setup.gpus import Gpu

__all__ = ["Need", "fit", "need_of"]

_GIB = 1024**3
_REST = 3 * _GIB
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "half": 2, "float": 4}
_BATCH = 8
"""Sequences of the longest length that must fit on a number of GPUs that nobody chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a model needs on each GPU, bytes."""

    weights: int
    kv_cache: int
    """Of one sequence of the longest length."""
    lora: int

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.lora + _REST

    def __str__(self) -> str:
        parts = {"weights": self.weights, "KV cache of one sequence": self.kv_cache, "LoRA slots": self.lora,
                 "the rest": _REST}  # fmt: skip
        shown = " + ".join(f"{name} {size / _GIB:.1f}" for name, size in parts.items() if size)
        return f"{shown} = {self.total / _GIB:.1f} GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    layers: int
    heads: int
    kv_heads: int
    head: int
    hidden: int
    inner: int
    """Width of a feed-forward layer; 0 for a mixture of experts, whose experts have no LoRA slots here."""
    saved: str
    weights: int


def need_of(model_path: Path, options: Mapping[str, Any], *, tensor: int, pipeline: int) -> Need | None:
    """What each GPU needs; None where the model's configuration does not say.

    Args:
        model_path: folder of the model.
        options: as the engine is opened with them.
        tensor: GPUs of a tensor-parallel group.
        pipeline: groups.
    """
    shape = _shape(model_path)
    if shape is None:
        return None
    dtype = str(options.get("dtype", "auto"))
    computed = _BYTES.get(shape.saved if dtype == "auto" else dtype, 2)
    weights = shape.weights * computed // _BYTES.get(shape.saved, computed)
    length = options.get("max_model_len") or 0
    kv = 2 * shape.layers * shape.kv_heads * shape.head * computed * length
    slots = options.get("max_loras", 0) * options.get("max_lora_rank", 0)
    return Need(
        weights=weights // (tensor * pipeline),
        kv_cache=kv // (min(tensor, shape.kv_heads) * pipeline),
        lora=slots * shape.layers * _lora_width(shape, tensor) * computed // pipeline,
    )


def fit(model_path: Path, options: Mapping[str, Any], gpus: Sequence[Gpu]) -> dict[str, Any]:
    """``options`` with a number of GPUs that the model fits on: the one that is given, or the smallest with some room.

    Args:
        model_path: folder of the model.
        options: as the engine is opened with them.
        gpus: those of this machine; without any, nothing is checked.

    Raises:
        EngineError: it does not fit, with the arithmetic and what helps.
    """
    shape = _shape(model_path)
    if not gpus or shape is None or options.get("kv_cache_gib"):
        return dict(options)
    pipeline = options.get("pipeline_parallel_size", 1)
    given = options.get("tensor_parallel_size")
    # A pipeline may go over machines, whose GPUs are not seen here.
    sizes = [given] if given else [t for t in _powers(len(gpus)) if shape.heads % t == 0 and t * pipeline <= len(gpus)]
    room = min(gpu.total for gpu in gpus) * options.get("gpu_memory_utilization", 0.9)
    need = None
    for tensor in sizes:
        if shape.heads % tensor:
            raise EngineError(
                f"tensor_parallel_size = {tensor} does not divide the model's {shape.heads} attention heads; take one "
                f"of {', '.join(str(t) for t in _powers(shape.heads) if shape.heads % t == 0)}"
            )
        if pipeline == 1 and tensor > len(gpus):
            raise EngineError(f"tensor_parallel_size = {tensor}, and {len(gpus)} GPUs are visible here")
        need = need_of(model_path, options, tensor=tensor, pipeline=pipeline)
        # Where it is ours to choose, a batch must fit and not only one sequence; on the last number that will do.
        more = 0 if given or need is None or tensor == sizes[-1] else (_BATCH - 1) * need.kv_cache
        if need is None or need.total + more <= room:
            return {**options, **({"tensor_parallel_size": tensor} if tensor > 1 else {})}
    raise EngineError(
        f"the model does not fit {sizes[-1] if sizes else 1} x {gpus[0].name}: each needs {need}, and "
        f"gpu_memory_utilization = {options.get('gpu_memory_utilization', 0.9)} of "
        f"{min(gpu.total for gpu in gpus) / _GIB:.0f} GiB leaves {room / _GIB:.1f}; {_help(need, options)}"
    )


def _help(need: Need | None, options: Mapping[str, Any]) -> str:
    ways = ["more GPUs (tensor_parallel_size, pipeline_parallel_size)"]
    if need is not None and need.kv_cache > _REST:
        ways.append(f"a smaller max_model_len than {options.get('max_model_len')}")
    if need is not None and need.lora > _REST:
        ways.append("fewer versions in one run")
    return f"what helps: {', '.join([*ways, 'a quantised model'])}"


def _powers(most: int) -> list[int]:
    return [1 << n for n in range(most.bit_length()) if 1 << n <= most]


def _lora_width(shape: _Shape, tensor: int) -> int:
    """Sum over the linear layers of a block: inputs, which every GPU holds, and outputs, which they share."""
    query, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    layers = [(shape.hidden, query), (shape.hidden, keys), (shape.hidden, keys), (query, shape.hidden)]
    layers += [(shape.hidden, shape.inner), (shape.hidden, shape.inner), (shape.inner, shape.hidden)]
    return sum(inputs + outputs // tensor for inputs, outputs in layers)


def _shape(model_path: Path) -> _Shape | None:
    """The model in numbers; None where its configuration does not say."""
    try:
        about = describe_model(model_path)
    except ManifestError:
        return None
    if not (
        about.layers and about.heads and about.kv_heads and about.head_size and about.hidden_size and about.weights
    ):
        return None
    return _Shape(
        layers=about.layers, heads=about.heads, kv_heads=about.kv_heads, head=about.head_size,
        hidden=about.hidden_size, inner=0 if about.experts else about.inner_size or 4 * about.hidden_size,
        saved=about.dtype, weights=about.weights,
    )  # fmt: skip
