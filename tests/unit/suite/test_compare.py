"""Two versions on the same cases: each case has one class, and the numbers say which side they are of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cases.decoding import Decoding
from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.suite.compare import CHANGE_ORDER, ROLES, Change, Paired, changes, compare, pair_up
from tests.support.builders import case, result, samples

GOOD = Verdict(Status.PASS)
BAD = Verdict(Status.FAIL, (Reason(rule="similarity", text="too far"),))
ERROR = Verdict(Status.ERROR, (Reason(rule="engine", text="it broke"),))


def one(name: str, verdict: Verdict = GOOD, repetition: float = 0.0, adapter: str = "v1") -> CaseResult:
    return result(case(f"badcase1/{name}"), adapter=adapter, verdict=verdict, values={"repetition": repetition})


def sampled(passes: int, of: int = 4, method: str = "sample") -> CaseResult:
    """A case of several samples, of which so many pass."""
    decoding = Decoding(method="sample", temperature=0.7, samples=of) if method == "sample" else Decoding()
    attempts = samples(passes, of, GOOD, BAD)
    return CaseResult(case(decoding=decoding), "v1", attempts, GOOD if passes else BAD)


def test_a_change_is_shown_by_its_newer_result() -> None:
    """Or by the older one where there is no newer; by neither it is none."""
    old, new = one("a"), one("a", BAD)
    assert Change("broken", old, new).result is new
    assert Change("not judged", old, None).result is old
    with pytest.raises(ValueError, match="at least one side"):
        _ = Change("not judged", None, None).result


def test_an_expected_failure_is_not_broken() -> None:
    """Its mark says that it may fail; a case that is fixed is fixed with or without one."""
    marked = replace(case("badcase1/a"), xfail="known")
    failing, passing = result(marked, verdict=BAD), result(marked)
    assert not Paired(passing, failing).broken
    assert Paired(one("a"), one("a", BAD)).broken
    assert Paired(failing, passing).fixed
    assert not Paired(passing, failing).fixed


@pytest.mark.parametrize(
    ("before", "after", "drop"), [(GOOD, BAD, 0.0), (BAD, GOOD, 1.0), (GOOD, GOOD, 1.0), (BAD, BAD, 1.0)], ids=str
)
def test_without_sampling_a_drop_is_a_fact(before: Verdict, after: Verdict, drop: float) -> None:
    """0 where the case broke, otherwise 1."""
    assert Paired(one("a", before), one("a", after)).drop == drop


def test_with_sampling_a_drop_is_tested_on_the_samples() -> None:
    """Four of four and then none: one in seventy; the other way round there is no drop."""
    assert Paired(sampled(4), sampled(0)).drop == pytest.approx(1 / 70)
    assert Paired(sampled(0), sampled(4)).drop == 1.0
    assert Paired(sampled(4), sampled(4)).drop == 1.0


def test_sampling_on_one_side_is_enough_to_need_a_test() -> None:
    """Chance had its hand in that verdict."""
    assert Paired(sampled(4), sampled(0, method="beam")).sampled
    assert Paired(sampled(4, method="beam"), sampled(0)).sampled
    assert not Paired(sampled(4, method="beam"), sampled(0, method="beam")).sampled


def test_a_rise_is_the_newer_score_less_the_older_one() -> None:
    """0 where either side has none."""
    assert Paired(one("a", GOOD, 0.1), one("a", GOOD, 0.4)).repetition == pytest.approx(0.3)
    bare = replace(one("a"), attempts=())
    assert Paired(bare, one("a", GOOD, 0.4)).repetition == 0.0
    assert Paired(one("a", GOOD, 0.4), bare).repetition == 0.0


def test_changes_come_worst_first_and_then_in_suite_order() -> None:
    """Cases of one side only are not judged; each case is there once."""
    before = [one("p"), one("f", BAD), one("x"), one("b2"), one("b1"), one("s", BAD)]
    after = [one("p"), one("f"), one("b1", BAD), one("b2", BAD), one("s", BAD), one("new"), one("e", ERROR)]
    found = changes(before, after)
    assert [(c.kind, c.result.case.id.removeprefix("badcase1/")) for c in found] == [
        ("broken", "b1"), ("broken", "b2"), ("fixed", "f"), ("still failing", "s"), ("not judged", "new"),
        ("not judged", "e"), ("not judged", "x"), ("still passing", "p"),
    ]  # fmt: skip
    assert tuple(dict.fromkeys(c.kind for c in found)) == CHANGE_ORDER


@pytest.mark.parametrize("other", [GOOD, BAD], ids=["passed", "failed"])
def test_a_case_that_one_side_did_not_judge_has_no_class(other: Verdict) -> None:
    """Whichever side it is; a break of the engine breaks no case."""
    for before, after in ((one("a", other), one("a", ERROR)), (one("a", ERROR), one("a", other))):
        (change,) = changes([before], [after])
        assert change.kind == "not judged"


def test_only_cases_that_both_sides_judged_are_paired() -> None:
    """In the order of the newer side, the older result first."""
    before = [one("a"), one("b", BAD), one("c", ERROR), one("old")]
    after = [one("b"), one("a", BAD), one("c"), one("new")]
    assert [(p.before, p.after) for p in pair_up(before, after)] == [(before[1], after[0]), (before[0], after[1])]


def test_a_comparison_names_both_versions() -> None:
    """A side without results has no name."""
    found = compare([one("a", adapter="v1")], [one("a", adapter="v2")])
    assert (found.before, found.after) == ("v1", "v2")
    assert (compare([], []).before, compare([], []).after) == ("", "")
    assert tuple(role for role, _ in found.roles) == ROLES


def test_totals_are_those_of_all_cases_in_suite_order() -> None:
    """Each class by its own name, with its test."""
    before = [one("f2", BAD), one("f1", BAD), one("s", BAD), one("b"), one("p")]
    after = [one("f1"), one("f2"), one("s", BAD), one("b", BAD), one("p")]
    found = compare(before, after)
    assert found.fixed == ("badcase1/f1", "badcase1/f2")
    assert (found.still_failing, found.broken, found.still_passing) == (
        ("badcase1/s",), ("badcase1/b",), ("badcase1/p",),
    )  # fmt: skip
    assert found.total.p_broken == pytest.approx(7 / 8)
    assert found.total.p_fixed == pytest.approx(1 / 2)


def test_the_rise_is_measured_over_cases_that_both_sides_judged() -> None:
    """A case in error has no rise, whatever its score."""
    before = [one("a", GOOD, 0.2), one("b", GOOD, 0.2), one("c", ERROR)]
    after = [one("a", GOOD, 0.4), one("b", GOOD, 0.2), one("c", GOOD, 1.0)]
    found = compare(before, after).total.repetition
    assert found.value == pytest.approx(0.1)
    assert found.n == 2
    assert compare(before, after).total.p_repetition == pytest.approx(0.5)
