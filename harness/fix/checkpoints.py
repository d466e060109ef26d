"""Chooses which checkpoint of a training becomes the version: the best one on cases, which is often not the last one.

More steps cure more and forget more, and the loss shows neither. So the checkpoints that a training kept answer cases,
all of them in one start of the engine, under the suite's own decoding, judged like any answer:

    failing    cases of role ``fix`` that fail on the parent: those that no pair was made from, where there are at least
               ``MIN_HELD_BACK`` of them (from a hundred failing cases on, a tenth is held back), otherwise all of them
    passing    cases of role ``fix`` that pass on the parent
    guards     all guards that pass on the parent

At most ``MAX_CASES`` of each take part, evenly spread. Holdout cases have no influence: a figure that something was
chosen by is no test. The rule, in this order: a version that may be blessed (no guard broken, no more answers cut off,
something fixed, lengths kept, not drifted away from its parent; :mod:`harness.fix.side_effects` has the limits) before
one that may not, and both before one that could not be judged; fewer guards broken; more cases passing; fewer answers
cut off; less repetition; fewer steps. A version of fewer steps has moved less away from its parent. Cut-off rates that
differ by less than ``SAME_CUTOFFS`` from the lowest one count as equal, and so do repetition scores. Answers are
stored, so those of the chosen checkpoint are not generated again when the suite runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.fix.side_effects import drift_problems, length_problem, sound_lengths
from harness.judging.results import CaseResult, Status
from harness.pairs.build import spread
from harness.runs.evaluation import Evaluation
from harness.suite.figures import figures
from trainers import Drift

__all__ = ["MAX_CASES", "MIN_HELD_BACK", "CheckpointFigures", "Selection", "choose", "judge_checkpoints", "looked_at"]

MIN_HELD_BACK = 8
"""Fewer failing holdout cases give no usable estimate."""
SAME_CUTOFFS = 0.05
"""Difference in the share of cut-off answers that is none."""
SAME_REPETITION = 0.02
"""The same for the mean clamped excess."""
MAX_CASES: Mapping[str, int] = {"failing": 48, "passing": 24, "guards": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFigures:
    """How one checkpoint did on the compared cases."""

    step: int
    fixed: int
    """Failing cases that pass."""
    broken: int
    """Passing cases, guards apart, that do not."""
    guards_broken: int
    cutoff_rate: float
    repetition: float
    """Mean clamped excess, 0..1."""
    errors: int = 0
    length_ratio: float | None = None
    """Median length of sound answers, after by before; None where there are none."""
    drift: tuple[Drift, ...] = ()
    against: tuple[str, ...] = ()
    """Why a version of these lengths and this drift may not be blessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen checkpoint and the figures behind the choice."""

    step: int
    steps: int
    """Of the whole training."""
    failing: int = 0
    """Failing cases that were looked at ..."""
    held_back: bool = False
    """... and whether the training had not seen them."""
    passing: int = 0
    guards: int = 0
    checkpoints: tuple[CheckpointFigures, ...] = ()
    """Oldest first; none where there was nothing to choose from."""
    note: str = ""


def looked_at(results: Sequence[CaseResult], trained_on: set[str]) -> tuple[tuple[CaseResult, ...], bool]:
    """The parent's results that checkpoints are compared on, and whether their failing cases were held back."""
    failing = [r for r in results if r.case.role == "fix" and r.verdict.status is Status.FAIL]
    held = [r for r in failing if r.case.id not in trained_on]
    kept = len(held) >= MIN_HELD_BACK
    passed = [r for r in results if r.verdict.status is Status.PASS]
    return (
        *spread(held if kept else failing, MAX_CASES["failing"]),
        *spread([r for r in passed if r.case.role == "fix"], MAX_CASES["passing"]),
        *spread([r for r in passed if r.case.role == "guard"], MAX_CASES["guards"]),
    ), kept


def judge_checkpoints(
    evaluation: Evaluation,
    before: Sequence[CaseResult],
    steps: Mapping[str, int],
    drift: Mapping[int, tuple[Drift, ...]],
    max_drift: float,
) -> tuple[CheckpointFigures, ...]:
    """Run the cases of ``before`` on every checkpoint.

    Args:
        evaluation: a fresh one whose manifest knows the checkpoints; the caller closes it.
        before: the parent's results.
        steps: adapter names of the checkpoints, oldest first, with their steps.
        drift: by step, as the training measured it.
        max_drift: limit of the divergence, in nats a token.

    Raises:
        HarnessError: the engine broke, or an adapter has no effect.
    """
    pairs = [(r.case, name) for name in steps for r in before]
    after = evaluation.run(pairs, {"kind": "selection", "command": ["harness", "fix"]})
    return tuple(
        _figures(step, before, [r for r in after if r.adapter == name], drift[step], max_drift)
        for name, step in steps.items()
    )


def choose(checkpoints: Sequence[CheckpointFigures], cutoff_before: float) -> int:
    """The step of the best checkpoint, by the rule at the top of this module.

    Args:
        checkpoints: at least one.
        cutoff_before: the parent's share of cut-off answers on the same cases.
    """
    # A checkpoint that could not be judged, since it is too weak to be proved, has no figures.
    judged = [c for c in checkpoints if not c.errors]
    cutoffs = min((c.cutoff_rate for c in judged), default=0.0)
    repetition = min((c.repetition for c in judged), default=0.0)

    def rank(c: CheckpointFigures) -> tuple[float, ...]:
        if c.errors:
            return 2, c.errors, 0, 0, 0, -c.step
        refused = bool(c.guards_broken or c.cutoff_rate > cutoff_before or not c.fixed or c.against)
        more = int((c.cutoff_rate - cutoffs) / SAME_CUTOFFS), int((c.repetition - repetition) / SAME_REPETITION)
        return refused, c.guards_broken, c.broken - c.fixed, *more, c.step

    return min(checkpoints, key=rank).step


def _figures(
    step: int,
    before: Sequence[CaseResult],
    after: Sequence[CaseResult],
    drift: tuple[Drift, ...],
    max_drift: float,
) -> CheckpointFigures:
    lengths = sound_lengths(before, after)
    problem = length_problem(lengths)
    passes = {r.case.id: r.verdict.status is Status.PASS for r in after}
    was = {r.case.id: r.verdict.status is Status.PASS for r in before}
    guards = {r.case.id for r in before if r.case.role == "guard"}
    lost = [i for i, passed in was.items() if passed and not passes.get(i)]
    summary = figures(after)
    return CheckpointFigures(
        step=step,
        fixed=sum(not passed and bool(passes.get(i)) for i, passed in was.items()),
        broken=sum(i not in guards for i in lost),
        guards_broken=sum(i in guards for i in lost),
        cutoff_rate=summary.cutoffs.value,
        repetition=summary.repetition.value,
        errors=sum(r.verdict.status is Status.ERROR for r in after),
        length_ratio=lengths.ratio,
        drift=drift,
        against=(*((problem,) if problem else ()), *drift_problems(drift, max_drift)),
    )
