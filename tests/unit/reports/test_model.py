"""What reports derive from a run: figures, changes and the sentence that comes first."""

from __future__ import annotations

import dataclasses

import pytest

from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.reports.model import headline, shortfall
from harness.suite.compare import Change, changes
from harness.suite.figures import figures
from tests.support.builders import case, looped, report, result

ANSWER, LOOPS = looped("", "The waves roll in and out again,\n", 40)
FAILED = Verdict(Status.ERROR, (Reason(rule="engine", text="out of memory"),))


def passing(case_id: str = "f/a", adapter: str = "v4.0") -> CaseResult:
    return result(case(case_id), adapter=adapter)


def failing(case_id: str = "f/a", adapter: str = "v4.0", weight: float = 1.0) -> CaseResult:
    return result(case(case_id, weight=weight), ANSWER, LOOPS, adapter=adapter)


def broken(case_id: str = "f/a", adapter: str = "v4.0") -> CaseResult:
    return result(case(case_id), adapter=adapter, verdict=FAILED)


def test_the_repeater_rate_counts_only_cases_that_were_judged() -> None:
    """An engine failure neither helps nor harms the rate."""
    found = figures([passing("f/a"), failing("f/b"), broken("f/c")])
    assert found.repeaters.estimate == 0.5
    assert (found.passed, found.failed, found.errors) == (1, 1, 1)
    assert found.cutoffs.estimate == 0.5


def test_the_repetition_score_is_weighted() -> None:
    """A case that weighs three times as much counts three times."""
    assert figures([passing("f/a"), failing("f/b", weight=3.0)]).repetition.estimate == pytest.approx(0.75)


def test_nothing_measured_has_no_figures() -> None:
    """No number is made up for an empty suite or for one that only broke."""
    for results in ([], [broken()]):
        found = figures(results)
        assert found.repetition.estimate is found.repeaters.estimate is found.cutoffs.estimate is None


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (passing(), failing(), "broken"),
        (failing(), passing(), "fixed"),
        (failing(), failing(), "still failing"),
        (passing(), passing(), "still passing"),
        (passing(), broken(), "not judged"),
        (broken(), passing(), "not judged"),
    ],
    ids=["broken", "fixed", "failing", "passing", "lost", "found"],
)
def test_a_case_changes_in_one_of_five_ways(before: CaseResult, after: CaseResult, kind: str) -> None:
    """An error on either side is never called fixed, broken or passing."""
    (change,) = changes([before], [after])
    assert change.kind == kind


def test_what_got_worse_comes_first() -> None:
    """Broken, fixed, still failing, not told, still passing."""
    before = [passing("f/a"), failing("f/b"), failing("f/c"), passing("f/d"), passing("f/e")]
    after = [passing("f/a"), failing("f/b"), passing("f/c"), failing("f/d"), broken("f/e")]
    assert [c.kind for c in changes(before, after)] == [
        "broken",
        "fixed",
        "still failing",
        "not judged",
        "still passing",
    ]


def test_a_case_that_ran_on_one_side_only_is_not_told() -> None:
    """A case that vanished is not silently left out."""
    found = changes([passing("f/a")], [passing("f/b")])
    assert {(c.result.case.id, c.kind) for c in found} == {("f/a", "not judged"), ("f/b", "not judged")}


def test_a_change_has_at_least_one_side() -> None:
    """An empty one is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least one side"):
        _ = Change("not judged", None, None).result


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([], "No case was run"),
        ([passing("f/a"), passing("f/b")], "v4.0: all 2 cases pass"),
        ([passing("f/a"), failing("f/b")], "v4.0: 1 of 2 cases fail (1 repeat themselves)"),
        ([broken("f/a")], "v4.0: 1 could not be judged"),
        ([failing(), passing(adapter="v4.1")], "v4.1 against v4.0: 1 fixed"),
        ([failing(), broken(adapter="v4.1")], "v4.1 against v4.0: 1 not judged"),
    ],
    ids=["nothing", "all", "some", "error", "two", "two-lost"],
)
def test_the_run_is_told_in_one_sentence(results: list[CaseResult], words: str) -> None:
    """The first line of every report."""
    assert headline(report(*results)) == words


def test_results_of_an_earlier_run_fill_no_gap() -> None:
    """A baseline is compared with, but a run that lacks results still says so."""
    whole = report(passing(), failing(adapter="v4.1"))
    earlier = dataclasses.replace(whole.adapters[0], earlier=True)
    assert shortfall(whole) is None
    assert shortfall(dataclasses.replace(whole, adapters=(earlier, whole.adapters[1]))) is not None


def test_a_run_that_was_cut_short_says_so() -> None:
    """Missing results are never taken for good ones."""
    assert shortfall(report(passing())) is None
    assert shortfall(report(passing(), status="interrupted")) == "This run was interrupted: 1 of 1 results are here"
