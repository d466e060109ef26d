"""The gate: four outcomes, one of them green, and noise does not flip it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cases.decoding import Decoding
from harness.cases.model import Case, Role
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.judging.verdict import combine
from harness.metrics.types import Scores
from harness.project.settings import Limits
from harness.suite.compare import compare
from harness.suite.figures import grouped_figures
from harness.suite.gate import GateOutcome, GateVerdict, judge_suite
from tests.support.builders import case, result

GOOD = Verdict(Status.PASS)
LOOP = Verdict(Status.FAIL, (Reason(rule="loop", text="it loops", value=0.9, limit=0.15, repetition=True),))
OTHER = Verdict(Status.FAIL, (Reason(rule="similarity", text="too far", value=0.1, limit=0.5),))
ERROR = Verdict(Status.ERROR, (Reason(rule="engine", text="it broke"),))
SAMPLED = Decoding(method="sample", temperature=0.7, samples=4, min_pass=2)


def one(name: str, verdict: Verdict, repetition: float | None = None, *, of: Case | None = None) -> CaseResult:
    """A case's result with one answer."""
    values = {"repetition": (0.8 if verdict is LOOP else 0.0) if repetition is None else repetition}
    return result(replace(of or case(), id=f"badcase1/{name}"), verdict=verdict, values=values)


def suite(verdicts: Sequence[Verdict]) -> list[CaseResult]:
    return [one(str(i), v) for i, v in enumerate(verdicts)]


def gate(results: Sequence[CaseResult], baseline: Sequence[CaseResult] | None = None, **limits: float) -> GateVerdict:
    return judge_suite(results, Limits(**limits), baseline, complete=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "verdicts", "want"),
    [
        pytest.param({}, [GOOD] * 3, GateOutcome.PASSED, id="no limit, all pass"),
        pytest.param({}, [GOOD, OTHER], GateOutcome.FAILED, id="no limit, one fails"),
        pytest.param({"max_repetition": 0.3}, [GOOD, GOOD, LOOP], GateOutcome.PASSED, id="repetition under its limit"),
        pytest.param({"max_repetition": 0.2}, [GOOD, GOOD, LOOP], GateOutcome.FAILED, id="repetition over its limit"),
        pytest.param(
            {"max_repeater_rate": 0.4}, [GOOD, GOOD, LOOP], GateOutcome.PASSED, id="repeaters under their limit"
        ),
        pytest.param(
            {"max_repeater_rate": 0.3}, [GOOD, GOOD, LOOP], GateOutcome.FAILED, id="repeaters over their limit"
        ),
        pytest.param({"max_repeater_rate": 0.0}, [GOOD, OTHER], GateOutcome.PASSED, id="failing is not repeating"),
        pytest.param(
            {"max_repeater_rate": 0.1, "min_cases": 4}, [GOOD] * 3, GateOutcome.INSUFFICIENT, id="too few cases"
        ),
        pytest.param(
            {"max_repeater_rate": 0.1, "strict": True}, [GOOD] * 3, GateOutcome.INSUFFICIENT, id="interval too wide"
        ),
        pytest.param({"max_repeater_rate": 0.1, "strict": True}, [GOOD] * 60, GateOutcome.PASSED, id="interval within"),
        pytest.param({"max_repeater_rate": math.nan}, [GOOD] * 3, GateOutcome.NOT_JUDGEABLE, id="limit is no number"),
    ],
)
def test_absolute_limits(limits: dict[str, float], verdicts: list[Verdict], want: GateOutcome) -> None:
    """On the suite's own figures."""
    assert judge_suite(suite(verdicts), Limits(**limits), None, complete=True).outcome is want  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("results", "baseline", "complete"),
    [
        pytest.param([], None, True, id="zero cases"),
        pytest.param(suite([Verdict(Status.SKIP)] * 3), None, True, id="all skipped"),
        pytest.param(suite([GOOD] * 3), None, False, id="interrupted"),
        pytest.param(suite([GOOD, GOOD, ERROR]), None, True, id="a case in error"),
        pytest.param([one("a", GOOD, math.nan)], None, True, id="a score is nan"),
        pytest.param(suite([GOOD]) * 2, None, True, id="a case twice"),
        pytest.param(suite([GOOD] * 3), [], True, id="empty baseline"),
        pytest.param(suite([GOOD]), [one("other", GOOD)], True, id="baseline of other cases"),
        pytest.param(suite([GOOD]), suite([ERROR]), True, id="baseline in error"),
        pytest.param(suite([GOOD]), [one("0", GOOD, math.nan)], True, id="baseline is nan"),
    ],
)
def test_what_cannot_be_judged_never_passes(
    results: list[CaseResult], baseline: list[CaseResult] | None, complete: bool
) -> None:
    """Nor does it count as the model's failure."""
    found = judge_suite(results, Limits(max_repeater_rate=1.0), baseline, complete)
    assert found.outcome is GateOutcome.NOT_JUDGEABLE
    assert not found.passed
    assert found.text.startswith("not judgeable: ")


def test_a_baseline_that_was_asked_for_and_is_missing_is_not_judgeable() -> None:
    """None is no baseline only when nobody wanted one."""
    found = judge_suite(suite([GOOD]), Limits(), None, complete=True, baseline_wanted=True)
    assert found.outcome is GateOutcome.NOT_JUDGEABLE


def test_a_case_that_broke_fails_the_gate_unless_it_is_allowed() -> None:
    """Deterministic decoding: passed before, fails now is a fact, not a chance."""
    before, after = suite([GOOD] * 4), suite([GOOD, GOOD, GOOD, OTHER])
    assert gate(after, before).outcome is GateOutcome.FAILED
    assert gate(after, before, max_regressions=1).outcome is GateOutcome.PASSED
    assert gate(suite([LOOP, GOOD, GOOD, GOOD]), suite([LOOP, GOOD, GOOD, GOOD])).outcome is GateOutcome.PASSED


def test_a_guard_may_not_break_however_many_regressions_are_allowed() -> None:
    """Guards are there to keep passing."""
    guard = case(role="guard")
    before, after = [one("g", GOOD, of=guard), one("a", GOOD)], [one("g", OTHER, of=guard), one("a", GOOD)]
    assert gate(after, before, max_regressions=5).outcome is GateOutcome.FAILED


def test_half_a_baseline_is_not_enough() -> None:
    """Most cases must have something to be compared with."""
    assert gate(suite([GOOD] * 10), suite([GOOD] * 4)).outcome is GateOutcome.INSUFFICIENT


def test_few_sampled_cases_are_insufficient_once_something_broke() -> None:
    """A test that could not fail is no pass."""
    sampled = case(decoding=replace(SAMPLED, samples=1, min_pass=1))
    before = [one(str(i), GOOD, of=sampled) for i in range(3)]
    after = [one(str(i), OTHER if i == 0 else GOOD, of=sampled) for i in range(3)]
    assert gate(after, before).outcome is GateOutcome.INSUFFICIENT


@given(st.lists(st.sampled_from([GOOD, LOOP, OTHER, ERROR]), max_size=8), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_green_means_that_everything_was_judged(verdicts: list[Verdict], complete: bool, compared: bool) -> None:
    """No error, no gap, every check passed."""
    results = suite(verdicts)
    found = judge_suite(results, Limits(max_repeater_rate=0.5), results if compared else None, complete)
    if found.passed:
        assert complete
        assert verdicts
        assert ERROR not in verdicts
        assert found.checks
        assert all(c.passed for c in found.checks)
        assert sum(v is LOOP for v in verdicts) <= len(verdicts) / 2


def draw_suite(draw: random.Random, rates: Sequence[float]) -> list[CaseResult]:
    """One run with sampling decoding: each case passes each of its samples at its own rate."""
    results = []
    for i, rate in enumerate(rates):
        of = case(f"badcase1/{i}", decoding=SAMPLED)
        attempts = []
        for k in range(SAMPLED.samples):
            good = draw.random() < rate
            scores = Scores({"repetition": draw.random() * 0.05 if good else 0.3 + 0.7 * draw.random()})
            attempts.append(
                Attempt(
                    sample=k,
                    answer="",
                    finish_reason="stop" if good else "length",
                    scores=scores,
                    verdict=GOOD if good else LOOP,
                )
            )
        results.append(CaseResult(of, "v1", tuple(attempts), combine([a.verdict for a in attempts], SAMPLED.min_pass)))
    return results


@pytest.mark.parametrize("size", [12, 40])
def test_the_same_adapter_twice_fails_the_gate_in_at_most_five_percent(size: int) -> None:
    """200 A/A comparisons with sampling decoding, cases from never to always passing."""
    draw = random.Random(20)
    failed = 0
    for _ in range(200):
        rates = [draw.random() for _ in range(size)]
        failed += gate(draw_suite(draw, rates), draw_suite(draw, rates)).outcome is GateOutcome.FAILED
    assert failed <= 10


def test_a_worse_adapter_fails_the_gate_nearly_always() -> None:
    """Forty cases that passed nine times in ten, and now half the time."""
    draw = random.Random(21)
    caught = sum(
        gate(draw_suite(draw, [0.4] * 40), draw_suite(draw, [0.9] * 40)).outcome is GateOutcome.FAILED
        for _ in range(40)
    )
    assert caught >= 38


def test_figures_are_given_for_all_and_apart_by_folder_tag_and_role() -> None:
    """With an interval each; a case counts in each of its tags."""
    tagged = case(tags=("poem", "zh"), role="holdout")
    groups = {f.group: f for f in grouped_figures([one("a", LOOP, of=tagged), one("b", GOOD)])}
    assert list(groups) == ["all", "folder:badcase1", "tag:poem", "tag:zh", "role:holdout", "role:fix"]
    assert groups["all"].repeaters.value == 0.5
    assert 0 < groups["all"].repeaters.low < 0.5 < groups["all"].repeaters.high < 1
    assert (groups["tag:poem"].repeaters.value, groups["role:fix"].repeaters.value) == (1.0, 0.0)
    assert groups["all"].repetition.value == pytest.approx(0.4)


def test_patterns_have_rates_per_tag() -> None:
    """Share of answers that lack what they must say, of those cases that demand something."""
    of = replace(case(tags=("red flag",)), must_include=("doctor",), must_not_include=("dose",))
    hit = result(of, values={"missing_patterns": 1.0, "forbidden_patterns": 0.0})
    group = {f.group: f for f in grouped_figures([hit, one("b", GOOD)])}["tag:red flag"]
    assert (group.missing.value, group.missing.n, group.forbidden.value) == (1.0, 1, 0.0)


@pytest.mark.parametrize("role", ["fix", "holdout", "guard"])
def test_compare_tells_the_four_classes_apart_by_role(role: Role) -> None:
    """Fixed, still failing, broken, still passing; what one side did not judge is none of them."""
    of, other = case(role=role), case(role="fix" if role != "fix" else "guard")
    before = [one(n, v, of=of) for n, v in (("a", LOOP), ("b", LOOP), ("c", GOOD), ("d", GOOD), ("e", ERROR))]
    after = [one(n, v, of=of) for n, v in (("a", GOOD), ("b", LOOP), ("c", OTHER), ("d", GOOD), ("e", GOOD))]
    found = compare([*before, one("x", LOOP, of=other)], [*after, one("x", GOOD, of=other)])
    mine = found.by_role(role)
    names = ("fixed", "still_failing", "broken", "still_passing", "unpaired")
    assert [getattr(mine, n) for n in names] == [(f"badcase1/{x}",) for x in "abcde"]
    assert found.fixed == ("badcase1/a", "badcase1/x")
    assert mine.p_broken == 0.75


def test_compare_says_whether_it_is_more_than_luck() -> None:
    """Ten fixed and none broken is; one fixed is not."""
    before, after = suite([LOOP] * 10), suite([GOOD] * 10)
    assert compare(before, after).total.p_fixed < 0.001
    assert compare(before, after).total.repetition.high < 0
    assert compare(before[:1], after[:1]).total.p_fixed == 0.5
