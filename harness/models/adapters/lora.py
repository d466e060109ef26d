"""The update that a LoRA makes to one layer: scale x B A, in float32.

Reference: Hu et al. 2021 (arXiv 2106.09685), W' = W + (alpha / r) B A; with rank-stabilised scaling (Kalajdzievski
2023, arXiv 2312.03732) alpha / sqrt(r). Ranks and alphas may differ by layer (``rank_pattern``, ``alpha_pattern``,
matched on the end of a module's name as peft does).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import AdapterError
from harness.models.adapters.config import read_config
from harness.models.adapters.folder import CONFIG, WEIGHTS, check
from harness.models.adapters.tensors import TensorFile

__all__ = ["Lora", "open_all"]

_PREFIX = "base_model.model."
_BASE_LAYER = ".base_layer.weight"


class Lora:
    """One adapter folder: read, checked and hashed once, and handed on as this value."""

    def __init__(self, folder: Path) -> None:
        """Open and check.

        Raises:
            AdapterError: damaged, or of a kind whose update is not scale x B A (DoRA).
        """
        self.folder = folder
        self.facts = check(folder)
        self.config = read_config(folder / CONFIG)
        if self.facts.dora:
            raise AdapterError(
                f"{folder}: use_dora = true: DoRA's update depends on the weights below it and cannot be added up; "
                "merge it with peft and register the model"
            )
        self._file = TensorFile(folder / WEIGHTS)
        self._names = {module: (a, b) for module, a, b in self._modules()}

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the adapted modules as the model calls them, sorted."""
        return tuple(sorted(self._names))

    @property
    def canonical(self) -> bool:
        """Whether its tensors have the names that every engine reads: no adapter's name in them (``.default.``)."""
        wanted = {f"{_PREFIX}{m}.lora_{side}.weight" for m in self._names for side in "AB"}
        return {name for pair in self._names.values() for name in pair} == wanted

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of the tensors that take the place of the model's (``modules_to_save``), sorted; no LoRA, no sum."""
        return tuple(name for name in self.facts.extras if not name.endswith(_BASE_LAYER))

    def base_layer(self, module: str) -> NDArray[np.float32] | None:
        """The model's own weights of a module, where peft saved them beside its LoRA (an output layer)."""
        name = f"{_PREFIX}{module}{_BASE_LAYER}"
        return self._file.array(name).astype(np.float32, copy=False) if name in self._file.tensors else None

    def whole_array(self, tensor: str) -> NDArray[np.float32]:
        """A tensor of :attr:`whole`."""
        name = tensor if tensor in self._file.tensors else _PREFIX + tensor
        return self._file.array(name).astype(np.float32, copy=False)

    def whole_shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor of :attr:`whole`."""
        return self._file.tensors[tensor if tensor in self._file.tensors else _PREFIX + tensor].shape

    def matrices(self, module: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``A`` (rank x inputs) and ``B`` (outputs x rank), the scale multiplied into ``B``."""
        first, second = self._names[module]
        a, b = (self._file.array(n).astype(np.float32, copy=False) for n in (first, second))
        return a, b * np.float32(self.scale(module, a.shape[0]))

    def shape(self, module: str) -> tuple[int, int]:
        """Outputs and inputs of the layer that the module must be."""
        first, second = (self._file.tensors[n].shape for n in self._names[module])
        return second[0], first[1]

    def scale(self, module: str, rank: int) -> float:
        """What the product is multiplied by."""
        alpha = float(_pattern(self.config.get("alpha_pattern"), module, self.config["lora_alpha"]))
        return alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank

    def _modules(self) -> Iterator[tuple[str, str, str]]:
        for name in self._file.tensors:
            if ".lora_A." in name:
                yield name.partition(".lora_A.")[0].removeprefix(_PREFIX), name, name.replace(".lora_A.", ".lora_B.")


def open_all(adapters: Iterable[Path | Lora]) -> list[Lora]:
    """The adapters, each opened, checked and hashed once; an adapter that is open already is taken as it is."""
    return [adapter if isinstance(adapter, Lora) else Lora(adapter) for adapter in adapters]


def _pattern(patterns: Any, module: str, default: Any) -> Any:
    for key, value in dict(patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return default
