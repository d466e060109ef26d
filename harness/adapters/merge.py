"""Base model and LoRAs as one complete model folder that transformers and vLLM load.

Tensor by tensor: the update is computed and added in float32 and rounded once to the model's own type, so a small
update is not lost to repeated rounding, and a 70B model needs one layer's memory. Files keep their names and split;
everything else of the model's folder (configuration, tokenizer, chat template) is copied. Given up: quantised bases,
whose tensors cannot be added to.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.adapters.lineage import check_lineage
from harness.adapters.lora import Lora
from harness.adapters.tensors import TensorInfo, copy_tensors, read_header
from harness.errors import AdapterError

__all__ = ["merge"]

_COPIED = {".json", ".jinja", ".model", ".txt"}


def merge(model: Path, folders: Sequence[Path], destination: Path) -> Path:
    """Write the merged model into ``destination``, which must not exist and appears whole or not at all.

    Raises:
        AdapterError: it exists, the chain does not belong on this model, a layer is not in the model's files, or no
        space.
    """
    if destination.exists():
        raise AdapterError(f"{destination} exists already; name a new folder")
    check_lineage(model, folders)
    loras = [Lora(folder) for folder in folders]
    shards = sorted(model.glob("*.safetensors"))
    headers = {path: read_header(path) for path in shards}
    _check_layers(model, loras, {n: i for header in headers.values() for n, i in header.items()})
    needed = int(sum(p.stat().st_size for p in shards) * 1.01)
    destination.parent.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(destination.parent).free) < needed:
        raise AdapterError(
            f"{destination}: needs {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; "
            "free space, or export elsewhere"
        )
    temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{destination.name}-", dir=destination.parent))
    try:
        for path in model.iterdir():
            if path.is_file() and path.suffix in _COPIED:
                shutil.copyfile(path, temporary / path.name)
        for path in shards:
            copy_tensors(path, temporary / path.name, change=_adder(loras))
        temporary.chmod(0o755)
        temporary.rename(destination)
    except OSError as error:
        raise AdapterError(f"cannot write {destination}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return destination


def _check_layers(model: Path, loras: Sequence[Lora], tensors: dict[str, TensorInfo]) -> None:
    for lora in loras:
        for module in lora.modules:
            info = tensors.get(f"{module}.weight")
            if info is None:
                raise AdapterError(
                    f"{lora.folder}: adapts {module}, which the files of {model} do not have by that name"
                )
            if info.dtype not in ("F32", "F16", "BF16", "F64"):
                raise AdapterError(f"{model}: {module} is quantised ({info.dtype}); merge into the unquantised model")


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
