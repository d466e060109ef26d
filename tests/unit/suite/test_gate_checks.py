"""Each limit of the gate is kept up to and including its value, says what it measured, and decides by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.cases.model import Case, Role
from harness.engines.base import FinishReason
from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.judging.verdict import combine
from harness.project.settings import Limits
from harness.suite.gate import GateCheck, GateOutcome, GateVerdict, combine_gates, judge_suite
from tests.support.builders import case, failed_gate, result, samples

GOOD = Verdict(Status.PASS)
BAD = Verdict(Status.FAIL, (Reason(rule="similarity", text="too far"),))
LOOP = Verdict(Status.FAIL, (Reason(rule="loop", text="it loops", repetition=True),))
ERROR = Verdict(Status.ERROR, (Reason(rule="engine", text="it broke"),))


def one(
    name: str, verdict: Verdict = GOOD, repetition: float = 0.0, *, role: Role = "fix", ended: FinishReason = "stop",
    xfail: str = "",
) -> CaseResult:  # fmt: skip
    of = replace(case(f"badcase1/{name}", role=role), xfail=xfail)
    return result(of, verdict=verdict, values={"repetition": repetition}, finish_reason=ended)


def many(count: int, verdict: Verdict = GOOD, repetition: float = 0.0, **fields: Any) -> list[CaseResult]:
    return [one(str(i), verdict, repetition, **fields) for i in range(count)]


def judge(results: Sequence[CaseResult], before: Any = None, **limits: Any) -> GateVerdict:
    return judge_suite(results, Limits(**limits), before, complete=True)


def check(found: GateVerdict, name: str) -> GateCheck:
    """The one check of that name."""
    (only,) = [c for c in found.checks if c.name == name]
    return only


HALF = [one("0", LOOP, 0.5, ended="length"), one("1", GOOD, 0.5)]


@pytest.mark.parametrize(
    ("limit", "name"),
    [("max_repetition", "repetition"), ("max_repeater_rate", "repeater_rate"), ("max_cutoff_rate", "cutoff_rate")],
)
def test_a_figure_at_its_limit_keeps_it(limit: str, name: str) -> None:
    """A half is allowed where a half is the limit, and not where it is a little less."""
    kept = check(judge(HALF, **{limit: 0.5}), name)
    assert (kept.outcome, kept.value, kept.limit) == (GateOutcome.PASSED, 0.5, 0.5)
    assert check(judge(HALF, **{limit: 0.499}), name).outcome is GateOutcome.FAILED


@pytest.mark.parametrize("limit", ["max_repetition", "max_repeater_rate", "max_cutoff_rate"])
def test_one_limit_takes_the_place_of_the_limit_on_failing_cases(limit: str) -> None:
    """And only that limit is judged."""
    assert len(judge(HALF, **{limit: 1.0}).checks) == 1
    assert check(judge(HALF), "failures").value == 1


def test_a_check_says_the_figure_its_interval_and_the_number_of_cases() -> None:
    """For people, in one line."""
    found = check(judge(many(4), max_repeater_rate=0.25), "repeater_rate")
    assert found.text == "repeater rate 0.0000 (0.0000..0.4899, n=4), expected <= 0.25"


@pytest.mark.parametrize(
    ("bad", "count", "limit", "outcome"),
    [
        (0, 4, 0.48, GateOutcome.INSUFFICIENT),
        (0, 4, 0.49, GateOutcome.PASSED),
        (4, 4, 0.52, GateOutcome.INSUFFICIENT),
        (4, 4, 0.51, GateOutcome.FAILED),
    ],
    ids=["interval reaches above", "interval below", "interval reaches below", "interval above"],
)
def test_a_strict_limit_is_kept_or_broken_by_the_whole_interval(
    bad: int, count: int, limit: float, outcome: GateOutcome
) -> None:
    """An interval across the limit is too few data, in both directions."""
    results = [one(str(i), LOOP if i < bad else GOOD) for i in range(count)]
    found = check(judge(results, max_repeater_rate=limit, strict=True), "repeater_rate")
    assert found.outcome is outcome
    assert ("the interval crosses the limit" in found.text) is (outcome is GateOutcome.INSUFFICIENT)


def test_a_strict_limit_at_the_end_of_the_interval_is_kept() -> None:
    """Ten equal scores have an interval of one point."""
    results = many(10, GOOD, 0.25)
    assert check(judge(results, max_repetition=0.25, strict=True), "repetition").outcome is GateOutcome.PASSED
    assert check(judge(results, max_repetition=0.24, strict=True), "repetition").outcome is GateOutcome.FAILED


@pytest.mark.parametrize(("count", "outcome"), [(4, GateOutcome.PASSED), (3, GateOutcome.INSUFFICIENT)])
def test_as_many_cases_as_the_minimum_are_enough(count: int, outcome: GateOutcome) -> None:
    """One less is not, and the message says the minimum."""
    found = check(judge(many(count), max_repeater_rate=0.5, min_cases=4), "repeater_rate")
    assert found.outcome is outcome
    assert ("at least 4 cases are needed" in found.text) is (outcome is GateOutcome.INSUFFICIENT)


def test_a_figure_of_nothing_is_unknown_and_never_kept() -> None:
    """Answers whose end nobody knows have no cut-off rate."""
    unknown = [replace(r, attempts=tuple(replace(a, finish_reason=None) for a in r.attempts)) for r in many(3)]
    found = check(judge(unknown, max_cutoff_rate=1.0), "cutoff_rate")
    assert (found.outcome, found.value) == (GateOutcome.NOT_JUDGEABLE, None)
    assert found.text == "cut-off rate is unknown, expected <= 1"


@pytest.mark.parametrize(
    ("suite_cases", "more", "outcome"),
    [
        (None, {}, GateOutcome.PASSED),
        (3, {}, GateOutcome.PASSED),
        (4, {}, GateOutcome.NOT_JUDGEABLE),
        (4, {"allow_partial": True}, GateOutcome.PASSED),
    ],
    ids=["unknown", "all", "a part", "a part that is allowed"],
)
def test_a_part_of_the_suite_is_not_the_suite(
    suite_cases: int | None, more: dict[str, bool], outcome: GateOutcome
) -> None:
    """Unless it is asked for."""
    found = judge_suite(many(3), Limits(**more), None, complete=True, suite_cases=suite_cases)
    assert found.outcome is outcome


def test_expected_failures_are_no_failing_cases() -> None:
    """Without another limit the gate counts failures that nobody expects."""
    assert judge([one("0", BAD, xfail="known"), one("1")]).outcome is GateOutcome.PASSED
    found = judge([one("0", BAD), one("1", BAD), one("2")])
    assert check(found, "failures").text == "failing cases: 2, expected 0 (no other limit is set)"
    assert check(found, "failures").limit == 0


@pytest.mark.parametrize(
    ("results", "name", "text"),
    [
        ([one("0", ERROR), one("1")], "errors", "cases without a judgement: 1 (badcase1/0)"),
        (
            [*many(4, ERROR), one("9")],
            "errors",
            "cases without a judgement: 4 (badcase1/0, badcase1/1, badcase1/2, ...)",
        ),
        ([*many(3, ERROR), one("9")], "errors", "cases without a judgement: 3 (badcase1/0, badcase1/1, badcase1/2)"),
        ([one("0"), one("0"), one("1")], "cases", "results for one case more than once (badcase1/0)"),
        (
            [one("0", GOOD, math.inf), one("1")],
            "scores",
            "cases without a finite repetition score: 1 (badcase1/0)",
        ),
    ],
    ids=["error", "many errors", "three errors", "twice", "score"],
)
def test_what_cannot_be_judged_is_named(results: list[CaseResult], name: str, text: str) -> None:
    """Up to three cases by their ids."""
    found = judge(results)
    assert found.outcome is GateOutcome.NOT_JUDGEABLE
    assert check(found, name).text == text


def test_a_result_without_a_score_is_not_judgeable() -> None:
    """It has a verdict, and nobody measured its repetition."""
    bare = replace(one("0"), attempts=tuple(replace(a, scores=None) for a in one("0").attempts))
    assert judge([bare, one("1")]).outcome is GateOutcome.NOT_JUDGEABLE


def test_an_interrupted_run_says_so() -> None:
    """Beside everything else that holds."""
    found = judge_suite(many(2), Limits(), None, complete=False)
    assert check(found, "complete").text == "the run did not come to its end"
    assert found.text == "not judgeable: the run did not come to its end"


def test_a_green_verdict_counts_its_limits_and_another_one_gives_its_reasons() -> None:
    """Only the checks that decided are told."""
    assert judge(many(2), max_repetition=1.0, max_cutoff_rate=1.0).text == "passed, 2 limits kept"
    found = judge(HALF, max_repetition=0.1, max_repeater_rate=0.1, max_cutoff_rate=1.0)
    assert found.text.startswith("failed: repetition score")
    assert "; repeater rate" in found.text
    assert "cut-off rate" not in found.text
    assert GateVerdict(outcome=GateOutcome.FAILED, checks=()).text == "failed"


def test_the_worst_outcome_decides() -> None:
    """What cannot be judged before what failed, and that before too few data."""
    unknown = [*HALF, one("2", ERROR)]
    assert judge(unknown, max_repetition=0.1).outcome is GateOutcome.NOT_JUDGEABLE
    assert judge(HALF, max_repetition=0.1, max_repeater_rate=0.5, strict=True).outcome is GateOutcome.FAILED


def test_one_adapter_is_its_own_verdict_and_several_carry_their_names() -> None:
    """One red version makes the run red."""
    good, bad = judge(many(1)), failed_gate("repetition")
    assert combine_gates({"v1": bad}) is bad
    both = combine_gates({"v1": good, "v2": bad})
    assert both.outcome is GateOutcome.FAILED
    assert [(c.name, c.passed) for c in both.checks] == [("v1 failures", True), ("v2 repetition", False)]
    assert both.checks[1].text == "v2: repetition"
    assert combine_gates({"v1": good, "v2": good}).passed
    assert combine_gates({}).outcome is GateOutcome.NOT_JUDGEABLE


def test_a_checks_title_has_no_underscores() -> None:
    """As people read it."""
    assert check(judge(many(1), max_cutoff_rate=1.0), "cutoff_rate").title == "cutoff rate"


@pytest.mark.parametrize(
    ("before", "outcome"), [(5, GateOutcome.PASSED), (4, GateOutcome.INSUFFICIENT)], ids=["half", "less"]
)
def test_half_of_the_cases_are_enough_of_a_baseline(before: int, outcome: GateOutcome) -> None:
    """The message counts both."""
    found = judge(many(10), many(before))
    assert found.outcome is outcome
    if outcome is GateOutcome.INSUFFICIENT:
        assert check(found, "baseline").text == "only 4 of 10 cases have a judged result of the baseline"
        assert (check(found, "baseline").value, check(found, "baseline").limit) == (4, 1)


@pytest.mark.parametrize(("minimum", "outcome"), [(3, GateOutcome.PASSED), (4, GateOutcome.INSUFFICIENT)])
def test_a_comparison_wants_the_minimum_of_cases(minimum: int, outcome: GateOutcome) -> None:
    """Of cases that both sides judged."""
    assert judge(many(3), many(3), min_cases=minimum).outcome is outcome


def test_with_a_baseline_old_failures_are_no_reason() -> None:
    """There is no limit on failing cases then."""
    found = judge(many(3, BAD), many(3, BAD))
    assert found.passed
    assert [c.name for c in found.checks] == ["regressions", "balance", "rise"]


@pytest.mark.parametrize(
    ("allowed", "outcome"), [(2, GateOutcome.PASSED), (1, GateOutcome.FAILED), (None, GateOutcome.FAILED)]
)
def test_as_many_regressions_as_are_allowed_pass(allowed: int | None, outcome: GateOutcome) -> None:
    """The message names the cases."""
    after = [one("0", BAD), one("1", BAD), *many(20)[2:]]
    found = judge(after, many(20), max_regressions=allowed)
    assert check(found, "regressions").outcome is outcome
    assert check(found, "regressions").text == (f"regressions: 2, expected <= {allowed or 0} (badcase1/0, badcase1/1)")
    assert (check(found, "regressions").value, check(found, "regressions").limit) == (2, allowed or 0)


def test_guards_are_judged_where_there_are_some() -> None:
    """A broken one is named; none may break."""
    guards = [one("g", role="guard"), one("0")]
    assert check(judge(guards, guards), "guards").text == "broken guard cases: 0, expected 0"
    assert check(judge(guards, guards), "guards").passed
    broken = [one("g", BAD, role="guard"), one("0")]
    found = judge(broken, guards, max_regressions=1)
    assert check(found, "guards").text == "broken guard cases: 1, expected 0 (badcase1/g)"
    assert [c.outcome for c in found.checks if not c.passed] == [GateOutcome.FAILED]
    other = judge([one("g", role="guard"), one("0", BAD)], guards, max_regressions=1)
    assert check(other, "guards").value == 0


def test_more_broken_than_fixed_is_judged_beyond_what_is_allowed() -> None:
    """Six broken cases against none are no chance; six against six may be one."""
    before = [*many(6), *(one(f"f{i}", BAD) for i in range(6))]
    worse = [*many(6, BAD), *(one(f"f{i}", BAD) for i in range(6))]
    even = [*many(6, BAD), *(one(f"f{i}") for i in range(6))]
    assert check(judge(worse, before, max_regressions=5), "balance").outcome is GateOutcome.FAILED
    assert check(judge(worse, before, max_regressions=6), "balance").outcome is GateOutcome.PASSED
    found = check(judge(even, before, max_regressions=5), "balance")
    assert found.outcome is GateOutcome.PASSED
    assert found.text == "6 broken against 6 fixed of 12: p = 0.6128 by McNemar, expected > 0.0167"
    assert found.limit == pytest.approx(0.05 / 3)


def sampled(name: str, passes: int, of: int = 8, role: Role = "fix") -> CaseResult:
    """A case of ``of`` samples, of which so many pass; half must."""
    decoding = Decoding(method="sample", temperature=0.7, samples=of, min_pass=of // 2)
    the_case: Case = case(f"badcase1/{name}", decoding=decoding, role=role)
    attempts = samples(passes, of, GOOD, BAD)
    return CaseResult(the_case, "v1", attempts, combine([a.verdict for a in attempts], of // 2))


def test_a_sampled_case_breaks_only_beyond_chance() -> None:
    """Eight of eight and then none is no chance; five and then three may be one."""
    sure = judge([sampled("0", 0), sampled("1", 8)], [sampled("0", 8), sampled("1", 8)])
    assert check(sure, "regressions").value == 1
    chance = judge([sampled("0", 3), sampled("1", 8)], [sampled("0", 5), sampled("1", 8)])
    assert check(chance, "regressions").value == 0
    assert check(chance, "regressions").passed
    assert check(chance, "regressions").text == "regressions: 0, 1 more within chance, expected <= 0"


def test_a_drop_at_the_level_counts() -> None:
    """One in seventy, where that is the level."""
    before, after = [sampled("0", 4, of=4)], [sampled("0", 0, of=4)]
    assert check(judge(after, before, alpha=3 / 70), "regressions").value == 1
    assert check(judge(after, before, alpha=2.99 / 70), "regressions").value == 0


def test_the_level_of_a_sampled_case_is_shared_by_all_of_them() -> None:
    """A drop from six to none of eight is one in a hundred: enough for one case, and not for forty."""
    before, after = [sampled("0", 6)], [sampled("0", 0)]
    assert check(judge(after, before), "regressions").value == 1
    others = [sampled(f"o{i}", 8) for i in range(39)]
    assert check(judge([*after, *others], [*before, *others]), "regressions").value == 0


def test_few_sampled_cases_are_too_few_once_one_broke() -> None:
    """A test of three cases could not fail; of seven it can."""

    def told(count: int) -> GateCheck:
        before = [sampled(str(i), 8) for i in range(count)]
        return check(judge([sampled("0", 3), *before[1:]], before), "balance")

    assert told(3).outcome is GateOutcome.INSUFFICIENT
    assert told(3).text.endswith("; 3 cases are too few")
    assert told(7).outcome is GateOutcome.PASSED


def test_a_rise_of_repetition_fails_where_it_is_no_chance() -> None:
    """Every case repeats a little more; a case or two more is chance, and less is none."""
    low, high = many(12, GOOD, 0.1), many(12, GOOD, 0.2)
    risen = check(judge(high, low), "rise")
    assert (risen.outcome, risen.limit) == (GateOutcome.FAILED, 0.0)
    assert risen.value == pytest.approx(0.1)
    assert risen.text.startswith("repetition score +0.1000 (+0.1000..+0.1000): p = ")
    assert check(judge(low, high), "rise").passed
    assert check(judge(low, low), "rise").passed
    few = [*many(10, GOOD, 0.1), one("10", GOOD, 0.9), one("11", GOOD, 0.1)]
    assert check(judge(few, low), "rise").passed
