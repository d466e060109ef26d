"""What a fix would do: which failures of which run, from which version, under which name, for how many steps.

A plan costs nothing and changes nothing, so ``--dry-run`` and ``harness pairs`` see exactly what a fix sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from harness.errors import StoreError, UsageError
from harness.fix.names import new_name
from harness.judging.results import CaseResult, Status
from harness.pairs.build import spread
from harness.project.manifest import Adapter, Manifest, read_manifest
from harness.project.sampling import Sampling
from harness.project.settings import Settings
from harness.store import IMPORTED, Run, Store
from trainers import Stage
from trainers.launch import Launch
from trainers.recipe import Recipe

__all__ = ["FixPlan", "fitted", "plan_fix"]

HOLD_BACK_FROM = 100
"""Failing cases from which on some are held back from training, to choose the checkpoint by."""
_HOLD_BACK_EVERY = 10
"""One in so many is held back ..."""
_MAX_HELD_BACK = 48
"""... but not more than these."""
_CHECKPOINTS = 4
"""Checkpoints in a training, evenly spaced; the recipe says how many of the last ones are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixPlan:
    """What a fix would do."""

    run: Run
    parent: Adapter
    name: str
    """The version that would be made."""
    failures: tuple[CaseResult, ...]
    """Failing cases of role ``fix``."""
    others: tuple[CaseResult, ...]
    """Failing cases that are never trained on: holdout and guard."""
    passing: tuple[CaseResult, ...]
    results: tuple[CaseResult, ...]
    """The whole run on the parent."""
    recipe: Recipe
    sampling: Sampling
    stage: Stage = "dpo"
    registered: Adapter | None = None
    """The version, where an interrupted fix had come as far as registering it."""

    @property
    def folder_name(self) -> str:
        return f"{self.name}-{self.run.id}"

    @property
    def held_back(self) -> tuple[CaseResult, ...]:
        """Failures that are not trained on, so that checkpoints can be compared on unseen cases."""
        count = (
            min(len(self.failures) // _HOLD_BACK_EVERY, _MAX_HELD_BACK) if len(self.failures) >= HOLD_BACK_FROM else 0
        )
        return tuple(spread(self.failures, count))

    @property
    def training(self) -> tuple[CaseResult, ...]:
        """Failures that are trained on."""
        held = {r.case.id for r in self.held_back}
        return tuple(r for r in self.failures if r.case.id not in held)


def plan_fix(
    settings: Settings,
    store: Store,
    recipe: Recipe,
    *,
    adapter: str | None = None,
    run_id: str | None = None,
    name: str | None = None,
    sampling: Sampling | None = None,
    stage: str = "dpo",
    resume: bool = False,
) -> FixPlan | None:
    """Plan a fix of the last run; None when every case to train on passes.

    Args:
        settings: the project's.
        store: its store.
        recipe: how to train.
        adapter: the version to start from; the last run's last adapter when None.
        run_id: the run whose failures count; the newest finished one on the adapter when None.
        name: of the new version; the next free one when None.
        sampling: how candidates are drawn.
        stage: ``dpo``, ``kto`` or ``sft``.
        resume: go on with the interrupted fix of the same run, under its name, if there is one.

    Raises:
        StoreError: no finished run to learn from.
        ManifestError: an unknown adapter, or a name that is taken.
        UsageError: an unknown stage, a recipe that does not go with it, or a run of imported answers.
    """
    if stage not in get_args(Stage):
        raise UsageError(f"--stage {stage!r}: use {', '.join(get_args(Stage))}")
    problems = recipe.problems_for(stage)
    if problems:
        raise UsageError(f"recipe {recipe.name!r} with --stage {stage}: {'; '.join(problems)}")
    manifest = read_manifest(settings.manifest_path)
    run = _run(store, manifest, adapter, run_id, resume)
    parent = manifest.adapter(adapter or run.adapters[-1])
    results = store.results(run.id, adapter=parent.name)
    failing = [r for r in results if r.failed]
    failures = tuple(r for r in failing if r.case.role == "fix")
    if not failures:
        return None
    unfinished = _unfinished(store, manifest, run, name) if resume else None
    new = unfinished or new_name(manifest, settings, parent.name, name)
    return FixPlan(
        run=run,
        parent=parent,
        name=new,
        failures=failures,
        others=tuple(r for r in failing if r.case.role != "fix"),
        passing=tuple(r for r in results if r.verdict.status is Status.PASS),
        results=results,
        recipe=recipe,
        sampling=sampling or settings.sampling,
        stage=stage,  # type: ignore[arg-type] # one of Stage's, checked above
        registered=manifest.adapters.get(new),
    )


def fitted(recipe: Recipe, rows: int, launch: Launch | None = None) -> Recipe:
    """The recipe with epochs that suit the number of examples, and evenly spaced checkpoints.

    Three cases make too few updates in the epochs that fifteen need, three thousand far more than it takes.

    Args:
        recipe: as it was chosen.
        rows: training examples.
        launch: the processes; None: those that the recipe asks for on this machine.
    """
    if recipe.max_steps is not None:
        steps, epochs = recipe.max_steps, recipe.epochs
    else:
        launch = launch or Launch.on_gpus(recipe.gpus, deepspeed=recipe.deepspeed)
        each = recipe.updates_per_epoch(rows, launch.world_size)
        epochs = max(recipe.epochs, (recipe.least_steps or 0) / each)
        if recipe.most_steps is not None:
            epochs = min(epochs, max(1.0, recipe.most_steps / each))
        steps = math.ceil(epochs * each)
    save = recipe.save_steps or max(1, math.ceil(steps / _CHECKPOINTS))
    # Rounded down: a thousandth of an epoch more would be an update more, and a checkpoint beside the last.
    return replace(recipe, epochs=min(1000.0, math.floor(epochs * 1000) / 1000), save_steps=save)


def _run(store: Store, manifest: Manifest, adapter: str | None, run_id: str | None, resume: bool) -> Run:
    if run_id is not None:
        run = store.run(run_id)
    else:
        runs = store.runs(adapter=adapter, finished=True)
        # The rerun of an interrupted fix is itself a run, on the version that it was judging.
        unfinished = (
            {t.adapter for t in store.trainings() if not _done(manifest, t.adapter)}
            if resume and not adapter
            else set()
        )
        runs = tuple(r for r in runs if not unfinished.intersection(r.adapters))
        if not runs:
            whom = f" on {adapter!r}" if adapter else ""
            raise StoreError(f"no finished run{whom} to fix; run first: pytest badcases --adapter {adapter or 'NAME'}")
        run = runs[0]
    if run.kind == IMPORTED:
        # Nobody knows which model gave them, under which decoding: they teach nothing about this version.
        raise UsageError(
            f"run {run.id} holds answers imported from {', '.join(run.sources[:3])}; no engine gave them here, so "
            f"nothing is trained on them; run first: pytest badcases --adapter {adapter or run.adapters[-1]}"
        )
    if run.status != "finished":
        raise StoreError(f"run {run.id} is {run.status!r}: its results are not whole; run the suite again")
    return run


def _unfinished(store: Store, manifest: Manifest, run: Run, name: str | None) -> str | None:
    """The version that an interrupted fix of this run was making."""
    names: Sequence[str] = [t.adapter for t in store.trainings() if t.run == run.id and name in (None, t.adapter)]
    return next((n for n in names if not _done(manifest, n)), None)


def _done(manifest: Manifest, name: str) -> bool:
    """Whether a version was judged: its figures are written last."""
    return name in manifest.adapters and "after" in manifest.adapters[name].facts
