"""Two adapters on the same cases: what was fixed, what broke, and whether that is more than chance.

Every case gets one class, here and nowhere else: reports, the gate and the fix use :func:`changes`, :func:`pair_up` and
:func:`compare`. A case that either side did not judge is ``not judged``. Roles stay apart throughout: a fix that cures
only the cases that it was trained on shows in ``by_role("holdout")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.cases.model import Role
from harness.judging.results import CaseResult, Status
from harness.suite.figures import judged
from harness.suite.significance import Interval, bootstrap, fisher, mcnemar, sign_flip

__all__ = [
    "CHANGE_ORDER",
    "ROLES",
    "Change",
    "ChangeKind",
    "Comparison",
    "Paired",
    "RoleComparison",
    "changes",
    "compare",
    "pair_up",
]

ChangeKind = Literal["broken", "fixed", "still failing", "not judged", "still passing"]

CHANGE_ORDER: tuple[ChangeKind, ...] = ("broken", "fixed", "still failing", "not judged", "still passing")
"""The order to show: what changed first, and the worse half of it before the better."""

ROLES: tuple[Role, ...] = ("fix", "holdout", "guard")
"""The order to show."""


@dataclass(frozen=True, slots=True)
class Change:
    """One case on both sides of a comparison."""

    kind: ChangeKind
    before: CaseResult | None
    after: CaseResult | None

    @property
    def result(self) -> CaseResult:
        """The newer result, or the older one where there is no newer; the case is the same."""
        result = self.after or self.before
        if result is None:
            raise ValueError("a change needs at least one side")
        return result


@dataclass(frozen=True, slots=True)
class Paired:
    """One case that both sides judged."""

    before: CaseResult
    after: CaseResult

    @property
    def broken(self) -> bool:
        """Whether the case passed before and fails now. An expected failure (``xfail``) is not broken."""
        return change_kind(self.before, self.after) == "broken" and not self.after.expected_failure

    @property
    def fixed(self) -> bool:
        """Whether the case failed before and passes now."""
        return change_kind(self.before, self.after) == "fixed"

    @property
    def sampled(self) -> bool:
        """Whether either verdict depends on sampling."""
        return any(r.case.decoding.method == "sample" for r in (self.before, self.after))

    @property
    def drop(self) -> float:
        """One-sided exact p-value that the case passes less often than before; 0 or 1 without sampling."""
        if not self.sampled:
            return 0.0 if self.broken else 1.0
        (passes_before, n_before), (passes_after, n_after) = (
            (sum(a.verdict.status is Status.PASS for a in r.attempts), len(r.attempts))
            for r in (self.before, self.after)
        )
        return fisher(passes_before, n_before, passes_after, n_after)

    @property
    def repetition(self) -> float:
        """Rise of the repetition score; 0 where either side has none."""
        old, new = self.before.repetition, self.after.repetition
        return 0.0 if old is None or new is None else new - old


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleComparison:
    """The classes of one set of cases, as ids in suite order, with the tests on them."""

    fixed: tuple[str, ...]
    still_failing: tuple[str, ...]
    broken: tuple[str, ...]
    still_passing: tuple[str, ...]
    unpaired: tuple[str, ...]
    """Cases on one side only, or not judged on one of them."""
    p_broken: float
    """McNemar's exact test, one-sided: probability of as many broken cases among the changed ones by chance."""
    p_fixed: float
    """The same for fixed cases."""
    repetition: Interval
    """Mean rise of the repetition score (negative: less repetition), with its bootstrap interval over cases."""
    p_repetition: float
    """Paired sign-flip test, one-sided, that the repetition score did not rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Before and after: all cases together, and by role."""

    before: str
    """Name of the earlier adapter."""
    after: str
    """Name of the later adapter."""
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


def change_kind(before: CaseResult | None, after: CaseResult | None) -> ChangeKind:
    """The class of one case."""
    judged_statuses = (Status.PASS, Status.FAIL)
    if before is None or after is None:
        return "not judged"
    old, new = before.verdict.status, after.verdict.status
    if old not in judged_statuses or new not in judged_statuses:
        return "not judged"
    if new is Status.PASS:
        return "still passing" if old is Status.PASS else "fixed"
    return "still failing" if old is Status.FAIL else "broken"


def changes(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> tuple[Change, ...]:
    """Every case of either side with its class, in :data:`CHANGE_ORDER`, then in suite order."""
    old = {r.case.id: r for r in before}
    new = {r.case.id: r for r in after}
    every = [
        Change(kind=change_kind(old.get(i), new.get(i)), before=old.get(i), after=new.get(i))
        for i in dict.fromkeys((*new, *old))
    ]
    return tuple(sorted(every, key=lambda change: CHANGE_ORDER.index(change.kind)))


def pair_up(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> list[Paired]:
    """The cases that both sides judged, in the order of ``after``."""
    old = {r.case.id: r for r in judged(before)}
    return [Paired(before=old[r.case.id], after=r) for r in judged(after) if r.case.id in old]


def compare(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> Comparison:
    """Compare the results of one adapter with those of another; a case has the role that it has on the later side."""
    every = changes(before, after)
    return Comparison(
        before=before[0].adapter if before else "",
        after=after[0].adapter if after else "",
        total=_compare(every, before, after),
        roles=tuple(
            (role, _compare([c for c in every if c.result.case.role == role], before, after)) for role in ROLES
        ),
    )


def _compare(every: Sequence[Change], before: Sequence[CaseResult], after: Sequence[CaseResult]) -> RoleComparison:
    order = {case_id: n for n, case_id in enumerate(dict.fromkeys(r.case.id for r in (*after, *before)))}

    def ids(kind: ChangeKind) -> tuple[str, ...]:
        return tuple(sorted((c.result.case.id for c in every if c.kind == kind), key=order.__getitem__))

    fixed, broken = ids("fixed"), ids("broken")
    in_order = sorted(every, key=lambda change: order[change.result.case.id])
    rises = [
        Paired(before=c.before, after=c.after).repetition
        for c in in_order
        if c.kind != "not judged" and c.before is not None and c.after is not None
    ]
    return RoleComparison(
        fixed=fixed,
        still_failing=ids("still failing"),
        broken=broken,
        still_passing=ids("still passing"),
        unpaired=ids("not judged"),
        p_broken=mcnemar(len(broken), len(fixed)),
        p_fixed=mcnemar(len(fixed), len(broken)),
        repetition=bootstrap(rises),
        p_repetition=sign_flip(rises),
    )
