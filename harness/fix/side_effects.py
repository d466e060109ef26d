"""What a fix changes beside what it fixes: the length of sound answers, and the distributions on other texts.

An answer is sound here when it does not loop and ended by itself; one that was cut off has no length of its own. There
are two medians to compare, and each alone misleads. Over all sound answers, cured ones count after and not before, and
they often answer prompts that ask for more. Over the cases that are sound on both sides, answers that rambled to the
limit become shorter, which is part of the cure. So the lengths have changed when both medians say so. A case with
``max_length_ratio`` says itself how long its answer may be, and to make it shorter is the fix; it is not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.judging.results import CaseResult
from harness.language import tr
from harness.suite.compare import pair_up
from harness.suite.figures import cut_off
from trainers import Drift

__all__ = ["LENGTHS", "MIN_SOUND", "SoundLengths", "drift_problems", "length_problem", "sound_lengths"]

LENGTHS = (0.8, 1.25)
"""Range of the median length of sound answers, in lengths before, that is no change."""
MIN_SOUND = 8
"""Minimum number of answers on each side for a median to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundLengths:
    """Median lengths of sound first answers, in units."""

    before: float | None = None
    """Of all that are sound before; None where none is."""
    after: float | None = None
    paired_before: float | None = None
    """Of the cases that are sound on both sides; None where there are none."""
    paired_after: float | None = None
    cases: int = 0
    """Cases that are sound on both sides."""
    fewest: int = 0
    """Sound answers on the side that has fewer."""

    @property
    def comparable(self) -> bool:
        """Whether there are enough answers for the medians to tell anything."""
        return self.fewest >= MIN_SOUND and (self.ratio is not None or self.paired_ratio is not None)

    @property
    def ratio(self) -> float | None:
        """After by before over all sound answers."""
        return _ratio(self.before, self.after)

    @property
    def paired_ratio(self) -> float | None:
        """After by before over the cases that are sound on both sides."""
        return _ratio(self.paired_before, self.paired_after)


def sound_lengths(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> SoundLengths:
    """The lengths of both sides; cases that only one side has, or with a limit of their own, do not count."""
    pairs = [(p.before, p.after) for p in pair_up(before, after) if not p.after.case.thresholds.max_length_ratio]
    sides = [[_length(p[side]) for p in pairs] for side in (0, 1)]
    all_before, all_after = ([v for v in side if v is not None] for side in sides)
    both = [(a, b) for a, b in zip(*sides, strict=True) if a is not None and b is not None]
    return SoundLengths(
        before=median(all_before) if all_before else None,
        after=median(all_after) if all_after else None,
        paired_before=median(a for a, _ in both) if both else None,
        paired_after=median(b for _, b in both) if both else None,
        cases=len(both),
        fewest=min(len(all_before), len(all_after)),
    )


def length_problem(lengths: SoundLengths) -> str | None:
    """Why the lengths speak against a version; None where they do not, or are too few to tell."""
    ratios = [r for r in (lengths.ratio, lengths.paired_ratio) if r is not None]
    if not lengths.comparable:
        return None
    low, high = LENGTHS
    if max(ratios) >= low and min(ratios) <= high:
        return None
    return tr(
        "sound answers became {way}: a median of {after} units, {before} before; {paired_after} and {paired_before} "
        "over the {n} cases that are sound on both sides ({low} to {high} times is kept)",
        way=tr("shorter") if max(ratios) < low else tr("longer"),
        after=f"{lengths.after:.0f}", before=f"{lengths.before:.0f}", paired_after=f"{lengths.paired_after or 0:.0f}",
        paired_before=f"{lengths.paired_before or 0:.0f}", n=lengths.cases, low=f"{low:g}", high=f"{high:g}",
    )  # fmt: skip


def drift_problems(drift: Sequence[Drift], limit: float) -> list[str]:
    """One line for each kind of watched text on which the model has moved too far; a limit of 0 is none."""
    if not limit:
        return []
    names = {"guard": tr("the guards' answers"), "ordinary": tr("ordinary texts")}
    return [
        tr(
            "it has moved away from its parent on {texts}: a divergence of {kl} nats a token, more than max_drift = "
            "{limit}",
            texts=names.get(d.kind, d.kind),
            kl=f"{d.kl:.3f}",
            limit=f"{limit:g}",
        )
        for d in drift
        if not d.kl <= limit
    ]


def _length(result: CaseResult) -> float | None:
    """Units of a sound first answer; None for another."""
    attempt = result.attempts[0] if result.attempts else None
    if attempt is None or attempt.scores is None or result.verdict.repeater or cut_off(result):
        return None
    return float(attempt.scores.values["units"])


def _ratio(before: float | None, after: float | None) -> float | None:
    return after / before if before and after is not None else None
