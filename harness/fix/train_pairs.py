"""The training of a fix: where it runs, how long it is, and what an earlier call has left of it.

    longest example -> memory counted -> ZeRO stage, GPUs -> updates that suit the examples -> trainer

What the memory decides (:mod:`trainers.placement`) is decided before anything starts, so that a plan says it and a
model that cannot fit costs no time. Trainers other than LLaMA-Factory are not counted: nobody knows what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import TrainingNotStarted
from harness.fix.display import Display
from harness.fix.estimate import estimate
from harness.fix.journal import Journal
from harness.fix.plan import FixPlan, fitted
from harness.fix.watched import watched_texts
from harness.language import tr
from harness.models.target import Target
from harness.pairs import Pair
from harness.project.settings import Settings
from harness.runs.progress import duration
from harness.safe.records import digest
from harness.store import Store
from trainers import Trainer, TrainRequest, TrainResult
from trainers.elsewhere import launch_elsewhere
from trainers.examples import learnt_by, stage_examples
from trainers.launch import Launch
from trainers.llamafactory_trainer import LlamaFactory
from trainers.placement import PLACED, Placement, place

__all__ = ["PairTraining", "PlannedTraining"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTraining:
    """What a training would do."""

    updates: str
    """Updates, examples of each, epochs, processes, memory and time, in words."""
    placement: Placement


class PairTraining:
    """Trains on the pairs of one fix."""

    def __init__(
        self,
        plan: FixPlan,
        settings: Settings,
        store: Store,
        display: Display,
        journal: Journal,
        target: Target,
        *,
        trainer: Trainer,
        launch: Launch | None,
    ) -> None:
        """``launch``: processes that the call asks for; None: those of the recipe."""
        self._plan = plan
        self._settings = settings
        self._store = store
        self._display = display
        self._journal = journal
        self._target = target
        self._trainer = trainer
        self._launch = launch
        # A version that no engine takes as one LoRA is sampled from merged, and trained on as what it consists of.
        self._parents = (target.weights.path,) if target.weights else target.parents
        self._model = target.base_path or target.model_path

    def check_memory(self) -> None:
        """See that the failing prompts fit; their answers are not known yet, and take more.

        Raises:
            TrainerError: they do not, with the numbers and what would fit.
        """
        render = self._target.renderer.prompt_ids
        prompts = (render(r.case.messages, r.case.chat_template_kwargs) for r in self._plan.training)
        self._placed(max(map(len, prompts), default=1), self._processes())

    def train(
        self, pairs: Sequence[Pair], after: float | None, give_way: Callable[[], None] = lambda: None
    ) -> TrainResult:
        """Train, or take the result of an earlier call.

        Args:
            pairs: what to learn from.
            after: seconds that the checkpoints and the suite will take; None: not known.
            give_way: called before a training begins, so that an engine gives back the memory that it needs.

        Raises:
            TrainerError: it does not fit, or did not end well.
        """
        plan = self._plan
        placement = self._placed(self._longest(pairs), self._processes())
        recipe = fitted(placement.recipe, self._examples(pairs), placement.launch)
        # What the memory of this machine decides is no part of what was asked for.
        fields = {k: v for k, v in recipe.to_mapping().items() if k not in PLACED}
        asked = digest([plan.stage, fields, recipe.per_update, pairs, self._target.digest])
        if (earlier := self._journal.trained(asked)) is not None:
            return earlier
        facts: dict[str, Any] = {"pairs": len(pairs)}
        then = (
            "" if after is None else tr("; then about {time} for the checkpoints and the suite", time=duration(after))
        )
        self._display.step(tr("training {name} on {n} pairs", name=plan.name, n=len(pairs)) + then)
        for note in placement.notes:
            self._display.step(note)
        self._journal.record("started", facts)
        request = TrainRequest.from_pairs(
            stage=plan.stage, model_path=self._model, parents=self._parents,
            recipe=recipe, output=self._journal.folder, resume=self._journal.resume, pairs=pairs,
            renderer=self._target.renderer, deadlines=self._settings.deadlines,
            watched=watched_texts(plan.results, self._target.renderer),
            trust_remote_code=self._target.model is not None and self._target.model.trust_remote_code,
            launch=placement.launch,
        )  # fmt: skip
        give_way()
        try:
            trained = self._trainer.train(request, self._display.training)
        except (KeyboardInterrupt, TrainingNotStarted):
            self._journal.record("interrupted", facts)
            raise
        except Exception as error:
            self._journal.record("failed", {**facts, "error": str(error)})
            raise
        self._journal.save_trained(trained, asked)
        self._journal.record("trained", {**facts, "steps": trained.steps, "seconds": trained.seconds})
        return trained

    def planned(self, pairs: Sequence[Pair], after: float | None) -> PlannedTraining:
        """What a training would do; the plan may be for a machine with other GPUs than this one.

        Args:
            pairs: what to learn from.
            after: seconds that the checkpoints and the suite will take; None: not known.

        Raises:
            TrainerError: it does not fit.
        """
        recipe, examples = self._plan.recipe, self._examples(pairs)
        launch = self._launch
        if launch is None:
            launch = Launch.on_gpus(recipe.gpus, deepspeed=recipe.deepspeed, only_planned=True)
        placement = self._placed(self._longest(pairs), launch)
        recipe = fitted(placement.recipe, examples, placement.launch)
        needs = estimate(recipe, examples, placement, self._model, self._store, after)
        updates = f"{recipe.updates_text(examples, placement.launch.world_size)}; {needs}"
        return PlannedTraining(updates=updates, placement=placement)

    def _processes(self) -> Launch:
        """The processes that are asked for; a call that goes on takes those of the call that it goes on with."""
        if self._launch is not None:
            return self._launch
        recipe = self._plan.recipe
        launch = Launch.on_gpus(recipe.gpus, deepspeed=recipe.deepspeed)
        if not self._journal.resume:
            return launch
        return launch_elsewhere(self._journal.folder, launch, self._settings.slurm)

    def _placed(self, longest: int, launch: Launch) -> Placement:
        recipe = self._plan.recipe
        if not isinstance(self._trainer, LlamaFactory):
            return Placement(recipe=recipe, launch=launch)
        return place(self._model, recipe, self._plan.stage, launch, longest, parents=len(self._parents))

    def _longest(self, pairs: Sequence[Pair]) -> int:
        """Tokens of the longest example that is trained on; longer ones are left out or refused."""
        limit = self._plan.recipe.cutoff_len
        lengths = (e.length for e in stage_examples(self._plan.stage, pairs, self._target.renderer))
        return max((n for n in lengths if n <= limit), default=limit)

    def _examples(self, pairs: Sequence[Pair]) -> int:
        return len(learnt_by(self._plan.stage, pairs)) * (2 if self._plan.stage == "kto" else 1)
