"""Base model and LoRAs as one complete model folder that transformers and vLLM load.

Tensor by tensor, the update is computed and added in float32 and rounded once to the model's own type. A small update
is so not lost to repeated rounding, and a 70B model needs one layer's memory. Files keep their names and split;
everything else of the model's folder (configuration, tokenizer, chat template) is copied. Modules that an adapter holds
whole replace the model's: with more rows after a vocabulary resize, and as a separate output layer where it was tied to
the embedding; the configuration is changed accordingly. Not supported: quantised bases, whose tensors cannot be added
to.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import AdapterError
from harness.models.adapters.lineage import FLOATS, check_lineage
from harness.models.adapters.lora import Lora, open_all
from harness.models.adapters.tensors import Replacement, TensorFile, TensorInfo, copy_tensors, read_header
from harness.models.adapters.tokenizer import copy_tokenizer
from harness.safe.files import new_folder, write_text

__all__ = ["check_merge", "merge"]

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
_HEAD_MODULE = "lm_head"
_COPIED = {".json", ".jinja", ".model", ".txt"}


def merge(model: Path, adapters: Sequence[Path | Lora], destination: Path, tokenizer: Path | None = None) -> Path:
    """Write the merged model into ``destination``, which must not exist and appears whole or not at all.

    Args:
        model: folder of the base model.
        adapters: what to merge, oldest first: folders, or adapters that are open already.
        destination: folder of the merged model.
        tokenizer: folder of a tokenizer that takes the place of the model's.

    Raises:
        AdapterError: it exists, the chain does not belong on this model, a layer is not in the model's files, or no
        space.
    """
    if destination.exists():
        raise AdapterError(f"{destination} exists already; name a new folder")
    loras = open_all(adapters)
    check_lineage(model, loras)
    shards = sorted(model.glob("*.safetensors"))
    headers = {path: read_header(path) for path in shards}
    tensors = {n: i for header in headers.values() for n, i in header.items()}
    whole = _replacements(model, loras, tensors)
    needed = int(sum(p.stat().st_size for p in shards) * 1.01) + sum(4 * math.prod(r.shape) for r in whole.values())
    destination.parent.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(destination.parent).free) < needed:
        raise AdapterError(
            f"{destination}: needs {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; "
            "free space, or export elsewhere"
        )
    try:
        with new_folder(destination) as temporary:
            for path in model.iterdir():
                if path.is_file() and path.suffix in _COPIED:
                    shutil.copyfile(path, temporary / path.name)
            for path in shards:
                here = {n: r for n, r in whole.items() if _place(n, headers, tensors) == path}
                copy_tensors(path, temporary / path.name, change=_adder(loras), replaced=here)
            if tokenizer is not None:
                copy_tokenizer(tokenizer, temporary)
            if whole:
                _tell(temporary, whole, headers, tensors)
    except OSError as error:
        raise AdapterError(f"cannot write {destination}: {error.strerror or error}") from error
    return destination


def check_merge(model: Path, loras: Sequence[Lora]) -> None:
    """Check whether adapters can be merged into a model.

    Raises:
        AdapterError: why they cannot.
    """
    tensors = {n: i for path in sorted(model.glob("*.safetensors")) for n, i in read_header(path).items()}
    _replacements(model, loras, tensors)


def _replacements(model: Path, loras: Sequence[Lora], tensors: dict[str, TensorInfo]) -> dict[str, Replacement]:
    """The tensors that take the place of the model's, after all checks."""
    _check_layers(model, loras, tensors)
    return _whole(model, loras, tensors)


def _check_layers(model: Path, loras: Sequence[Lora], tensors: dict[str, TensorInfo]) -> None:
    for lora in loras:
        for module in lora.modules:
            info = tensors.get(f"{module}.weight")
            if info is None and module == _HEAD_MODULE and _EMBEDDING in tensors:
                continue
            if info is None and any(name.startswith(f"{module}.") for name in tensors):
                raise AdapterError(f"{model}: {module} is quantised; merge into the unquantised model")
            if info is None:
                raise AdapterError(
                    f"{lora.folder}: adapts {module}, which the files of {model} do not have by that name"
                )
            if info.dtype not in FLOATS:
                raise AdapterError(f"{model}: {module} is quantised ({info.dtype}); merge into the unquantised model")


def _whole(model: Path, loras: Sequence[Lora], tensors: Mapping[str, TensorInfo]) -> dict[str, Replacement]:
    """What takes the place of the model's tensors: of each the newest adapter's."""
    replacements: dict[str, Replacement] = {}
    for lora in loras:
        for name in lora.whole:
            shape = lora.whole_shape(name)
            like = tensors.get(name) or (tensors.get(_EMBEDDING) if name == _HEAD else None)
            if like is None or like.dtype not in FLOATS or shape[1:] != like.shape[1:] or shape[0] < like.shape[0]:
                what = f"{like.dtype} of {like.shape}" if like else "no such tensor"
                raise AdapterError(f"{lora.folder}: holds {name} of {shape}, {model} has {what}")
            replacements[name] = Replacement(like.dtype, shape, partial(_bytes_of, lora, name, like.dtype))
    heads = [lora for lora in loras if _HEAD_MODULE in lora.modules]
    if heads and _HEAD not in tensors and _HEAD not in replacements:
        replacements[_HEAD] = _untied(model, heads, tensors[_EMBEDDING])
    if _EMBEDDING in replacements and _HEAD not in replacements and _HEAD not in tensors:
        raise AdapterError(
            f"{loras[-1].folder}: holds an embedding to which {model} ties its output layer, and not that layer; "
            f"which one it was trained with is not known: train with additional_targets of both"
        )
    if len({r.shape[0] for n, r in replacements.items() if n in (_EMBEDDING, _HEAD)}) > 1:
        raise AdapterError(f"{loras[-1].folder}: embedding and output layer have different numbers of rows")
    return replacements


def _untied(model: Path, loras: Sequence[Lora], embedding: TensorInfo) -> Replacement:
    """The output layer of a model that ties it to its embedding, with the updates that adapters hold for it."""

    def data() -> bytes:
        path = next(p for p in sorted(model.glob("*.safetensors")) if _EMBEDDING in read_header(p))
        weights = TensorFile(path).array(_EMBEDDING).astype(np.float32)
        for lora in loras:
            saved = lora.base_layer(_HEAD_MODULE)
            if saved is not None and not np.allclose(saved, weights, rtol=0.01, atol=1e-6):
                raise AdapterError(
                    f"{lora.folder}: holds another output layer than {model}; it belongs to another model"
                )
        for lora in loras:
            a, b = lora.matrices(_HEAD_MODULE)
            weights += b @ a
        return _narrow(weights, embedding.dtype)

    return Replacement(embedding.dtype, embedding.shape, data)


def _bytes_of(lora: Lora, name: str, dtype: str) -> bytes:
    return _narrow(lora.whole_array(name), dtype)


def _place(name: str, headers: Mapping[Path, Mapping[str, TensorInfo]], tensors: Mapping[str, TensorInfo]) -> Path:
    """The file that a tensor belongs into; an output layer that had none, beside the embedding."""
    wanted = name if name in tensors else _EMBEDDING
    return next(path for path, header in headers.items() if wanted in header)


def _tell(
    folder: Path,
    whole: Mapping[str, Replacement],
    headers: Mapping[Path, Mapping[str, TensorInfo]],
    tensors: Mapping[str, TensorInfo],
) -> None:
    """Let configuration and index say what the files hold now."""
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    if _HEAD in whole:
        config["tie_word_embeddings"] = False
    if _EMBEDDING in whole:
        config["vocab_size"] = whole[_EMBEDDING].shape[0]
    write_text(path, json.dumps(config, indent=2) + "\n")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        content = json.loads(index.read_text("utf-8"))
        content["weight_map"] |= {n: _place(n, headers, tensors).name for n in whole}
        write_text(index, json.dumps(content, indent=2) + "\n")


def _adder(loras: Sequence[Lora]) -> Any:
    def change(name: str, info: TensorInfo, data: bytes) -> bytes:
        module = name.removesuffix(".weight")
        parts = [lora for lora in loras if module in lora.modules]
        if not parts:
            return data
        weights = _widen(data, info)
        for lora in parts:
            a, b = lora.matrices(module)
            weights += (b @ a).astype(weights.dtype)
        return _narrow(weights, info.dtype)

    return change


def _widen(data: bytes, info: TensorInfo) -> NDArray[Any]:
    if info.dtype == "BF16":
        raw = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return raw.view(np.float32).reshape(info.shape).copy()
    kind = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}[info.dtype]
    array = np.frombuffer(data, kind).reshape(info.shape)
    return array.astype(np.float64 if info.dtype == "F64" else np.float32)


def _narrow(values: NDArray[Any], dtype: str) -> bytes:
    if dtype == "BF16":
        # Round to nearest, ties to even, as torch does; the sums are finite, so the carry cannot make a NaN.
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8"}[dtype]).tobytes()
