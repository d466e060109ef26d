"""How to train, as one frozen value; checked whole before anything starts, all problems in one message.

A recipe is a TOML file: one of those shipped in ``trainers/recipes`` (by name) or a project's own (by path). It holds
what concerns learning and hardware. What concerns one training (data, model, parents, folder) is in
:class:`~trainers.base.TrainRequest`. Fields have this project's names, with one meaning each, and
:mod:`trainers.arguments` translates them. Not supported: passing LLaMA-Factory's own keys through. Half of them are
silently ignored in some combination (refused below where known), and none could be checked.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness.errors import SettingsError
from harness.safe.nearest import nearest_name
from harness.safe.read import read_object, read_toml, reason
from harness.safe.validate import field_problems, listed, number, whole
from trainers.launch import parse_devices, uses_deepspeed

__all__ = ["Recipe", "named_recipe", "recipe_names"]

_FOLDER = Path(__file__).parent / "recipes"
_ModuleName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_.]*\Z", description="a module name")]
_Steps = Annotated[int, whole(1, 10**9)]
_Variables = Annotated[Mapping[str, str], msgspec.Meta(description='a table of NAME = "text"')]
_OPTIONAL = (
    "quantization", "deepspeed", "max_steps", "max_samples", "save_steps", "threads", "least_steps", "most_steps",
)  # fmt: skip
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_DEEPSPEED = ("none", "zero2", "zero3", "zero2-offload", "zero3-offload")
_FORBIDDEN_LOSSES = ("hinge", "ipo", "kto_pair")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Hyperparameters of one training. The defaults are LLaMA-Factory's where nothing better is known."""

    name: str = "custom"
    tuning: Literal["lora", "full"] = "lora"
    lora_rank: Annotated[int, whole(1, 1024)] = 8
    lora_alpha: Annotated[float, number(1e-3, 8192)] = 16
    """The update is scaled by ``lora_alpha / lora_rank``."""
    lora_dropout: Annotated[float, number(0, 0.9)] = 0.0
    """sft only; preference stages turn dropout off."""
    lora_targets: Annotated[tuple[_ModuleName, ...], listed("module names", minimum=1)] = ("all",)
    """Names of the linear layers that get a LoRA; ``all`` is every one but the output layer."""
    additional_targets: Annotated[tuple[_ModuleName, ...], listed("module names")] = ()
    """Modules trained in full and saved with the adapter (needed after a vocabulary resize; vLLM refuses such
    adapters)."""
    resize_vocab: bool = False
    quantization: Literal[4, 8] | None = None
    """Bits of the frozen model's weights (QLoRA; needs bitsandbytes and a GPU)."""
    learning_rate: Annotated[float, number(0, 1)] = 1e-4
    epochs: Annotated[float, number(1e-3, 1000)] = 1.0
    max_steps: _Steps | None = None
    """Ends before ``epochs`` when given."""
    least_steps: _Steps | None = None
    """``harness fix``: more epochs when ``epochs`` would make fewer updates: three cases need as many as fifteen."""
    most_steps: _Steps | None = None
    """``harness fix``: fewer epochs when they would make more updates, but never less than one."""
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup: Annotated[float, number(0, 0.9)] = 0.1
    """Share of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, number(0, 1)] = 0.0
    max_grad_norm: Annotated[float, number(0, 1e6)] = 1.0
    cutoff_len: Annotated[int, whole(8, 2**20)] = 4096
    """Maximum of tokens of prompt and answer together. Nothing is ever cut: see ``over_long``."""
    over_long: Literal["error", "drop"] = "error"
    """What becomes of an example over ``cutoff_len``: refuse to train, or leave it out and say so."""
    val_size: Annotated[float, number(0, 0.9)] = 0.0
    """Share of the prompts that is held back and evaluated; never a prompt on both sides."""
    max_samples: _Steps | None = None
    """Train on the first so many examples."""
    batch_size: Annotated[int, whole(1, 4096)] = 1
    """Maximum of examples (pairs) that a device holds at a time; with ``accumulation``, the examples of an update."""
    accumulation: Annotated[int, whole(1, 4096)] = 1
    """``batch_size * accumulation`` examples make an update, on any number of devices: more devices divide the work."""
    pref_beta: Annotated[float, number(1e-4, 100)] = 0.1
    """DPO and KTO: strength of the pull towards the reference."""
    pref_loss: Literal["sigmoid", "orpo", "simpo"] = "sigmoid"
    """dpo: ``sigmoid`` is DPO (Rafailov et al. 2023); ``orpo`` (Hong et al. 2024) and ``simpo`` (Meng et al. 2024) need
    no reference and take means over tokens. SimPO wants a ``pref_beta`` of 0.5 to 2, ends answers more often and
    makes them shorter."""
    pref_ftx: Annotated[float, number(0, 100)] = 0.0
    """Weight of the chosen answers' mean negative log-likelihood beside the preference loss."""
    unlikelihood: Annotated[float, number(0, 100)] = 0.0
    """dpo: weight of the mean of -log(1 - p) over what a rejected answer repeats (token unlikelihood, Welleck et al.
    2020, on the copied span as in DITTO). The preference loss saturates as soon as a loop is unlikely as a whole."""
    end_apart: bool = False
    """dpo: leave the end of a chosen answer out of the preference where the rejected one was cut off and has none, so
    that the comparison does not teach to end sooner; ``pref_ftx`` teaches the end all the same."""
    simpo_gamma: Annotated[float, number(0, 100)] = 0.5
    """SimPO's margin between the chosen and the rejected answer's mean log-probability, times ``pref_beta``."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Of activations; trained weights are always kept in fp32. ``auto``: bf16, or fp32 on a CPU that would emulate it.
    ``fp16`` needs a GPU."""
    attention: Literal["auto", "disabled", "sdpa", "fa2", "fa3"] = "auto"
    """LLaMA-Factory's ``flash_attn``: which implementation of attention; ``fa2`` needs the package flash-attn."""
    liger_kernels: bool = False
    """LLaMA-Factory's ``enable_liger_kernel``: fused kernels for norms, rotary embeddings and activations on a GPU;
    needs the package liger-kernel."""
    adam_beta2: Annotated[float, number(0, 0.999999)] = 0.999
    gradient_checkpointing: bool = True
    """Compute activations twice to hold fewer of them; slower, and needless for a small model."""
    pack_pairs: bool = True
    """dpo: compute what the answers of a pair share once, logits at answer tokens only, and LoRA layers in one step;
    where the model does not allow it, LLaMA-Factory's own step is taken."""
    cache_reference: bool = True
    """Remember the reference's log-probabilities from the first epoch on (one process only)."""
    deepspeed: str | None = None
    """``none``, ``zero2``, ``zero3``, ``zero2-offload``, ``zero3-offload``, or the path of a DeepSpeed configuration
    (.json). Left out: as the memory of the GPUs asks for, with gradient checkpointing and smaller batches where
    needed; what a recipe names is taken as it is."""
    ddp_timeout: Annotated[int, whole(1, 10**9)] = 1800
    """Seconds for which a process waits for the others."""
    gpus: str = ""
    """A number or a list such as ``0-7`` or ``0,2,5``; empty: one GPU, or the CPU where there is none."""
    threads: Annotated[int, whole(1, 1024)] | None = None
    """CPU threads a process; None: the cores divided among the processes."""
    parent: Literal["new", "continue"] = "new"
    """On a parent adapter: put a new LoRA on top (parent frozen, the exact reference), or train the parent's own
    further."""
    seed: Annotated[int, whole(0, 2**32 - 1)] = 42
    report_to: Literal["none", "tensorboard", "wandb"] = "none"
    save_steps: _Steps | None = None
    """Steps between checkpoints; None: about eight in a training."""
    keep_checkpoints: Annotated[int, whole(1, 1000)] = 8
    """Older ones are deleted."""
    environment: _Variables = dataclasses.field(default_factory=dict)
    """Variables for the training's processes: NCCL_*, CUDA_*, CUTLASS_* ..."""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise SettingsError(f"recipe {self.name!r}: " + "; ".join(problems))

    @property
    def uses_deepspeed(self) -> bool:
        """Whether the training is started with DeepSpeed."""
        return uses_deepspeed(self.deepspeed)

    @property
    def zero_stage(self) -> int:
        """DeepSpeed's ZeRO stage; 0 without DeepSpeed.

        Raises:
            SettingsError: the configuration cannot be read, or names no stage.
        """
        if not self.uses_deepspeed or self.deepspeed is None:
            return 0
        if self.deepspeed in _DEEPSPEED:
            return int(self.deepspeed[4])
        stage = self._own_zero().get("stage", 0)
        if type(stage) is not int or not 0 <= stage <= 3:
            raise SettingsError(f"deepspeed = {self.deepspeed!r}: zero_optimization.stage = {stage!r} (expected 0..3)")
        return stage

    @property
    def offloads(self) -> tuple[bool, bool]:
        """Whether optimizer states, and whether weights, lie in the machine's memory and not on the GPUs.

        Raises:
            SettingsError: the configuration cannot be read.
        """
        if not self.uses_deepspeed or self.deepspeed in _DEEPSPEED:
            offload = str(self.deepspeed).endswith("-offload")
            return offload, offload and self.zero_stage == 3
        places = (self._own_zero().get(f"offload_{part}") for part in ("optimizer", "param"))
        optimizer, weights = (isinstance(p, Mapping) and p.get("device") in ("cpu", "nvme") for p in places)
        return optimizer, weights

    def _own_zero(self) -> Mapping[str, Any]:
        """The part on ZeRO of a DeepSpeed configuration that is a file of the user's."""
        try:
            zero = read_object(Path(str(self.deepspeed)).expanduser()).get("zero_optimization", {})
        except (OSError, ValueError) as error:
            raise SettingsError(f"deepspeed = {self.deepspeed!r}: cannot be read: {reason(error)}") from error
        if not isinstance(zero, Mapping):
            raise SettingsError(f"deepspeed = {self.deepspeed!r}: cannot be read: zero_optimization is no object")
        return zero

    @property
    def per_update(self) -> int:
        """Examples whose gradients make one update; the number of processes divides them and does not multiply them."""
        return self.batch_size * self.accumulation

    def share(self, processes: int) -> tuple[int, int]:
        """Batch size and accumulation of each of so many processes, so that an update has ``per_update`` examples.

        Where that is not possible (fewer examples than processes, or no divisor), the nearest possible number.
        """

        def distance(size: int) -> tuple[int, int]:
            return abs(processes * size * _accumulated(self.per_update, processes * size) - self.per_update), -size

        size = min(range(1, self.batch_size + 1), key=distance)
        return size, _accumulated(self.per_update, processes * size)

    def updates_per_epoch(self, examples: int, processes: int) -> int:
        """Updates in which so many examples are seen once."""
        size, accumulation = self.share(processes)
        return max(1, math.ceil(math.ceil(examples / (size * processes)) / accumulation))

    def updates(self, examples: int, processes: int) -> int:
        """Updates of the whole training on so many examples."""
        return self.max_steps or max(1, math.ceil(self.epochs * self.updates_per_epoch(examples, processes)))

    def updates_text(self, examples: int, processes: int) -> str:
        """``40 updates of 4 examples (2.5 epochs, 1 process)``, and whether the processes change the recipe."""
        size, accumulation = self.share(processes)
        actual = size * accumulation * processes
        each, steps = self.updates_per_epoch(examples, processes), self.updates(examples, processes)
        count = f"{processes} process{'es' if processes > 1 else ''}"
        changed = "" if actual == self.per_update else f"; the recipe says {self.per_update} examples an update"
        return f"{steps} updates of {actual} examples ({steps / each:.3g} epochs, {count}){changed}"

    def problems_for(self, stage: str, *, parents: int = 0, cuda: bool = True) -> list[str]:
        """What speaks against this recipe for that stage, so many parent adapters and those devices, one line each."""
        problems = []
        if self.quantization is not None and not cuda:
            problems.append(
                f"quantization = {self.quantization} needs an NVIDIA GPU: bitsandbytes trains quantised weights with "
                "CUDA kernels only, and this training would run on the CPU"
            )
        if self.precision == "fp16" and not cuda:
            problems.append("precision = 'fp16' needs an NVIDIA GPU; use bf16 or fp32")
        if self.attention in ("fa2", "fa3") and not cuda:
            problems.append(f"attention = {self.attention!r} needs an NVIDIA GPU")
        if self.liger_kernels and not cuda:
            problems.append("liger_kernels needs an NVIDIA GPU: its kernels are written in Triton")
        if stage == "kto" and self.pref_loss != "sigmoid":
            problems.append(f"pref_loss = {self.pref_loss!r} is for dpo; kto has its own loss")
        if stage != "dpo" and self.unlikelihood:
            problems.append("unlikelihood is for dpo: it unlearns what rejected answers of pairs repeat")
        if self.end_apart and (stage != "dpo" or self.pref_loss != "sigmoid"):
            problems.append("end_apart is for dpo with pref_loss = 'sigmoid': other losses take means of whole answers")
        if stage == "sft" and self.pref_ftx:
            problems.append("pref_ftx is for dpo and kto; sft is nothing but that loss")
        if parents and self.tuning == "full" and self.parent == "continue":
            problems.append("tuning = 'full' trains no LoRA further; use parent = 'new'")
        return problems

    def _problems(self) -> Iterator[str]:
        yield from self._wrong_values()
        if self.pref_loss in _FORBIDDEN_LOSSES:
            yield f"pref_loss = {self.pref_loss!r} would silently train sigmoid DPO (LLaMA-Factory 0.9.5 with trl 0.24)"
        zero3 = False
        if isinstance(self.deepspeed, str):
            if self.deepspeed not in _DEEPSPEED and not self.deepspeed.endswith(".json"):
                yield f"deepspeed = {self.deepspeed!r} (expected {', '.join(_DEEPSPEED)}, or the path of a .json file)"
            else:
                try:
                    zero3 = self.zero_stage == 3
                except SettingsError as error:
                    yield str(error)
        if self.quantization is not None:
            if self.tuning == "full":
                yield "quantization needs tuning = 'lora'"
            if zero3 and self.quantization != 4:
                yield "quantization = 8 does not work with ZeRO-3; use 4, or zero2"
            if self.resize_vocab:
                yield "quantization does not go together with resize_vocab"
        if self.resize_vocab and not self.additional_targets and self.tuning == "lora":
            yield "resize_vocab needs additional_targets (embedding and output layer): new rows stay random otherwise"
        if self.additional_targets and self.tuning == "full":
            yield "additional_targets needs tuning = 'lora'; full tuning trains every module"

    def _wrong_values(self) -> Iterator[str]:
        wrong = field_problems(self)
        if self.pref_loss in _FORBIDDEN_LOSSES:
            del wrong["pref_loss"]
        yield from wrong.values()
        if self.learning_rate == 0:
            yield "learning_rate = 0 would train nothing"
        for key, value in self.environment.items() if "environment" not in wrong else ():
            if not _VARIABLE.fullmatch(key) or "\0" in value:
                yield f'environment.{key} = {value!r} (expected NAME = "text")'
        if "gpus" not in wrong and self.gpus.strip():
            # The form only; which devices there are is known where the training starts.
            try:
                parse_devices(self.gpus, tuple(range(1024)))
            except SettingsError as error:
                yield str(error).partition("; this machine has")[0]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Recipe | None = None) -> Recipe:
        """``base`` (or the defaults) with ``values`` over it.

        Raises:
            SettingsError: an unknown name or a wrong value; all problems in one message.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        for name in _OPTIONAL:
            # TOML has no null. No DeepSpeed is a choice of its own, and not the same as none named.
            if given.get(name) in ("none", "off", ""):
                given[name] = "none" if name == "deepspeed" and given[name] else None
        if isinstance(given.get("gpus"), int) and not isinstance(given["gpus"], bool):
            given["gpus"] = str(given["gpus"])
        problems = []
        for name in sorted(set(given) - known):
            near = nearest_name(name, known)
            problems.append(f"unknown field {name!r}" + (f" (did you mean {near!r}?)" if near else ""))
        start = base or cls()
        try:
            changed = dataclasses.replace(start, **{k: v for k, v in given.items() if k in known})
        except SettingsError as error:
            problems.append(str(error).partition(": ")[2])
        if problems:
            raise SettingsError(f"recipe {given.get('name', start.name)!r}: " + "; ".join(problems))
        return changed

    def to_mapping(self) -> dict[str, Any]:
        """Every field as plain data; what is kept with a training."""
        data = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}


def _accumulated(per_update: int, at_once: int) -> int:
    return max(1, round(per_update / at_once))


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that ship."""
    return tuple(sorted(p.stem for p in _FOLDER.glob("*.toml")))


def named_recipe(name: str, **changes: Any) -> Recipe:
    """The recipe ``name`` (shipped, or a path that ends in .toml), with every change that is not None over it.

    Raises:
        SettingsError: no such recipe, not TOML, or wrong fields; all problems in one message.
    """
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in recipe_names():
        raise SettingsError(f"no recipe {name!r}; known: {', '.join(recipe_names())}, or the path of a .toml file")
    try:
        values = read_toml(path)
    except OSError as error:
        raise SettingsError(f"recipe {name}: cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise SettingsError(f"recipe {name}: not readable as TOML: {error}") from error
    given = {k: v for k, v in changes.items() if v is not None}
    try:
        return Recipe.from_mapping({"name": path.stem} | values | given)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") if name.endswith(".toml") else error from error
