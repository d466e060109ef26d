"""The fix: the failures of a run become pairs, the pairs a new adapter, and the suite runs again.

    failures -> candidates -> pairs -> training -> best checkpoint -> published, registered -> rerun -> comparison
        -> blessed or candidate

Every step leaves its result where a later call finds it: samples and answers in the store; pairs, checkpoints and the
chosen one in the training's folder; the state in the table ``trainings``. ``--resume`` therefore goes on after a kill.
Nothing is registered before the weights are published and checked, and a registration is one atomic step, so an
interrupted fix leaves no half-registered version. The caller provides the display; this module knows no terminal.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from harness.cases.model import Case
from harness.cases.suite import SuiteFacts, case_digest, describe_suite
from harness.engines import open_engine
from harness.engines.base import Engine
from harness.engines.kept_engine import KeptEngine
from harness.errors import AdapterError, DataError, UsageError
from harness.fix.checkpoints import Selection, choose, judge_checkpoints, looked_at
from harness.fix.display import Display
from harness.fix.engine_room import ELSEWHERE, room_needed
from harness.fix.estimate import seconds_of_judging
from harness.fix.journal import Journal
from harness.fix.missing_facts import advice, without_answer
from harness.fix.names import claimed
from harness.fix.plan import FixPlan, plan_fix
from harness.fix.promotion import Effect, Promotion, decide, effects
from harness.fix.series import training_series
from harness.fix.train_pairs import PairTraining, PlannedTraining
from harness.judging.results import CaseResult, Status
from harness.language import tr
from harness.models.adapters.folder import check
from harness.models.adapters.registration import register_version
from harness.models.adapters.tokenizer import training_problem
from harness.models.target import engine_options, resolve_target
from harness.pairs import Pair, build_pairs, check_pairs, import_pairs, read_hand_made
from harness.pairs.build import RULES
from harness.pairs.candidates import Candidates, draw_candidates
from harness.pairs.files import DATASET
from harness.project.manifest import Adapter, Manifest, read_manifest, set_status
from harness.project.settings import Settings
from harness.project.suite import project_cases
from harness.reports.conclusion import Conclusion, conclude_run
from harness.runs.evaluation import Evaluation
from harness.runs.runner import OpenEngine
from harness.safe.records import digest, to_data
from harness.store import Store
from harness.suite.compare import Comparison
from harness.suite.figures import figures
from harness.trackers.sending import Sent, send_run
from trainers import Trainer, TrainResult, open_trainer
from trainers.base import Checkpoint
from trainers.launch import Launch

__all__ = ["Display", "Fix", "FixPlan", "FixResult", "TrainedVersion", "plan_fix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FixResult:
    """The result of a fix."""

    adapter: Adapter
    version: TrainedVersion
    conclusion: Conclusion
    comparison: Comparison
    promotion: Promotion
    effects: tuple[Effect, ...]
    """Before and after, by role."""
    sent: tuple[Sent, ...] = ()
    """What became of the run at each experiment tracker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedVersion:
    """The outcome of a fix before its suite runs: pairs, training, and the chosen checkpoint."""

    pairs: tuple[Pair, ...]
    training: TrainResult
    selection: Selection

    @property
    def checkpoint(self) -> Checkpoint:
        """The chosen checkpoint; a training that names none has its weights alone."""
        trained, step = self.training, self.selection.step
        return next((c for c in trained.checkpoints if c.step == step), Checkpoint(trained.steps, trained.adapter))


class Fix:
    """One fix in progress."""

    def __init__(
        self,
        plan: FixPlan,
        settings: Settings,
        store: Store,
        display: Display,
        *,
        engine: OpenEngine = open_engine,
        trainer: Trainer | None = None,
        resume: bool = False,
        launch: Launch | None = None,
    ) -> None:
        """Prepare a fix; ``resume`` takes the finished steps of an earlier call from its folder.

        Args:
            plan: what is fixed.
            settings: the project's.
            store: its store.
            display: shows the progress.
            engine: opens engines.
            trainer: None: the one that the settings name.
            resume: go on with an earlier call.
            launch: processes that train; None: those that the recipe asks for on this machine.

        Raises:
            CaseFileError: the suite cannot be read.
            AdapterError: the parent's weights are missing or damaged.
            SettingsError: an unknown trainer.
        """
        self.plan = plan
        self.folder = settings.reports / "trainings" / plan.folder_name
        """Pairs, configuration, checkpoints and log of the training."""
        self.journal = Journal(plan, self.folder, store, resume=resume)
        self._settings = settings
        self._store = store
        self._display = display
        self._open_engine = self._judges = engine
        self._kept: KeptEngine | None = None
        """One engine for the whole fix, where it runs on other machines."""
        self._trainer = trainer or open_trainer(settings.trainer, settings.root)
        # Read before time is spent: the run that is fixed may be a part of the suite.
        self._cases = project_cases(settings)
        self._target = resolve_target(plan.parent.name, self._manifest(), settings, store)
        if self._target.own_tokenizer:
            raise UsageError(training_problem(plan.parent.name))
        self._training = PairTraining(
            plan, settings, store, display, self.journal, self._target, trainer=self._trainer, launch=launch
        )

    def check(self) -> None:
        """Check that the trainer is installed and can hold the model, before time is spent on data.

        Raises:
            TrainerMissing: the trainer's environment is not installed.
            TrainerError: the failing prompts alone do not fit the memory that there is.
        """
        self._trainer.check()
        self._training.check_memory()

    def run(self, edited: Path | None = None) -> FixResult:
        """Run every step, from pairs to the verdict on the new version; the name is claimed for all of them.

        Raises:
            NameClaimed: another fix or training of that name is under way.
        """
        with claimed(self._settings, self.plan.name), self._one_engine():
            pairs = self.pairs(edited)
            training = self.train(pairs)
            with self.judging():
                version = TrainedVersion(pairs=pairs, training=training, selection=self.select(training, pairs))
                return self.rerun(self.journal.registered or self.publish(version), version)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """One engine for the checkpoints and the rerun, where their weights can be loaded into a running one."""
        if self._kept is not None:
            yield
            return
        with KeptEngine(self._open_engine, room=room_needed(self._protected(), self._target, self._settings)) as kept:
            self._judges = kept
            try:
                yield
            finally:
                self._judges = self._open_engine

    @contextmanager
    def _one_engine(self) -> Iterator[None]:
        """One engine for candidates, checkpoints and the rerun, where the settings name one on other machines."""
        if self._settings.engine not in ELSEWHERE:
            yield
            return
        room = room_needed(self._protected(), self._target, self._settings, self.plan.recipe)
        with KeptEngine(self._open_engine, room=room) as kept:
            self._judges = self._kept = kept
            try:
                yield
            finally:
                self._judges, self._kept = self._open_engine, None

    def pairs(self, edited: Path | None = None) -> tuple[Pair, ...]:
        """The pairs to train on: ``edited``, or those in the training's folder, or new ones.

        Raises:
            DataError: a pair teaches nothing, wrongly, or a protected case.
        """
        protected = self._protected()
        # All that people wrote is read and checked before time is spent on sampling.
        given = import_pairs(edited, self._display.step) if edited is not None else None
        if edited is not None and not given:
            raise DataError(f"{edited}: holds no pair to train on")
        cases = [r.case for r in self.plan.training]
        by_hand = read_hand_made(self._settings.badcases, cases, self._display.step)
        check_pairs(given if given is not None else by_hand, protected)
        inputs = digest(["given", given]) if given is not None else self._inputs_of_pairs(by_hand)
        in_place = edited is not None and edited.resolve() == (self.folder / DATASET).resolve()
        if not in_place and (stored := self.journal.pairs(inputs)) is not None:
            check_pairs(stored, protected)
            return stored
        pairs = given if given is not None else self._new_pairs() + by_hand
        check_pairs(pairs, protected)
        self.journal.save_pairs(pairs, inputs)
        return pairs

    def _protected(self) -> list[Case]:
        """The whole suite, and the cases as the run had them; only those of role ``fix`` may be trained on."""
        return [*self._cases, *(r.case for r in self.plan.results)]

    def _inputs_of_pairs(self, by_hand: Sequence[Pair]) -> str:
        """Digest of everything that decides the pairs: results, sampling, the model sampled from, hand-made pairs."""
        plan = self.plan
        results = (plan.training, plan.passing, [r.case for r in plan.results], self._cases)
        return digest([harness.__version__, RULES, results, plan.sampling, self._target.digest, by_hand])

    def _new_pairs(self) -> tuple[Pair, ...]:
        self._display.step(tr("drawing candidates on {name}", name=self.plan.parent.name))
        drawn = self._candidates()
        if self.plan.stage != "sft" and (without := without_answer(self.plan.training, drawn.clean, drawn.branches)):
            self._display.step(advice(without, len(self.plan.training)))
        return build_pairs(
            self.plan.training, self.plan.passing, drawn.clean, drawn.branches, drawn.looping,
            faulty=drawn.faulty, ordinary=drawn.ordinary, protected=self._protected(),
        )  # fmt: skip

    def train(self, pairs: Sequence[Pair]) -> TrainResult:
        """Train a LoRA on the pairs, in the trainer's environment; see :mod:`harness.fix.train_pairs`."""
        kept = self._kept
        give_way = (lambda: None) if kept is None else kept.give_way
        return self._training.train(pairs, self._judging_seconds(pairs), give_way)

    def planned(self, pairs: Sequence[Pair]) -> PlannedTraining:
        """What a training on the pairs would do, and where it would run.

        Raises:
            TrainerError: it does not fit the memory that there is.
        """
        return self._training.planned(pairs, self._judging_seconds(pairs))

    def _judging_seconds(self, pairs: Sequence[Pair]) -> float | None:
        """Time for the checkpoints and the rerun, whose answers for the kept checkpoint are there by then."""
        kept = self.plan.recipe.keep_checkpoints
        compared = looked_at(self.plan.results, {p.case_id for p in pairs})[0] if kept > 1 else ()
        samples = sum(r.case.decoding.samples for r in compared)
        cases, versions = self._rerun_of()
        suite = sum(c.decoding.samples for c in cases) * (1 + len(versions))
        return seconds_of_judging(self.plan.run, self.plan.results, samples * kept + max(0, suite - samples))

    def select(self, trained: TrainResult, pairs: Sequence[Pair]) -> Selection:
        """Choose the best of the checkpoints; see :mod:`harness.fix.checkpoints` for the rule."""
        asked = digest([[c.step for c in trained.checkpoints], trained.digest, pairs, self.plan.results])
        selection = self.journal.selection(asked)
        if selection is None:
            selection = self._select(trained, pairs)
            self.journal.save_selection(selection, asked)
        return selection

    def _select(self, trained: TrainResult, pairs: Sequence[Pair]) -> Selection:
        before, held_back = looked_at(self.plan.results, {p.case_id for p in pairs})
        if len(trained.checkpoints) < 2 or not before:
            return Selection(step=trained.steps, steps=trained.steps, note="the training left one checkpoint")
        checkpoints = len(trained.checkpoints)
        self._display.step(tr("comparing {n} checkpoints on {cases} cases", n=checkpoints, cases=len(before)))
        adapters = [self._checkpoint_entry(f"{self.plan.name}-step-{c.step}", c.path) for c in trained.checkpoints]
        steps = {a.name: c.step for a, c in zip(adapters, trained.checkpoints, strict=True)}
        with Evaluation(
            replace(self._settings, baseline=""), store=self._store, engine=self._judges,
            on_progress=self._display.running,
        ) as evaluation:  # fmt: skip
            known = {**evaluation.manifest.adapters, **{a.name: a for a in adapters}}
            manifest = evaluation.manifest = replace(evaluation.manifest, adapters=known)
            try:
                drift = {c.step: c.drift for c in trained.checkpoints}
                judged = judge_checkpoints(evaluation, before, steps, drift, self._settings.max_drift)
            except AdapterError as error:
                # An early checkpoint may be too weak for the canary. The rerun proves the last one.
                note = f"the last one, since the others were refused: {error}"
                return Selection(step=trained.steps, steps=trained.steps, note=note)
        step = choose(judged, figures(before).cutoffs.value)
        self._forget([name for name, at in steps.items() if at != step], manifest)
        failing = sum(r.verdict.status is Status.FAIL for r in before)
        guards = sum(r.case.role == "guard" for r in before)
        return Selection(
            step=step, steps=trained.steps, failing=failing, held_back=held_back,
            passing=len(before) - failing - guards, guards=guards, checkpoints=judged,
        )  # fmt: skip

    def publish(self, version: TrainedVersion) -> Adapter:
        """Copy the chosen checkpoint's weights to their place and register the version as a candidate, in one step."""
        self._display.step(tr("registering {name}", name=self.plan.name))
        entry = replace(
            self._entry(self.plan.name),
            path=self._settings.adapters / self.plan.name,
            status="candidate",
            facts={
                "pairs": len(version.pairs),
                "training": self.folder.relative_to(self._settings.root).as_posix(),
                "checkpoint": f"step {version.selection.step} of {version.selection.steps}",
            },
        )
        manifest = self._settings.manifest_path
        adapter = register_version(version.checkpoint.path, entry, manifest, interrupted=self.journal.resume)
        self.journal.record("registered", self._training_facts(version))
        return adapter

    def rerun(self, adapter: Adapter, version: TrainedVersion) -> FixResult:
        """Run the whole suite on the new version, compare, and bless it or give the reasons against.

        Where the run that is fixed was of a part of the suite, or some of its cases have changed since, the suite runs
        on the parent too. Answers that are stored are not generated again.
        """
        parent = self.plan.parent.name
        settings = replace(self._settings, baseline=parent)
        cases, versions = self._rerun_of()
        names = tr(" and ").join((*versions, adapter.name))
        self._display.step(tr("running the suite again on {names}", names=names))
        with Evaluation(
            settings, store=self._store, engine=self._judges, on_progress=self._display.running
        ) as evaluation:
            results = evaluation.run(
                [(case, name) for name in (*versions, adapter.name) for case in cases],
                {"command": ["harness", "fix"], "fixes": self.plan.run.id, "suite": to_data(self._suite)},
            )
            run = evaluation.end(training=self._training_facts(version))
            conclusion = conclude_run(run, self._store, evaluation.manifest, settings)
        comparison = conclusion.comparison
        assert comparison is not None
        after = tuple(r for r in results if r.adapter == adapter.name)
        before = tuple(r for r in results if r.adapter == parent) if versions else self.plan.results
        whole = 0 if settings.allow_partial else self._suite.cases
        promotion = decide(
            comparison, before, after, suite_cases=whole,
            drift=version.checkpoint.drift, max_drift=settings.max_drift,
        )  # fmt: skip
        scores = {"before": _figures(before), "after": _figures(after)}
        status = "blessed" if promotion.blessed else "candidate"
        set_status(self._settings.manifest_path, adapter.name, status, scores)
        return FixResult(
            adapter=replace(adapter, status=status),
            version=version,
            conclusion=conclusion,
            comparison=comparison,
            promotion=promotion,
            effects=effects(before, after),
            sent=send_run(conclusion, settings),
        )

    @property
    def _suite(self) -> SuiteFacts:
        return describe_suite(self._cases)

    def _rerun_of(self) -> tuple[tuple[Case, ...], tuple[str, ...]]:
        """The cases that the new version is judged on, and the versions that need a run beside it."""
        judged = {r.case.id: case_digest(r.case) for r in self.plan.results}
        known = all(judged.get(case.id) == case_digest(case) for case in self._cases)
        if known or self._settings.allow_partial:
            return tuple(r.case for r in self.plan.results), ()
        return self._cases, (self.plan.parent.name,)

    def _candidates(self) -> Candidates:
        def engine(longest: int) -> Engine:
            options = engine_options([self._target], self._settings.engine_options, longest=longest)
            return (self._kept or self._open_engine)(
                self._settings.engine, self._target.model_path, deadlines=self._settings.deadlines, **options
            )

        return draw_candidates(
            self.plan.training, self._target, self._store, self.plan.sampling, engine, self._display.sampling
        )

    def _checkpoint_entry(self, name: str, folder: Path) -> Adapter:
        """A checkpoint as a version, so that it can be evaluated."""
        facts = check(folder)
        return replace(self._entry(name), path=folder, sha256=facts.digest, rank=facts.rank)

    def _entry(self, name: str) -> Adapter:
        """The manifest's entry for what this fix trains, without its weights."""
        # A parent that was trained further is in the new weights; a new LoRA on top of it needs it beside itself.
        on_top = bool(self._target.parents) and self.plan.recipe.parent == "new"
        return Adapter(
            name=name,
            model=self.plan.parent.model,
            parent=self.plan.parent.name,
            method=self.plan.stage,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            run=self.plan.run.id,
            recipe=self.plan.recipe.name,
            on_top_of=self.plan.parent.name if on_top else None,
        )

    def _forget(self, names: Sequence[str], manifest: Manifest) -> None:
        """Delete the merged models of checkpoints that are no longer needed."""
        for name in names:
            target = resolve_target(name, manifest, self._settings, self._store)
            if target.weights is None and target.model_path != target.base_path:
                shutil.rmtree(target.model_path, ignore_errors=True)

    def _training_facts(self, version: TrainedVersion) -> dict[str, Any]:
        training, selection = version.training, version.selection
        facts = {
            "adapter": self.plan.name, "parent": self.plan.parent.name, "recipe": self.plan.recipe.name,
            "stage": self.plan.stage, "pairs": len(version.pairs), "steps": training.steps,
            "seconds": round(training.seconds, 1), "losses": training.losses,
            "checkpoint": f"step {selection.step} of {selection.steps}",
        }  # fmt: skip
        if drift := version.checkpoint.drift:
            facts["drift"] = "; ".join(
                f"{d.kind} texts: KL {d.kl:.3f} nats a token, log-probability {d.before:.3f} -> {d.now:.3f}"
                for d in drift
            )
        if series := training_series(training, selection):
            facts["series"] = series
        if selection.checkpoints:
            facts["checkpoints"] = "; ".join(
                f"step {c.step}: {c.fixed} of {selection.failing} fixed, {c.broken + c.guards_broken} broken, "
                f"{c.cutoff_rate:.0%} cut off"
                for c in selection.checkpoints
            )
        return facts

    def _manifest(self) -> Manifest:
        return read_manifest(self._settings.manifest_path)


def _figures(results: Sequence[CaseResult]) -> dict[str, float | int]:
    """The figures of one side of the comparison, for the manifest."""
    summary = figures(results)
    return {
        "repetition": round(summary.repetition.value, 4),
        "failing": sum(r.verdict.status is Status.FAIL for r in results),
        "cutoff_rate": round(summary.cutoffs.value, 4),
        "similarity": round(summary.similarity.value, 4),
        "cases": len(results),
    }
