"""One arm with one seed: the fix as its users run it, measured before and after under greedy and beam search.

Everything expensive is kept where a later call finds it: answers and samples in the project's store (so the model as
shipped answers once, for all arms and seeds), trainings in their folders, an arm's result in a file of its own. The
arms differ in what they learn from the same failing cases; the suite, the engine and the verdicts are the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.cases import read_suite
from harness.cases.decoding import Decoding
from harness.cases.model import Case
from harness.engines import open_engine
from harness.fix.fix import Fix, FixPlan, TrainedVersion, plan_fix
from harness.judging.results import CaseResult, Status
from harness.pairs import Pair, export_pairs, loop_copy
from harness.pairs.build import spread
from harness.project.manifest import read_manifest
from harness.project.sampling import Sampling
from harness.project.settings import Settings
from harness.runs.evaluation import Evaluation
from harness.runs.runner import OpenEngine, RunnerProgress
from harness.safe.files import write_text
from harness.store import Run, Store
from tests.benchmarks.fix.measure import measure
from trainers import TrainProgress
from trainers.recipe import Recipe, named_recipe

__all__ = ["ARMS", "Arm", "Lines", "Size", "choose_cases", "run_arm"]

PARENT = "v4.0"
GREEDY = "~greedy"
_PEERS = Path(__file__).with_name("peers.toml")
_HAND_MADE = 4
_SIMPO = {"pref_loss": "simpo", "end_apart": False}
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way to fix."""

    name: str
    text: str
    stage: str = "dpo"
    recipe: str = "fix"
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe that are other than in its file."""
    rounds: int = 2
    hand_made: bool = False
    """Four pairs as a person writes them, instead of the model's own answers."""


ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="dpo", text="harness fix (the default)"),
        Arm(name="kto", text="harness fix --stage kto", stage="kto", recipe="fix-kto"),
        Arm(name="sft", text="harness fix --stage sft", stage="sft", recipe="fix-sft"),
        Arm(
            name="peers",
            text="four hand-made pairs, lr 1e-4, 5 epochs, last checkpoint",
            stage="dpo",
            recipe=str(_PEERS),
            rounds=1,
            hand_made=True,
        ),
        *(
            Arm(name=name, text=text, changes=changes, rounds=1)
            for name, text, changes in (
                ("whole", "the default without unlikelihood and ends apart", {"unlikelihood": 0.0, "end_apart": False}),
                ("simpo", "SimPO in the place of DPO", {**_SIMPO, "pref_beta": 2.0}),
                ("simpo-1", "SimPO with half that strength", {**_SIMPO, "pref_beta": 1.0}),
                ("simpo-0.5", "SimPO with a quarter of it", {**_SIMPO, "pref_beta": 0.5}),
                ("simpo-margin", "... and half its margin", {**_SIMPO, "pref_beta": 0.5, "simpo_gamma": 0.25}),
                ("orpo", "ORPO in the place of DPO", {"pref_loss": "orpo", "pref_ftx": 0.0, "end_apart": False}),
                ("slow", "a third of the rate, three times the steps", {"learning_rate": 1e-4, "epochs": 7.5}),
                ("attention", "a LoRA on the attention's layers only", {"lora_targets": _ATTENTION}),
            )
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of the suite takes part."""

    limit: int | None = None
    """Most cases of each role; None: all."""
    failing: int | None = None
    """Most failing cases to train on; the others of role fix that fail are left out altogether."""
    rounds: int = 2
    steps: int | None = None
    """Updates of every training; None: as the recipe says."""

    @property
    def key(self) -> str:
        """A name for the cases and the steps, whatever the rounds: more of them go on from what is there."""
        parts = [f"n{self.limit}" if self.limit else "all"]
        parts += [f"f{self.failing}"] if self.failing else []
        return "-".join([*parts, *([f"t{self.steps}"] if self.steps else [])])


class Lines:
    """Shows where a fix is: a line when the kind of work changes and every half minute."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last = ("", float("-inf"))

    def step(self, text: str) -> None:
        self._say(text)

    def sampling(self, done: int, total: int) -> None:
        self._tell("candidates", f"{done}/{total}")

    def training(self, progress: TrainProgress) -> None:
        left = "" if progress.remaining is None else f", {progress.remaining:.0f} s left"
        self._tell("training", f"step {progress.step}/{progress.total_steps}, loss {progress.loss}{left}")

    def running(self, progress: RunnerProgress) -> None:
        self._tell(progress.state, f"{progress.done}/{progress.total}")

    def _tell(self, state: str, text: str) -> None:
        now = time.monotonic()
        if state != self._last[0] or now - self._last[1] > 30:
            self._last = (state, now)
            self._say(f"  {state} {text}")


@dataclass(slots=True)
class Bench:
    """The project that all arms share."""

    settings: Settings
    store: Store
    display: Lines
    engine: OpenEngine = open_engine
    failed: Callable[[CaseResult], bool] = lambda r: r.verdict.repeater
    """Whether a case fails in the way that this suite is about."""

    def answer(self, cases: Sequence[Case], adapter: str) -> Mapping[str, list[CaseResult]]:
        """Results by decoding, in one start of the engine at most."""
        greedy = [replace(c, id=c.id + GREEDY, decoding=_greedy(c.decoding)) for c in cases]
        results = self._evaluate([*cases, *greedy], adapter, {"kind": "bench"})[0]
        return {
            "beam": [r for r in results if not r.case.id.endswith(GREEDY)],
            "greedy": [r for r in results if r.case.id.endswith(GREEDY)],
        }

    def suite_run(self, cases: Sequence[Case], adapter: str, key: str) -> Run:
        """A finished suite run of these very cases; an older one where there is one."""
        for run in self.store.runs(adapter=adapter, finished=True):
            if run.facts.get("bench") == key:
                return run
        return self._evaluate(cases, adapter, {"bench": key})[1]

    def _evaluate(self, cases: Sequence[Case], adapter: str, facts: dict[str, Any]) -> tuple[list[CaseResult], Run]:
        with Evaluation(
            self.settings, store=self.store, engine=self.engine, on_progress=self.display.running
        ) as evaluation:
            results = evaluation.run([(c, adapter) for c in cases], facts)
            return list(results), evaluation.end()


def choose_cases(bench: Bench, size: Size) -> tuple[Case, ...]:
    """The cases that take part; says which fail on the model as shipped when it must know."""
    settings = bench.settings
    every = read_suite(settings.badcases, decoding=settings.decoding, thresholds=settings.thresholds)
    by_role = {role: [c for c in every if c.role == role] for role in ("fix", "holdout", "guard")}
    cases = [c for found in by_role.values() for c in _some(found, size.limit)]
    if size.failing is None:
        return tuple(cases)
    bench.display.step(f"{len(cases)} cases on {PARENT}: which fail?")
    failing = [r.case.id for r in bench.answer(cases, PARENT)["beam"] if _to_train_on(r)]
    left_out = set(failing) - set(spread(failing, size.failing))
    return tuple(c for c in cases if c.id not in left_out)


def run_arm(bench: Bench, arm: Arm, seed: int, size: Size, cases: Sequence[Case]) -> dict[str, Any]:
    """Fix, measure, tell. Goes on where an earlier call was stopped."""
    before = bench.answer(cases, PARENT)
    key = f"{size.key}-{len(cases)}"
    parent, run = PARENT, bench.suite_run(cases, PARENT, key)
    recipe = named_recipe(arm.recipe, seed=seed, max_steps=size.steps, **arm.changes)
    trained_on: set[str] = set()
    rounds: list[dict[str, Any]] = []
    most = min(arm.rounds, size.rounds)
    for number in range(1, most + 1):
        name = f"{arm.name}-s{seed}-{size.key}.{number}"
        made = _round(bench, arm, recipe, seed, parent, run, name, cases)
        if made is None:
            break
        after, trained, facts = made
        trained_on |= trained
        rounds.append(facts | {f"{d}": measure(before[d], after[d], trained_on, GREEDY, bench.failed) for d in before})
        bench.display.step(f"{name}: {facts['status']}; " + json.dumps(rounds[-1]["beam"]["trained_on"]))
        if not facts["blessed"]:
            break
        parent, run = name, bench.suite_run(cases, name, f"{key}-{name}")
    return {
        "arm": arm.name, "what": arm.text, "seed": seed, "size": size.key, "cases": len(cases), "most_rounds": most,
        "failing": len([r for r in before["beam"] if _to_train_on(r)]), "rounds": rounds,
    }  # fmt: skip


def _round(
    bench: Bench, arm: Arm, recipe: Recipe, seed: int, parent: str, run: Run, name: str, cases: Sequence[Case]
) -> tuple[Mapping[str, list[CaseResult]], set[str], dict[str, Any]] | None:
    settings, store = bench.settings, bench.store
    manifest = read_manifest(settings.manifest_path)
    done = name in manifest.adapters and "after" in manifest.adapters[name].facts
    number = int(name.rpartition(".")[2])
    if not done:
        plan = plan_fix(
            settings, store, recipe, adapter=parent, run_id=run.id, name=name, stage=arm.stage, resume=True,
            sampling=Sampling(seed=1000 * seed),
        )  # fmt: skip
        if plan is None:
            return None
        fix = Fix(plan, settings, store, bench.display, engine=bench.engine, resume=True)
        pairs = fix.pairs(
            _hand_made(plan, fix.folder.with_name(f"{fix.folder.name}-by-hand")) if arm.hand_made else None
        )
        trained = fix.train(pairs)
        selection = fix.select(trained, pairs)
        version = TrainedVersion(pairs=pairs, training=trained, selection=selection)
        adapter = plan.registered or fix.publish(version)
        # Both decodings in one start; the rerun finds its answers in the store.
        bench.answer(cases, name)
        result = fix.rerun(adapter, version)
        write_text(fix.folder / "bench.json", json.dumps({
            "reasons": result.promotion.reasons, "seconds": trained.seconds, "steps": trained.steps,
            "pairs": len(pairs), "cases": sorted({p.case_id for p in pairs}), "step": selection.step,
            "origins": {o: sum(p.origin == o for p in pairs) for o in sorted({p.origin for p in pairs})},
        }))  # fmt: skip
    else:
        bench.display.step(f"{name} is there")
    entry = read_manifest(settings.manifest_path).adapters[name]
    kept = json.loads((settings.root / entry.facts["training"] / "bench.json").read_text("utf-8"))
    facts = {
        "round": number, "status": entry.status, "blessed": entry.status == "blessed", "reasons": kept["reasons"],
        "pairs": kept["pairs"], "origins": kept["origins"], "steps": kept["steps"], "kept_step": kept["step"],
        "training_seconds": round(kept["seconds"], 1),
    }  # fmt: skip
    return bench.answer(cases, name), set(kept["cases"]), facts


def _some(cases: Sequence[Case], limit: int | None) -> list[Case]:
    """``limit`` cases in an order that nobody chose: the suite is sorted by theme and language."""
    return sorted(cases, key=lambda c: hashlib.sha256(c.id.encode()).digest())[:limit]


def _hand_made(plan: FixPlan, folder: Path) -> Path:
    """Four pairs as a person writes them: the standard answer against a loop that was typed, not observed."""
    pairs = [
        Pair(
            case_id=r.case.id,
            messages=r.case.messages,
            chosen=r.case.standard_answer or "",
            rejected=loop_copy(_opening(r.case), 8),
            origin="hand-made",
        )
        for r in spread(plan.failures, _HAND_MADE)
    ]
    return export_pairs(pairs, folder)


def _opening(case: Case) -> str:
    return (case.standard_answer or case.prompt).split("\n")[0][:120]


def _greedy(decoding: Decoding) -> Decoding:
    return Decoding(method="greedy", max_tokens=decoding.max_tokens, stop=decoding.stop)


def _to_train_on(result: CaseResult) -> bool:
    return result.case.role == "fix" and result.verdict.status is Status.FAIL
