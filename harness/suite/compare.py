"""Two adapters on the same cases: what was fixed, what broke, and whether that is more than luck.

Pairs results by case id; cases that either side could not judge are counted apart and belong to no class. Roles are
kept apart throughout: a fix that only cures the cases that it was trained on shows in ``by_role("holdout")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.cases.model import Role
from harness.judging.results import CaseResult, Status
from harness.suite.figures import judged
from harness.suite.significance import Interval, bootstrap, fisher, mcnemar, sign_flip

__all__ = ["Comparison", "Pair", "RoleComparison", "compare", "pair_up"]

ROLES: tuple[Role, ...] = ("fix", "holdout", "guard")


@dataclass(frozen=True, slots=True)
class Pair:
    """One case on both sides, judged on both."""

    before: CaseResult
    after: CaseResult

    @property
    def passed(self) -> tuple[bool, bool]:
        return self.before.verdict.status is Status.PASS, self.after.verdict.status is Status.PASS

    @property
    def sampled(self) -> bool:
        """Whether chance decided either verdict."""
        return any(r.case.decoding.method == "sample" for r in (self.before, self.after))

    @property
    def drop(self) -> float:
        """One-sided exact p that this case passes less often than before; 1 or 0 where nothing was drawn at random."""
        if not self.sampled:
            return 0.0 if self.passed == (True, False) else 1.0
        counts = [
            (sum(a.verdict.status is Status.PASS for a in r.attempts), len(r.attempts))
            for r in (self.before, self.after)
        ]
        return fisher(*counts[0], *counts[1])

    @property
    def repetition(self) -> float:
        """Rise of the repetition score; 0 where either side has none."""
        old, new = self.before.repetition, self.after.repetition
        return 0.0 if old is None or new is None else new - old


@dataclass(frozen=True, slots=True)
class RoleComparison:
    """The four classes of one set of cases: ids in suite order."""

    fixed: tuple[str, ...]
    still_failing: tuple[str, ...]
    broken: tuple[str, ...]
    still_passing: tuple[str, ...]
    unpaired: tuple[str, ...]
    """On one side only, or not judged on one of them."""
    p_broken: float
    """McNemar, exact and one-sided: probability of so many broken among the changed, were both ways equally likely."""
    p_fixed: float
    """The same for fixed."""
    repetition: Interval
    """Mean rise of the repetition score (negative: less repetition), with its bootstrap interval over cases."""
    p_repetition: float
    """Paired sign-flip test, one-sided: that the repetition score did not rise."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Before and after: all cases together, and apart by role."""

    before: str
    """Adapter."""
    after: str
    total: RoleComparison
    roles: tuple[tuple[Role, RoleComparison], ...]

    def by_role(self, role: Role) -> RoleComparison:
        """The cases of one role."""
        return dict(self.roles)[role]

    @property
    def fixed(self) -> tuple[str, ...]:
        return self.total.fixed

    @property
    def still_failing(self) -> tuple[str, ...]:
        return self.total.still_failing

    @property
    def broken(self) -> tuple[str, ...]:
        return self.total.broken

    @property
    def still_passing(self) -> tuple[str, ...]:
        return self.total.still_passing


def pair_up(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> list[Pair]:
    """The cases that both sides judged, in the order of ``after``."""
    old = {r.case.id: r for r in judged(before)}
    return [Pair(old[r.case.id], r) for r in judged(after) if r.case.id in old]


def compare(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> Comparison:
    """Compare the results of one adapter with those of another; a case has the role that it has on the later side."""
    role = {r.case.id: r.case.role for r in (*before, *after)}
    pairs = pair_up(before, after)
    paired = {p.after.case.id for p in pairs}
    unpaired = [i for i in role if i not in paired]
    return Comparison(
        before[0].adapter if before else "",
        after[0].adapter if after else "",
        _compare(pairs, unpaired),
        tuple(
            (
                name,
                _compare([p for p in pairs if role[p.after.case.id] == name], [i for i in unpaired if role[i] == name]),
            )
            for name in ROLES
        ),
    )


def _compare(pairs: Sequence[Pair], unpaired: Sequence[str]) -> RoleComparison:
    def of(was: bool, now: bool) -> tuple[str, ...]:
        return tuple(p.after.case.id for p in pairs if p.passed == (was, now))

    fixed, broken = of(False, True), of(True, False)
    rises = [p.repetition for p in pairs]
    return RoleComparison(
        fixed=fixed,
        still_failing=of(False, False),
        broken=broken,
        still_passing=of(True, True),
        unpaired=tuple(unpaired),
        p_broken=mcnemar(len(broken), len(fixed)),
        p_fixed=mcnemar(len(fixed), len(broken)),
        repetition=bootstrap(rises),
        p_repetition=sign_flip(rises),
    )
