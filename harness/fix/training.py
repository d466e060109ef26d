"""``harness train``: data files in, a registered adapter out, on base, on a parent, or instead of it.

    plan -> records checked -> token ids -> trainer -> weights checked -> published, registered

The fix trains on what failed; this module trains on data files. Both use the same seam, so both get the same prompts,
checks and lineage. A name is claimed before anything starts: two trainings never become one version.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, get_args

from harness.errors import DataError, SettingsError, TrainerError, TrainingNotStarted, UsageError
from harness.fix.names import claimed, new_name
from harness.models.adapters.lineage import check_lineage
from harness.models.adapters.registration import register_version
from harness.models.adapters.tokenizer import training_problem
from harness.models.folder import locate_model
from harness.models.target import open_renderer
from harness.project.manifest import Adapter, Model, read_manifest
from harness.project.settings import Settings
from harness.safe.read import read_object
from harness.store import Store, Training
from trainers import Stage, TrainRequest, TrainResult, open_trainer
from trainers.attempt import is_complete
from trainers.base import OnProgress
from trainers.dataset_info import REGISTRY, Dataset, dataset_files
from trainers.export_sharegpt import keep_readable
from trainers.formats import Source
from trainers.job import ENTRY
from trainers.launch import Launch
from trainers.llamafactory_trainer import collect, trainer_python
from trainers.merged_parent import release
from trainers.prompt_parity import probes
from trainers.recipe import Recipe
from trainers.rendering import render_records

__all__ = [
    "TrainPlan",
    "collect_training",
    "finished_attempt",
    "finished_before",
    "kept_recipe",
    "plan_training",
    "prepared_request",
    "train",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """One requested training, checked as far as possible without reading its data."""

    stage: Stage
    parent: Adapter
    name: str
    data: tuple[Path, ...]
    registered: tuple[Dataset, ...] = ()
    """Entries of a dataset_info.json that was given as data."""
    recipe: Recipe
    launch: Launch
    model: Model
    """The manifest's entry of the base model."""
    model_path: Path
    chain: tuple[Adapter, ...]
    """Adapters that are applied to the model first, oldest first."""
    output: Path
    resume: bool = False
    resume_from: Path | None = None

    @property
    def on_top_of(self) -> str | None:
        """The version that the new weights need below them."""
        if not self.chain or self.recipe.tuning == "full":
            return None
        return self.parent.name if self.recipe.parent == "new" else self.parent.on_top_of

    @property
    def reference(self) -> str | None:
        """The version that a preference stage measures against, which is the parent; None for losses without one."""
        measures = self.stage == "kto" or (self.stage == "dpo" and self.recipe.pref_loss == "sigmoid")
        return self.parent.name if measures else None


def plan_training(
    settings: Settings,
    stage: str,
    data: Sequence[Path],
    recipe: Recipe,
    *,
    adapter_from: str | None = None,
    name: str | None = None,
    launch: Launch | None = None,
    resume: bool = False,
    resume_from: Path | None = None,
    datasets: Sequence[str] = (),
) -> TrainPlan:
    """Check the arguments of a training: stage, names, files, recipe.

    A dataset_info.json among the ``data`` stands for its ``datasets``.

    Raises:
        UsageError: an unknown stage, a name that is taken, files that are not there, a recipe that does not fit the
            stage or the devices; all of it in one message.
        ManifestError: an unknown parent, or its model is not there.
    """
    if stage not in get_args(Stage):
        raise UsageError(f"stage {stage!r}: use {', '.join(get_args(Stage))}")
    manifest = read_manifest(settings.manifest_path)
    parent = manifest.adapter(settings.adapter if adapter_from is None else adapter_from)
    launch = launch or Launch.on_gpus(recipe.gpus, deepspeed=recipe.deepspeed)
    missing = [str(p) for p in data if not p.is_file()]
    checkpoint = resume_from is None or is_complete(resume_from)
    problems = [f"--data: no such file: {', '.join(missing)}"] if missing else []
    if not checkpoint:
        problems.append(f"--resume {resume_from}: is no complete checkpoint of a trainer")
    registries = [p for p in data if p.name == REGISTRY and p.is_file()]
    named = tuple(d for p in registries for d in dataset_files(p, datasets, stage))
    if datasets and not registries:
        problems.append(f"--dataset: names datasets of a {REGISTRY}; give it with --data")
    # Path.resolve raises RuntimeError for a loop of links; what reads the file says it better.
    every = [*(p for p in data if p not in registries), *(d.path for d in named)]
    files = [Path(os.path.realpath(p)) for p in every]
    # Without data it is about a training that ran elsewhere, on devices of its own.
    cuda = bool(launch.devices) or not data
    problems += recipe.problems_for(stage, parents=len(manifest.chain(parent.name)), cuda=cuda)
    new = ""
    try:
        new = new_name(manifest, settings, parent.name, name, resume=resume or not data)
    except UsageError as error:
        problems.append(str(error))
    if (own := manifest.tokenizer_of(parent.name)) is not None:
        problems.append(training_problem(own.name))
    if problems:
        raise UsageError("; ".join(problems))
    return TrainPlan(
        stage=stage,  # type: ignore[arg-type] # one of Stage's, checked above
        parent=parent, name=new, data=tuple(files), registered=named, recipe=recipe, launch=launch,
        model=manifest.model_of(parent.name),
        model_path=locate_model(manifest.model_of(parent.name), settings.root), chain=manifest.chain(parent.name),
        output=settings.reports / "trainings" / f"{new}-{stage}", resume=resume, resume_from=resume_from,
    )  # fmt: skip


def _some(records: Iterable[T], paths: Sequence[Path]) -> Iterator[T]:
    """``records``, of which there must be one.

    Raises:
        DataError: there is none; names the files.
    """
    found = False
    for record in records:
        found = True
        yield record
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: no example to train on")


def prepared_request(plan: TrainPlan, settings: Settings, store: Store) -> tuple[TrainRequest, Source]:
    """The request for the trainer, and the source, which later holds notes about the data."""
    renderer = open_renderer(plan.model, plan.model_path, store)

    def parquet(path: Path) -> Path:
        return _from_parquet(path, trainer_python(settings.root), plan.output)

    source = Source(paths=plan.data, stage=plan.stage, parquet=parquet, registered=plan.registered)
    records = keep_readable(source, plan.output, plan.stage)
    request = TrainRequest(
        stage=plan.stage,
        model_path=plan.model_path,
        examples=render_records(_some(records, plan.data), renderer, plan.stage),
        recipe=plan.recipe,
        output=plan.output,
        parents=tuple(a.path for a in plan.chain if a.path is not None),
        resume=plan.resume,
        resume_from=plan.resume_from,
        trust_remote_code=plan.model.trust_remote_code,
        launch=plan.launch,
        probes=probes(renderer),
        deadlines=settings.deadlines,
    )
    return request, source


def train(
    plan: TrainPlan, settings: Settings, store: Store, on_progress: OnProgress
) -> tuple[Adapter | None, TrainResult]:
    """Train, publish and register; the adapter is None for a fully tuned model, which is no adapter.

    Raises:
        DataError: records that must not be trained on.
        TrainerError: the training did not end well; nothing was registered.
    """
    request, source = prepared_request(plan, settings, store)
    trainer = open_trainer(settings.trainer, settings.root)
    trainer.check()
    with claimed(settings, plan.name):
        _record(store, plan, "started")
        try:
            result = trainer.train(request, on_progress)
        except (KeyboardInterrupt, TrainingNotStarted):
            _record(store, plan, "interrupted")
            raise
        except Exception as error:
            _record(store, plan, "failed", error=str(error))
            raise
        adapter = _published(plan, settings, result.adapter)
    notes = "; ".join((*source.notes(), *result.notes))
    _record(store, plan, "registered", steps=result.steps, seconds=round(result.seconds, 1), notes=notes)
    return adapter, result


def finished_before(settings: Settings, store: Store, stage: str, name: str) -> Adapter | None:
    """The version that this very training has registered; the record of one that was killed after that is completed.

    Returns:
        None where it has registered nothing.
    """
    key = f"{name}-{stage}"
    adapter = read_manifest(settings.manifest_path).adapters.get(name)
    folder = _relative(settings.reports / "trainings" / key, settings.root)
    begun = [t for t in store.trainings(name) if t.id == key]
    if adapter is None or adapter.facts.get("training") != folder or not begun:
        return None
    if begun[0].status != "registered":
        now = datetime.now(UTC).isoformat(timespec="seconds")
        store.save_training(replace(begun[0], status="registered", finished=now))
    return adapter


def collect_training(plan: TrainPlan, settings: Settings, store: Store, folder: Path) -> Adapter | None:
    """Check, publish and register what several nodes trained in the attempt's ``folder``.

    Raises:
        TrainerError: it is not finished, or left no usable weights.
        AdapterError: it was trained on another parent than the plan's.
    """
    with claimed(settings, plan.name):
        weights, _, checkpoints = collect(folder)
        if plan.recipe.tuning == "lora":
            below = plan.chain if plan.recipe.parent == "new" else plan.chain[:-1]
            check_lineage(plan.model_path, [*(a.path for a in below if a.path is not None), weights])
        adapter = _published(plan, settings, weights)
    release(folder)
    _record(store, plan, "registered", steps=checkpoints[-1].step)
    return adapter


def _published(plan: TrainPlan, settings: Settings, weights: Path) -> Adapter | None:
    if plan.recipe.tuning == "full":
        return None
    more = {"training": _relative(plan.output, settings.root)}
    if plan.reference is not None:
        more["reference"] = plan.reference
    version = Adapter(
        name=plan.name,
        model=plan.parent.model,
        parent=plan.parent.name,
        path=settings.adapters / plan.name,
        method=plan.stage,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run="",
        recipe=plan.recipe.name,
        on_top_of=plan.on_top_of,
        status="candidate",
        facts=more,
    )
    return register_version(weights, version, settings.manifest_path, interrupted=plan.resume or not plan.data)


def _from_parquet(path: Path, python: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.stem}.jsonl"
    run = subprocess.run(
        [str(python), str(ENTRY), "jsonl", str(path), str(target)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        lines = run.stderr.strip().splitlines() or ["it said nothing"]
        raise DataError(f"{path}: cannot be read as Parquet: {lines[-1]}")
    return target


def _record(store: Store, plan: TrainPlan, status: str, **facts: object) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    key = f"{plan.name}-{plan.stage}"
    before = [t for t in store.trainings(plan.name) if t.id == key]
    started = before[0].started if before and status != "started" else now
    full = {"parent": plan.parent.name, "recipe": plan.recipe.name, "stage": plan.stage, **facts}
    store.save_training(
        Training(
            id=key,
            started=started,
            finished=None if status == "started" else now,
            status=status,
            run="",
            adapter=plan.name,
            facts=full,
        )
    )


def _relative(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)


def kept_recipe(attempt: Path) -> Recipe:
    """The recipe that an attempt was planned with; devices are no longer part of it.

    Raises:
        TrainerError: it is not there, or damaged.
    """
    path = attempt / "recipe.json"
    try:
        facts = read_object(path)
        # Half a character, which JSON can hold and no file can.
        json.dumps(facts, ensure_ascii=False).encode("utf-8")
        return Recipe.from_mapping({**facts, "gpus": ""})
    except (OSError, ValueError, TypeError, SettingsError) as error:
        raise TrainerError(f"{path}: is not a recipe ({error}); plan the training again") from error


def finished_attempt(folder: Path) -> Path:
    """The attempt's folder for ``folder``: itself, or the newest attempt in it.

    Raises:
        TrainerError: there is none.
    """
    if (folder / "job.json").is_file():
        return folder.resolve()
    jobs = sorted(folder.glob("attempt-*/job.json"), key=lambda p: p.stat().st_mtime)
    if not jobs:
        raise TrainerError(f"{folder}: holds no training; name the folder that the dry run or the launch printed")
    return jobs[-1].parent.resolve()
