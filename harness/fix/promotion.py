"""Whether a new adapter may replace its parent.

Fixed cases alone do not bless a version. It stays a candidate, and the reasons are named, where it

- breaks a guard, cuts more answers off, or fixes no case,
- answers at another length: the median length of answers that are sound on both sides has left ``LENGTHS``,
- has drifted: on watched texts its distributions have diverged from the parent's by more than ``max_drift``.

A person may still bless it by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.judging.results import CaseResult, Status
from harness.suite.compare import ROLES, Comparison, pair_up
from harness.suite.figures import figures
from trainers import Drift

__all__ = [
    "LENGTHS", "Effect", "Promotion", "SoundLengths", "decide", "drift_problems", "effects", "length_problem",
    "sound_lengths",
]  # fmt: skip

LENGTHS = (0.8, 1.25)
"""Range of the median length of sound answers, in lengths before, that is no change."""
MIN_SOUND = 8
"""Minimum number of cases that are sound on both sides for a median to count."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """The decision, and every reason against."""

    blessed: bool
    reasons: tuple[str, ...]
    """Why not; empty when blessed."""


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
        against.append(f"only {len(after)} of the suite's {suite_cases} cases were run")
    errors = sum(r.verdict.status is Status.ERROR for r in after)
    if errors:
        against.append(f"cases without a judgement: {errors}")
    if {r.case.id for r in before} - {r.case.id for r in after}:
        against.append("not every case was run again")
    broken = comparison.by_role("guard").broken
    if broken:
        against.append(f"broken guard cases: {len(broken)} ({', '.join(broken[:5])})")
    old, new = figures(before).cutoffs.value, figures(after).cutoffs.value
    if new > old:
        against.append(f"more answers are cut off: {new:.0%} of them, {old:.0%} before")
    if not comparison.fixed:
        against.append("no case was fixed")
    against += [problem] if (problem := length_problem(sound_lengths(before, after))) else []
    against += drift_problems(drift, max_drift)
    return Promotion(not against, tuple(against))


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundLengths:
    """Lengths of first answers, of the cases that loop on neither side."""

    cases: int
    before: float = 0.0
    """Median, in units."""
    after: float = 0.0

    @property
    def ratio(self) -> float | None:
        """After by before; None where there is nothing to compare."""
        return self.after / self.before if self.cases and self.before else None


def sound_lengths(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> SoundLengths:
    """Paired by case, since a cured case has no sound length before."""
    return _sound([(p.before, p.after) for p in pair_up(before, after)])


def length_problem(lengths: SoundLengths) -> str | None:
    """Why the lengths speak against a version; None where they do not, or are too few to tell."""
    ratio = lengths.ratio
    if ratio is None or lengths.cases < MIN_SOUND or LENGTHS[0] <= ratio <= LENGTHS[1]:
        return None
    return (
        f"sound answers became {'shorter' if ratio < 1 else 'longer'}: a median of {lengths.after:.0f} words, "
        f"{lengths.before:.0f} before ({ratio:.2f} of it; {LENGTHS[0]:g} to {LENGTHS[1]:g} is kept)"
    )


def drift_problems(drift: Sequence[Drift], limit: float) -> list[str]:
    """One line for each kind of watched text on which the model has moved too far; a limit of 0 is none."""
    if not limit:
        return []
    names = {"guard": "the guards' answers", "ordinary": "ordinary texts"}
    return [
        f"it has moved away from its parent on {names.get(d.kind, d.kind)}: a divergence of {d.kl:.3f} nats a token, "
        f"more than max_drift = {limit:g}"
        for d in drift
        if not d.kl <= limit
    ]


def _sound(pairs: Sequence[tuple[CaseResult, CaseResult]]) -> SoundLengths:
    sound = [p for p in pairs if not any(r.verdict.repeater for r in p)]
    was, now = (_lengths([p[side] for p in sound]) for side in (0, 1))
    if not was or not now:
        return SoundLengths(cases=0)
    return SoundLengths(cases=len(now), before=median(was), after=median(now))


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
    """Median length (units) of the answers after, by that before, of cases that loop on neither side; None where all
    do. Paired, since a cured case has no sound length before."""


def effects(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> tuple[Effect, ...]:
    """Before and after by role, and overall; roles without cases are left out."""
    pairs = [(p.before, p.after) for p in pair_up(before, after)]
    groups = {"all": pairs} | {role: [p for p in pairs if p[1].case.role == role] for role in ROLES}
    return tuple(_effect(role, groups[role]) for role in (*ROLES, "all") if groups[role])


def _effect(role: str, pairs: Sequence[tuple[CaseResult, CaseResult]]) -> Effect:
    old, new = [p[0] for p in pairs], [p[1] for p in pairs]
    sides = [figures(side) for side in (old, new)]
    return Effect(
        role=role,
        cases=len(pairs),
        repeaters=(sides[0].repeating, sides[1].repeating),
        cutoffs=(sides[0].cutting_off, sides[1].cutting_off),
        repetition=(sides[0].repetition.value, sides[1].repetition.value),
        similarity=(sides[0].similarity.value, sides[1].similarity.value) if sides[1].similarity.n else None,
        length_ratio=_sound(pairs).ratio,
    )


def _lengths(results: Sequence[CaseResult]) -> list[float]:
    return [a.scores.values["units"] for r in results for a in r.attempts[:1] if a.scores is not None]
