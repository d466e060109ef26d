"""The fix: what failed in a run becomes pairs, the pairs a new adapter, and the suite runs again.

    failures -> candidates -> pairs -> training -> published, registered -> rerun -> comparison -> blessed or candidate

Every step leaves its result where a later call finds it (samples and answers in the store, pairs and checkpoints in the
training's folder, the state in the table ``trainings``), so that ``--resume`` goes on after a kill instead of beginning
again. Nothing is registered before the weights are published and checked, and registration is one atomic step: an
interrupted fix leaves no half-registered version. The display is the caller's; this module knows no terminal.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness.compare import Comparison
from harness.engines import open_engine
from harness.engines.base import Engine
from harness.errors import StoreError, UsageError
from harness.evaluation import Evaluation, Outcome
from harness.figures import figures
from harness.manifest import Adapter, Manifest, check_name, next_version, read_manifest, register, set_status
from harness.pairs import Pair, build_pairs, check_pairs, export_pairs, import_pairs, read_hand_made
from harness.pairs.candidates import Candidates, Sampling, draw_candidates
from harness.pairs.files import DATASET
from harness.promotion import Promotion, decide
from harness.results import CaseResult, Status
from harness.runner import OpenEngine, RunnerProgress
from harness.settings import Settings
from harness.store import Run, Store, Training
from harness.targets import resolve_target
from trainers import Trainer, TrainProgress, TrainRequest, TrainResult, open_trainer
from trainers.recipe import Recipe

__all__ = ["Display", "Fix", "FixPlan", "FixResult", "plan_fix"]


class Display(Protocol):
    """What a fix tells while it runs."""

    def step(self, text: str) -> None:
        """A new step begins."""

    def sampling(self, done: int, total: int) -> None:
        """Candidates are drawn."""

    def training(self, progress: TrainProgress) -> None:
        """The trainer is at work."""

    def running(self, progress: RunnerProgress) -> None:
        """The suite runs again."""


@dataclass(frozen=True, slots=True)
class FixPlan:
    """What a fix would do."""

    run: Run
    parent: Adapter
    name: str
    """The version that would be made."""
    failures: tuple[CaseResult, ...]
    """What is trained on: failing cases of role ``fix``."""
    others: tuple[CaseResult, ...]
    """Failing cases that are not: holdout and guard."""
    passing: tuple[CaseResult, ...]
    results: tuple[CaseResult, ...]
    """The whole run on the parent."""
    recipe: Recipe
    sampling: Sampling

    @property
    def folder_name(self) -> str:
        return f"{self.name}-{self.run.id}"


@dataclass(frozen=True, slots=True)
class FixResult:
    """What a fix came to."""

    adapter: Adapter
    trained: TrainResult
    pairs: tuple[Pair, ...]
    outcome: Outcome
    comparison: Comparison
    promotion: Promotion


def plan_fix(
    settings: Settings,
    store: Store,
    recipe: Recipe,
    *,
    adapter: str | None = None,
    run_id: str | None = None,
    name: str | None = None,
    sampling: Sampling | None = None,
) -> FixPlan | None:
    """Look at the last run and say what there is to fix; None when every case to train on passes.

    Args:
        settings: the project's.
        store: its store.
        recipe: how to train.
        adapter: the version to start from; the last run's last adapter when None.
        run_id: the run whose failures count; the newest finished one on the adapter when None.
        name: of the new version; the next free one when None.
        sampling: how candidates are drawn.

    Raises:
        StoreError: no finished run to learn from.
        ManifestError: an unknown adapter, or a name that is taken.
    """
    manifest = read_manifest(settings.manifest_path)
    if run_id is not None:
        run = store.run(run_id)
    else:
        runs = store.runs(adapter=adapter, finished=True, limit=1)
        if not runs:
            whom = f" on {adapter!r}" if adapter else ""
            raise StoreError(f"no finished run{whom} to fix; run first: pytest badcases --adapter {adapter or 'NAME'}")
        run = runs[0]
    if run.status != "finished":
        raise StoreError(f"run {run.id} is {run.status!r}: its results are not whole; run the suite again")
    parent = manifest.adapter(adapter or run.adapters[-1])
    results = store.results(run.id, adapter=parent.name)
    failing = [r for r in results if r.verdict.status is Status.FAIL]
    failures = tuple(r for r in failing if r.case.role == "fix")
    if not failures:
        return None
    new = check_name("adapter", name) if name else next_version(manifest, parent.name)
    if new in manifest.adapters:
        raise UsageError(f"--as {new!r}: that version exists already; take another name")
    return FixPlan(
        run, parent, new, failures, tuple(r for r in failing if r.case.role != "fix"),
        tuple(r for r in results if r.verdict.status is Status.PASS), results, recipe, sampling or Sampling(),
    )  # fmt: skip


class Fix:
    """One fix under way."""

    def __init__(
        self,
        plan: FixPlan,
        settings: Settings,
        store: Store,
        display: Display,
        *,
        engine: OpenEngine = open_engine,
        trainer: Trainer | None = None,
    ) -> None:
        self.plan = plan
        self.folder = settings.reports / "trainings" / plan.folder_name
        """Pairs, configuration, checkpoints and log of the training."""
        self._settings = settings
        self._store = store
        self._display = display
        self._open_engine = engine
        self._trainer = trainer or open_trainer(settings.trainer, settings.root)
        self._target = resolve_target(plan.parent.name, self._manifest(), settings, store)

    def check(self) -> None:
        """Make sure that what the training needs is there, before time is spent on its data.

        Raises:
            TrainerMissing: the trainer's environment is not installed.
        """
        self._trainer.check()

    def pairs(self, edited: Path | None = None) -> tuple[Pair, ...]:
        """The pairs to train on: ``edited``, else those that already lie in the training's folder, else made now.

        Raises:
            DataError: a pair teaches nothing, wrongly, or a protected case.
        """
        path = self.folder / DATASET
        if edited is not None or path.is_file():
            made = import_pairs(edited or path)
        else:
            self._display.step(f"drawing candidates on {self.plan.parent.name}")
            found = self._candidates()
            cases = [r.case for r in self.plan.failures]
            made = build_pairs(self.plan.failures, self.plan.passing, found.clean, found.branches, found.looping)
            made += read_hand_made(self._settings.badcases, cases)
        check_pairs(made, [r.case for r in self.plan.results])
        if edited is not None or not path.is_file():
            export_pairs(made, self.folder)
        return made

    def train(self, pairs: Sequence[Pair], *, resume: bool = False) -> TrainResult:
        """Train a LoRA on the pairs, in the trainer's environment."""
        self._display.step(f"training {self.plan.name} on {len(pairs)} pairs")
        self._record("started", {"pairs": len(pairs)})
        parent = (self._target.weights.path,) if self._target.weights else ()
        request = TrainRequest.from_pairs(
            stage="dpo", model_path=self._target.model_path, parents=parent, recipe=self.plan.recipe,
            output=self.folder, resume=resume, pairs=pairs, renderer=self._target.renderer,
        )  # fmt: skip
        try:
            trained = self._trainer.train(request, self._display.training)
        except KeyboardInterrupt:
            self._record("interrupted", {"pairs": len(pairs)})
            raise
        except Exception as error:
            self._record("failed", {"pairs": len(pairs), "error": str(error)})
            raise
        self._record("trained", {"pairs": len(pairs), "steps": trained.steps, "seconds": trained.seconds})
        return trained

    def publish(self, trained: TrainResult, pairs: Sequence[Pair]) -> Adapter:
        """Copy the weights to their place and register the version as a candidate, in one step."""
        from harness.adapters.folder import check, publish

        self._display.step(f"registering {self.plan.name}")
        destination = self._settings.adapters / self.plan.name
        # A folder that no manifest names is what an interrupted fix left behind.
        if destination.exists() and self.plan.name not in self._manifest().adapters:
            shutil.rmtree(destination)
        publish(trained.adapter, destination)
        facts = check(destination)
        # A parent that was trained further is in the new weights; a new LoRA on top of it needs it beside itself.
        on_top = self._target.weights is not None and self.plan.recipe.parent == "new"
        adapter = Adapter(
            self.plan.name, self.plan.parent.model, self.plan.parent.name, destination, facts.digest, "dpo", facts.rank,
            datetime.now(UTC).isoformat(timespec="seconds"), self.plan.run.id, self.plan.recipe.name,
            self.plan.parent.name if on_top else None, "candidate",
            {"pairs": len(pairs), "training": self.folder.relative_to(self._settings.root).as_posix()},
        )  # fmt: skip
        register(self._settings.manifest_path, adapter)
        self._record("registered", {"pairs": len(pairs), "steps": trained.steps, "seconds": trained.seconds})
        return adapter

    def rerun(self, adapter: Adapter, trained: TrainResult, pairs: Sequence[Pair]) -> FixResult:
        """Run the whole suite again on the new version, compare, and bless it or say why not."""
        self._display.step(f"running the suite again on {adapter.name}")
        settings = replace(self._settings, baseline=self.plan.parent.name)
        evaluation = Evaluation(
            settings, store=self._store, engine=self._open_engine, on_progress=self._display.running
        )
        try:
            evaluation.plan([(r.case, adapter.name) for r in self.plan.results])
            evaluation.start({"command": ["harness", "fix"], "fixes": self.plan.run.id})
            evaluation.finish()
            if evaluation.broken is not None:
                raise evaluation.broken
            outcome = evaluation.conclude(training=self._training_facts(trained, pairs))
        finally:
            evaluation.close()
        after = [evaluation.results[i] for i in sorted(evaluation.results)]
        comparison = outcome.comparison
        assert comparison is not None
        promotion = decide(comparison, self.plan.results, after)
        scores = {"before": _figures(self.plan.results), "after": _figures(after)}
        status = "blessed" if promotion.blessed else "candidate"
        set_status(self._settings.manifest_path, adapter.name, status, scores)
        return FixResult(replace(adapter, status=status), trained, tuple(pairs), outcome, comparison, promotion)

    def _candidates(self) -> Candidates:
        options: Mapping[str, Any] = self._settings.engine_options

        def engine(longest: int) -> Engine:
            wanted = {
                "max_model_len": longest, "max_loras": int(self._target.weights is not None),
                "max_lora_rank": self._target.rank, **options,
            }  # fmt: skip
            return self._open_engine(self._settings.engine, self._target.model_path, **wanted)

        return draw_candidates(
            self.plan.failures, self._target, self._store, self.plan.sampling, engine, self._display.sampling
        )

    def _training_facts(self, trained: TrainResult, pairs: Sequence[Pair]) -> dict[str, Any]:
        return {
            "adapter": self.plan.name, "parent": self.plan.parent.name, "recipe": self.plan.recipe.name,
            "pairs": len(pairs), "steps": trained.steps, "seconds": round(trained.seconds, 1), "losses": trained.losses,
        }  # fmt: skip

    def _record(self, status: str, facts: Mapping[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = [t for t in self._store.trainings(self.plan.name) if t.id == self.plan.folder_name]
        started = before[0].started if before else now
        full = {"parent": self.plan.parent.name, "recipe": self.plan.recipe.name, **facts}
        finished = None if status == "started" else now
        self._store.save_training(
            Training(self.plan.folder_name, started, finished, status, self.plan.run.id, self.plan.name, full)
        )

    def _manifest(self) -> Manifest:
        return read_manifest(self._settings.manifest_path)


def _figures(results: Sequence[CaseResult]) -> dict[str, float | int]:
    """What the manifest keeps of a side of the comparison."""
    found = figures(results)
    return {
        "repetition": round(found.repetition.value, 4),
        "failing": sum(r.verdict.status is Status.FAIL for r in results),
        "cutoff_rate": round(found.cutoffs.value, 4),
        "cases": len(results),
    }
