"""How much memory a training takes on each GPU: arithmetic before a model is loaded for minutes and runs out of memory.

Symbols: P parameters, T trained ones, N processes, L layers, h hidden size, q = heads x size of a head, k = heads of
keys x size of a head, i width of the feed-forward layers, V vocabulary, n tokens that a process holds at a time (a
preference pair counts with both answers), e bytes of a number (2 in bfloat16, 4 in float32).

    weights      e P, of a quantised model its linear layers in 4 or 8 bits; / N in ZeRO-3. Trained weights in float32
                 without DeepSpeed: 4 T more for a LoRA, and 4 P with a copy in e for full tuning
    reference    e P once more, / N in ZeRO-3, where a preference stage needs a model of its own to measure against:
                 for full tuning, and for a parent that is trained further. A new LoRA is switched off instead
    gathered     ZeRO-3: e x max(10^9, the largest tensor), at most e P: what its configuration keeps whole at a time
    gradients    4 T, twice with several processes, whose buckets hold them again; e T with DeepSpeed, / N from ZeRO-2
                 on, and a bucket of 5 x 10^8 numbers in ZeRO-2
    optimizer    Adam: 8 T; with DeepSpeed also the weights in float32, 12 T, / N from ZeRO-1 on. Rajbhandari et al.,
                 ZeRO (arXiv 1910.02054, section 3.1 and figure 1)
    activations  L x n x A, with A = 8 h + e (2 h + 2 q + 2 k + 4 i) bytes a token; with gradient checkpointing
                 L x n x e h and one layer's n x A. Counted as by Korthikanti et al. (arXiv 2205.05198, section 4) for
                 layers of today: two norms that keep their input in float32, inputs of the two blocks, queries, keys,
                 values, the attention's output, and four tensors of the gated feed-forward layer. Attention that is not
                 fused (``attention = "disabled"``) adds their 5 x heads x n x (tokens of an example) a layer
    logits       14 n V for SFT: logits, in float32, their log-softmax, and the gradients of both. 16 n V for DPO and
                 KTO, whose reference pass through the same model needs as much while the first is held
    rest         3 GiB: CUDA context, buffers of NCCL, pieces that nothing fits into

Trade-off: it is an estimate from config.json and the files' headers, with LLaMA-Factory's own steps; those of
:mod:`trainers.worker.dpo_step` take less. Models that do not say their shape, and models whose files are quantised, are
not judged. Not measured on a GPU yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import AdapterError, ManifestError
from harness.models.adapters.tensors import read_header
from harness.models.description import describe_model
from harness.models.processor import multiplies_bfloat16
from trainers.launch import Launch
from trainers.recipe import Recipe

__all__ = ["GIB", "ModelSize", "Need", "Parts", "model_size", "need_of", "number_bytes", "trained_parameters"]

GIB = 2**30
_REST = 3 * GIB
_LIVE = 10**9
"""stage3_max_live_parameters of the shipped configurations."""
_BUCKET = 5 * 10**8
"""reduce_bucket_size of the shipped configurations of ZeRO-2."""
_QUANTISED = {4: 4.127, 8: 8.0}
"""Bits a weight; 4 bits with the constants of double quantisation (Dettmers et al., QLoRA, arXiv 2305.14314)."""
_NOT_LINEAR = ("embed", "lm_head", "wte", "wpe", "output.weight")
"""In names of matrices that ``lora_targets = ["all"]`` leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """A model in numbers."""

    layers: int
    hidden: int
    heads: int
    queries: int
    """Heads x size of a head."""
    keys: int
    """Heads of keys x size of a head."""
    inner: int
    """Width of the feed-forward layers that one token passes."""
    vocabulary: int
    dtype: str
    parameters: int
    largest: int
    """Parameters of the largest tensor."""
    linear: tuple[tuple[str, int, int], ...]
    """Name without ``.weight``, outputs and inputs of each linear layer but the output layer."""
    others: tuple[tuple[str, int], ...] = ()
    """Names and parameters of the other modules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Bytes of one process on its GPU, by what they hold."""

    weights: int
    gathered: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    rest: int
    reference: int = 0

    @property
    def total(self) -> int:
        return self.states + self.passing + self.rest

    @property
    def states(self) -> int:
        """What is there all the time, whatever the examples are: the part that more GPUs or ZeRO divide."""
        return self.weights + self.reference + self.gathered + self.gradients + self.optimizer

    @property
    def passing(self) -> int:
        """What the examples of a step take: the part that smaller batches and shorter examples divide."""
        return self.activations + self.logits

    def named(self) -> Iterator[tuple[str, int]]:
        """Names and bytes of the parts that are not empty."""
        for name in ("weights", "reference", "gathered", "gradients", "optimizer", "activations", "logits", "rest"):
            if size := getattr(self, name):
                yield ("gathered weights" if name == "gathered" else name), size

    def __str__(self) -> str:
        return " + ".join(f"{name} {size / GIB:.1f}" for name, size in self.named()) + f" = {self.total / GIB:.1f} GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a training takes."""

    each: Parts
    """Of each process."""
    host: int
    """Bytes in the memory of each machine, for what is offloaded."""
    tokens: int
    """Tokens that a process holds at a time."""


def model_size(folder: Path) -> ModelSize | None:
    """The model in ``folder`` in numbers; None where it does not say them, or its files are quantised."""
    try:
        about = describe_model(folder)
        tensors = {n: i for path in sorted(folder.glob("*.safetensors")) for n, i in read_header(path).items()}
    except (ManifestError, AdapterError, OSError):
        return None
    known = about.layers and about.heads and about.kv_heads and about.head_size and about.hidden_size
    if not known or not about.vocabulary or not about.active_inner_size or about.quantization or not tensors:
        return None
    assert about.layers and about.heads and about.kv_heads and about.head_size and about.hidden_size
    sizes = {name: math.prod(info.shape) for name, info in tensors.items()}
    matrices = {n: i.shape for n, i in tensors.items() if len(i.shape) == 2 and n.endswith(".weight")}
    linear = {n: shape for n, shape in matrices.items() if not any(word in n for word in _NOT_LINEAR)}
    return ModelSize(
        layers=about.layers, hidden=about.hidden_size, heads=about.heads, queries=about.heads * about.head_size,
        keys=about.kv_heads * about.head_size, inner=about.active_inner_size, vocabulary=about.vocabulary,
        dtype=about.dtype, parameters=sum(sizes.values()), largest=max(sizes.values()),
        linear=tuple((n.removesuffix(".weight"), *shape) for n, shape in linear.items()),
        others=tuple((n.removesuffix(".weight"), size) for n, size in sizes.items() if n not in linear),
    )  # fmt: skip


def trained_parameters(size: ModelSize, recipe: Recipe) -> int:
    """Parameters that a training changes."""
    if recipe.tuning == "full":
        return size.parameters
    every = "all" in recipe.lora_targets
    lora = sum(o + i for name, o, i in size.linear if every or _named(name, recipe.lora_targets))
    whole = sum(n for name, n in size.others if _named(name, recipe.additional_targets))
    whole += sum(o * i for name, o, i in size.linear if _named(name, recipe.additional_targets))
    return recipe.lora_rank * lora + whole


def number_bytes(size: ModelSize, recipe: Recipe, *, cuda: bool) -> int:
    """Bytes of a weight and of an activation, as LLaMA-Factory loads the model."""
    if recipe.precision == "fp32" or (recipe.precision == "auto" and not cuda and not multiplies_bfloat16()):
        # Without bf16 or fp16 the model keeps its own type on a GPU, and has float32 on a CPU.
        return 2 if cuda and size.dtype in ("bfloat16", "float16") else 4
    return 2


def need_of(size: ModelSize, recipe: Recipe, stage: str, launch: Launch, longest: int, *, parents: int = 0) -> Need:
    """What each process of a training needs.

    Args:
        size: of the model.
        recipe: how it is trained.
        stage: ``sft``, ``dpo`` or ``kto``.
        launch: processes and devices.
        longest: tokens of the longest example, of a pair of its longer answer.
        parents: number of adapters below the new one, or of those that are trained further.
    """
    cuda, world, zero = bool(launch.devices), launch.world_size, recipe.zero_stage
    number = number_bytes(size, recipe, cuda=cuda)
    trained = trained_parameters(size, recipe)
    offloaded, weights_offloaded = recipe.offloads
    apart = world if zero >= 1 else 1
    examples = recipe.share(world)[0] * (2 if stage == "dpo" else 1)
    tokens = examples * longest
    full = recipe.tuning == "full"
    if recipe.uses_deepspeed:
        weights = _base(size, recipe, number) + (0 if full else number * trained)
        gradients = number * trained // (world if zero >= 2 else 1) + (number * _BUCKET if zero == 2 else 0)
        optimizer = 12 * trained // apart
    else:
        # Casts of trained weights are kept for the step, so full tuning has them in both types.
        weights = (4 + (number if number < 4 else 0)) * size.parameters if full else (
            _base(size, recipe, number) + 4 * trained
        )  # fmt: skip
        gradients, optimizer = 4 * trained * (2 if world > 1 else 1), 8 * trained
    reference = _base(size, recipe, number) if _second_model(recipe, stage, parents) else 0
    gathered = 0
    if zero == 3:
        reference //= world
        gathered = number * min(size.parameters, max(_LIVE, size.largest))
        weights = 0 if weights_offloaded else weights // world
    host = launch.processes * (
        (12 * trained // apart if offloaded else 0) + (number * size.parameters // world if weights_offloaded else 0)
    )
    return Need(
        each=Parts(
            weights=weights, gathered=gathered, gradients=gradients, optimizer=0 if offloaded else optimizer,
            activations=_activations(size, recipe, number, examples, longest),
            logits=(14 if stage == "sft" else 16) * tokens * size.vocabulary, rest=_REST if cuda else 0,
            reference=reference,
        ),
        host=host, tokens=tokens,
    )  # fmt: skip


def _second_model(recipe: Recipe, stage: str, parents: int) -> bool:
    """Whether LLaMA-Factory loads the reference as a model of its own."""
    measures = stage == "kto" or (stage == "dpo" and recipe.pref_loss == "sigmoid")
    return measures and (recipe.tuning == "full" or (parents > 0 and recipe.parent == "continue"))


def _activations(size: ModelSize, recipe: Recipe, number: int, examples: int, longest: int) -> int:
    tokens = examples * longest
    inner = 2 * size.hidden + 2 * size.queries + 2 * size.keys + 4 * size.inner
    layer = tokens * (8 * size.hidden + number * inner)
    if recipe.attention == "disabled":
        layer += 5 * size.heads * tokens * longest
    if recipe.gradient_checkpointing:
        return size.layers * tokens * number * size.hidden + layer
    return size.layers * layer


def _base(size: ModelSize, recipe: Recipe, number: int) -> int:
    """Bytes of the model's own weights."""
    if recipe.quantization is None:
        return number * size.parameters
    linear = sum(o * i for _, o, i in size.linear)
    return int(linear * _QUANTISED[recipe.quantization] / 8) + number * (size.parameters - linear)


def _named(name: str, targets: Sequence[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)
