"""Whether a new adapter may replace its parent.

Fixed cases alone do not bless a version. It stays a candidate, and the reasons are named, where it

- breaks a guard, cuts more answers off, or fixes no case,
- answers at another length, or has drifted away from its parent (:mod:`harness.fix.side_effects`).

A person may still bless it by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.fix.side_effects import drift_problems, length_problem, sound_lengths
from harness.judging.results import CaseResult, Status
from harness.language import tr
from harness.suite.compare import ROLES, Comparison, pair_up
from harness.suite.figures import figures
from trainers import Drift

__all__ = ["Effect", "Promotion", "decide", "effects"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """The decision, and every reason against."""

    blessed: bool
    reasons: tuple[str, ...]
    """Why not; empty when blessed."""
    lengths_compared: bool = True
    """Whether there were enough sound answers for their lengths to have a say."""


def decide(
    comparison: Comparison,
    before: Sequence[CaseResult],
    after: Sequence[CaseResult],
    *,
    suite_cases: int,
    drift: Sequence[Drift] = (),
    max_drift: float = 0.0,
) -> Promotion:
    """Decide whether an adapter may replace its parent, on the same cases.

    Args:
        comparison: parent to adapter.
        before: the parent's results.
        after: the adapter's results; must be complete.
        suite_cases: number of cases that must have run for a blessing: all of the suite, or 0 for no such condition.
        drift: how far the adapter has moved away from its parent, as its training measured it; empty: not measured.
        max_drift: limit of its divergence, in nats a token; 0 is no limit.
    """
    against: list[str] = []
    if len(after) < suite_cases:
        against.append(tr("only {n} of the suite's {total} cases were run", n=len(after), total=suite_cases))
    errors = sum(r.verdict.status is Status.ERROR for r in after)
    if errors:
        against.append(tr("cases without a judgement: {n}", n=errors))
    if {r.case.id for r in before} - {r.case.id for r in after}:
        against.append(tr("not every case was run again"))
    broken = comparison.by_role("guard").broken
    if broken:
        against.append(tr("broken guard cases: {n} ({names})", n=len(broken), names=", ".join(broken[:5])))
    old, new = figures(before).cutoffs.value, figures(after).cutoffs.value
    if new > old:
        against.append(tr("more answers are cut off: {new} of them, {old} before", new=f"{new:.0%}", old=f"{old:.0%}"))
    if not comparison.fixed:
        against.append(tr("no case was fixed"))
    lengths = sound_lengths(before, after)
    against += [problem] if (problem := length_problem(lengths)) else []
    against += drift_problems(drift, max_drift)
    return Promotion(not against, tuple(against), lengths.comparable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The effect of a version on the cases of one role that both sides judged; pairs are (before, after)."""

    role: str
    """``fix``, ``holdout``, ``guard`` or ``all``."""
    cases: int
    repeaters: tuple[int, int]
    cutoffs: tuple[int, int]
    """Cases with an answer that did not end by itself."""
    repetition: tuple[float, float]
    """Mean clamped excess, 0..1."""
    similarity: tuple[float, float] | None
    """Mean to the standard answer; None where no case has one."""
    length_ratio: float | None
    """Median length (units) of sound answers after, by that before, of the cases that are sound on both sides; None
    where there are none."""
    length_all: float | None = None
    """The same over all sound answers, cured ones among those after."""


def effects(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> tuple[Effect, ...]:
    """Before and after by role, and overall; roles without cases are left out."""
    pairs = [(p.before, p.after) for p in pair_up(before, after)]
    groups = {"all": pairs} | {role: [p for p in pairs if p[1].case.role == role] for role in ROLES}
    return tuple(_effect(role, groups[role]) for role in (*ROLES, "all") if groups[role])


def _effect(role: str, pairs: Sequence[tuple[CaseResult, CaseResult]]) -> Effect:
    old, new = [p[0] for p in pairs], [p[1] for p in pairs]
    sides = [figures(side) for side in (old, new)]
    lengths = sound_lengths(old, new)
    return Effect(
        role=role,
        cases=len(pairs),
        repeaters=(sides[0].repeating, sides[1].repeating),
        cutoffs=(sides[0].cutting_off, sides[1].cutting_off),
        repetition=(sides[0].repetition.value, sides[1].repetition.value),
        similarity=(sides[0].similarity.value, sides[1].similarity.value) if sides[1].similarity.n else None,
        length_ratio=lengths.paired_ratio,
        length_all=lengths.ratio,
    )
