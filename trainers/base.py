"""The interface of every trainer: what trains an adapter implements it.

There is one method, so LLaMA-Factory and the shipped fake are interchangeable and the fix loop knows neither. A trainer
gets token ids (:mod:`trainers.examples`) and never text, so that a training sees the tests' prompts. It writes below
``request.output`` only, into a folder that did not exist before. It returns weights that were checked, or raises; there
is no partial result. Not supported: several trainings behind one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from harness.project.deadlines import Deadlines
from trainers.examples import Example, PairLike, Renderer, stage_examples
from trainers.launch import Launch
from trainers.prompt_parity import Probe, probes
from trainers.recipe import Recipe

__all__ = [
    "Checkpoint",
    "Drift",
    "OnProgress",
    "Phase",
    "Stage",
    "TrainProgress",
    "TrainRequest",
    "TrainResult",
    "Trainer",
    "WatchedText",
]

Stage = Literal["sft", "dpo", "kto"]
Phase = Literal["preparing", "queued", "loading", "training", "saving"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """One training."""

    stage: Stage
    model_path: Path
    """Folder of the base model: configuration, tokenizer, safetensors."""
    examples: Iterable[Example]
    """What to learn from; read once, in order, and never held in memory whole."""
    recipe: Recipe
    output: Path
    """Folder that the training may write into; each attempt gets a folder of its own below it."""
    parents: tuple[Path, ...] = ()
    """Adapter folders that are applied to the model first, oldest first. ``recipe.parent`` says whether a new LoRA
    goes on top of them or the last one is trained further; they are also the reference that DPO and KTO measure
    against."""
    resume: bool = False
    """Go on from the last complete checkpoint of the last attempt in ``output``, if there is one."""
    resume_from: Path | None = None
    """Go on from this checkpoint, which may be of a training that the harness did not start."""
    trust_remote_code: bool = False
    """Whether Python code in the model's folder may run."""
    launch: Launch = field(default_factory=Launch)
    """Processes, devices and nodes."""
    probes: tuple[Probe, ...] = ()
    """Dialogues that the training must render as the tests do; a difference stops it."""
    watched: tuple[WatchedText, ...] = ()
    """Texts on which every checkpoint is compared with the model before."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    """After which a training that makes no step is ended."""

    @classmethod
    def from_pairs(
        cls,
        *,
        stage: Stage,
        model_path: Path,
        pairs: Sequence[PairLike],
        renderer: Renderer,
        recipe: Recipe,
        output: Path,
        parents: tuple[Path, ...] = (),
        resume: bool = False,
        watched: tuple[WatchedText, ...] = (),
        deadlines: Deadlines | None = None,
        trust_remote_code: bool = False,
        launch: Launch | None = None,
    ) -> TrainRequest:
        """A request whose examples are ``pairs``, as the stage learns from them, in the model's own chat template."""
        return cls(
            stage=stage,
            model_path=model_path,
            examples=stage_examples(stage, pairs, renderer),
            recipe=recipe,
            output=output,
            parents=parents,
            resume=resume,
            launch=launch or Launch.on_gpus(recipe.gpus, deepspeed=recipe.deepspeed),
            watched=watched,
            probes=probes(renderer, pairs[:4]),
            deadlines=deadlines or Deadlines(),
            trust_remote_code=trust_remote_code,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainProgress:
    """Where a training is."""

    phase: Phase
    step: int = 0
    total_steps: int = 0
    """0 while it is not known."""
    loss: float | None = None
    margin: float | None = None
    """Mean reward of chosen minus rejected answers in this step (nats, times beta)."""
    accuracy: float | None = None
    """Share of pairs whose chosen answer has the higher reward."""
    tokens_per_second: float | None = None
    elapsed: float = 0.0
    """Seconds since the training was asked for."""
    remaining: float | None = None
    """Seconds that the remaining steps will take at the speed so far."""
    detail: str = ""
    """What the user should know now: the scheduler's job and its state, or what the memory of the GPUs has decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedText:
    """A text that is not trained on, by which every checkpoint is compared with the model before the training."""

    kind: str
    """``ordinary``: running text that has nothing to do with the training; ``guard``: a guard's answer before."""
    prompt: tuple[int, ...]
    """Ids before the measured part; at least one."""
    answer: tuple[int, ...]
    """The measured ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far a checkpoint has moved away from the model before the training, on watched texts of one kind."""

    kind: str
    kl: float
    """Mean KL(before || now) over the tokens, in nats a token; the sum runs over the whole vocabulary."""
    before: float
    """Mean log-probability of the tokens by the model before, in nats a token."""
    now: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights as they were at one step; loadable like any adapter folder."""

    step: int
    path: Path
    drift: tuple[Drift, ...] = ()
    """By kind of text; empty where nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Weights that were checked, and how they came about."""

    adapter: Path
    """Folder with adapter_config.json and adapter_model.safetensors, nothing else."""
    digest: str
    """sha256 over both files."""
    steps: int
    seconds: float
    """Wall time from the request to the checked weights."""
    losses: tuple[tuple[int, float], ...]
    """(step, training loss), oldest first."""
    margins: tuple[tuple[int, float], ...] = ()
    """(step, mean reward margin); empty for sft."""
    accuracies: tuple[tuple[int, float], ...] = ()
    """(step, reward accuracy); empty for sft and kto."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Oldest first; the last is the adapter itself."""
    folder: Path | None = None
    """The attempt's folder: configuration, data, log, progress, checkpoints."""
    log: Path | None = None
    examples: int = 0
    notes: tuple[str, ...] = ()
    """Notes for the user: examples left out, processes used ..."""

    @property
    def loss(self) -> float | None:
        """Loss of the last step."""
        return self.losses[-1][1] if self.losses else None


OnProgress = Callable[[TrainProgress], object]


@runtime_checkable
class Trainer(Protocol):
    """Trains. A ``KeyboardInterrupt`` during :meth:`train` ends every process that it started."""

    def check(self) -> None:
        """Say whether a training could start at all, before anything is spent on its data.

        Raises:
            TrainerMissing: the trainer's environment is not installed.
        """
        ...

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        """Train and return checked weights.

        Raises:
            DataError: examples that would be dropped, truncated or taught wrongly; nothing was started.
            TrainerMissing: the trainer's environment is not installed; nothing was started.
            TrainingNotStarted: people start it on several machines; what to run is in the message.
            TrainerError: it did not end well; the message has the last log lines and the log's path.
        """
        ...
