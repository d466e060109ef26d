"""An adapter's base model and parents, recorded in its weights file and checked before it is loaded.

A LoRA only makes sense on the weights that it was trained on: base, or base and parent LoRAs. Loading a DPO adapter on
the bare base when it was trained on base + SFT gives fluent, wrong answers and no error. So a training writes two
facts into the safetensors metadata: a fingerprint of the model and the digests of the parents that were applied below
it. Both are checked before an engine starts; adapters from elsewhere carry neither, and then only the shapes are
checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import AdapterError
from harness.models.adapters.folder import WEIGHTS, check
from harness.models.adapters.lora import Lora, open_all
from harness.models.adapters.tensors import TensorInfo, read_header, read_notes

__all__ = ["FLOATS", "Lineage", "check_lineage", "fingerprint", "parts_of", "read_lineage", "stack_notes"]

_MODEL, _PARENTS, _STACK = "harness.model", "harness.parents", "harness.stack"
_SAMPLES, _BYTES = 64, 1024


@dataclass(frozen=True, slots=True)
class Lineage:
    """What lies below an adapter."""

    model: str
    """:func:`fingerprint` of the base model."""
    parents: tuple[str, ...] = ()
    """Digests of the adapters applied to it first, oldest first."""

    def notes(self) -> dict[str, str]:
        """As safetensors metadata."""
        return {_MODEL: self.model, _PARENTS: ",".join(self.parents)}


def read_lineage(folder: Path) -> Lineage | None:
    """The lineage that a folder's weights record; None for adapters from elsewhere."""
    notes = read_notes(folder / WEIGHTS)
    if _MODEL not in notes:
        return None
    return Lineage(notes[_MODEL], tuple(p for p in notes.get(_PARENTS, "").split(",") if p))


def stack_notes(digests: Sequence[str]) -> dict[str, str]:
    """Metadata of an adapter that is several in one: the digests of those."""
    return {_STACK: ",".join(digests)}


def parts_of(adapter: Path | Lora) -> tuple[str, ...]:
    """Digests of the adapters that a folder's weights consist of: its own, or a stack's parts."""
    folder = adapter.folder if isinstance(adapter, Lora) else adapter
    parts = tuple(p for p in read_notes(folder / WEIGHTS).get(_STACK, "").split(",") if p)
    return parts or (adapter.facts.digest if isinstance(adapter, Lora) else check(folder).digest,)


def fingerprint(model: Path) -> str:
    """A model's identity, however its weights are split over files: names, types, shapes and a sample of the values.

    Reads some 64 KiB for a model of any size. Two trainings of one architecture differ in every sample.

    Raises:
        AdapterError: the folder has no readable safetensors weights.
    """
    tensors = _model_tensors(model)
    if not tensors:
        raise AdapterError(f"{model}: has no safetensors weights to identify it by")
    total = hashlib.sha256()
    names = sorted(tensors)
    sampled = set(names[:: max(1, len(names) // _SAMPLES)])
    for name in names:
        path, info = tensors[name]
        total.update(f"{name}\0{info.dtype}\0{info.shape}\n".encode())
        if name in sampled:
            with path.open("rb") as file:
                file.seek(info.start)
                total.update(file.read(min(_BYTES, info.end - info.start)))
    return total.hexdigest()


def check_lineage(model: Path, adapters: Sequence[Path | Lora]) -> None:
    """Refuse a chain of adapters that was not trained as one, or not on this model.

    Args:
        model: folder of the base model.
        adapters: what is applied to it together, oldest first: folders, or adapters that are open already.

    Raises:
        AdapterError: says which adapter, what it needs and what it would get.
    """
    if not adapters:
        return
    tensors = _model_tensors(model)
    digests: list[str] = []
    identity = ""
    for lora in open_all(adapters):
        folder = lora.folder
        _check_shapes(lora, tensors, model)
        lineage = read_lineage(folder)
        if lineage is not None:
            identity = identity or fingerprint(model)
            if lineage.model != identity:
                raise AdapterError(
                    f"{folder}: was trained on another model (fingerprint {lineage.model[:12]}) than {model} "
                    f"({identity[:12]}); its answers there would mean nothing"
                )
            if lineage.parents != tuple(digests):
                raise AdapterError(
                    f"{folder}: was trained on top of {_named(lineage.parents)}, and would be loaded on top of "
                    f"{_named(digests)}: the answers would come from a model that was never trained. "
                    "Give the manifest's entry the right on_top_of, or restore the parent's files"
                )
        digests += parts_of(lora)


_MAY_BE_TIED = ("lm_head", "embed_tokens")
FLOATS = ("F32", "F16", "BF16", "F64")
"""Types of weights that are not quantised."""


def _check_shapes(lora: Lora, tensors: dict[str, tuple[Path, TensorInfo]], model: Path) -> None:
    # A quantised layer has packed weights under several names (weight, qweight, weight_packed ...).
    layers = {name.rpartition(".")[0] for name in tensors}
    present = {module for module in lora.modules if module in layers}
    absent = [m for m in lora.modules if m not in present and m.rpartition(".")[2] not in _MAY_BE_TIED]
    # Some architectures name all their layers in files otherwise than in memory; then there is nothing to compare.
    if present and absent:
        raise AdapterError(
            f"{lora.folder}: {model} has no {', '.join(absent[:3])}{' ...' if len(absent) > 3 else ''}, for which the "
            f"adapter holds updates ({len(absent)} of {len(lora.modules)} modules); an engine would drop them silently"
        )
    for module in lora.modules:
        tensor = tensors.get(f"{module}.weight")
        if tensor is not None and tensor[1].dtype in FLOATS and tensor[1].shape != lora.shape(module):
            raise AdapterError(
                f"{lora.folder}: {module} was made for a layer of {lora.shape(module)}, {model} has {tensor[1].shape}: "
                "it belongs to another model"
            )


def _model_tensors(model: Path) -> dict[str, tuple[Path, TensorInfo]]:
    return {n: (path, info) for path in sorted(model.glob("*.safetensors")) for n, info in read_header(path).items()}


def _named(digests: Sequence[str]) -> str:
    return " and ".join(f"adapter {d[:12]}" for d in digests) or "the bare model"
