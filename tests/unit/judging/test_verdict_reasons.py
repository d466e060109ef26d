"""A verdict says why: each broken rule with its value and limit, of the right part and the right samples."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.cases.model import Thresholds
from harness.engines.base import FinishReason
from harness.judging.results import Reason, Status, Verdict
from harness.judging.verdict import checks, combine, counted_loops, judge, skipped
from harness.metrics import score
from harness.metrics.patterns import UNKNOWN
from harness.metrics.types import Loop, LoopKind, Scores
from tests.support.builders import case

GOOD = "The tide comes in twice a day, and takes the sand along with it."
LOOPING = "Sure. " + "I love the sea. " * 30
ANY = ("rep8", "rep8d", "tail", "unfinished", "echo", "passage", "twice", "variety", "stale", "restated")
COUNTED: dict[LoopKind, tuple[str, ...]] = {
    "exact": ("loop", "lasting", "stretch"),
    "numbered": ("numbered",),
    "characters": ("char_loop", "flood"),
    "templated": ("templated",),
}


def scores(answer: Any = GOOD, of: Any = None, **changes: float) -> Scores:
    """The scores of an answer, with some replaced; ``part__name`` stands for a part's."""
    of = of or case()
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return Scores({**score(answer, of).values, **named})


def part(name: str, answer: str) -> dict[str, float]:
    """The scores of a reasoning or of calls of tools."""
    return {f"{name}__{k}": v for k, v in score(answer, case(standard_answer=None)).values.items()}


def failing(rule: str, *, repetition: bool = True) -> Verdict:
    return Verdict(Status.FAIL, (Reason(rule=rule, text="why", repetition=repetition),))


def loops(*kinds: LoopKind) -> Scores:
    return Scores({}, tuple(Loop(start=0, end=9, period=3, copies=3.0, kind=kind) for kind in kinds))


@pytest.mark.parametrize("rule", [*ANY, *(rule for rules in COUNTED.values() for rule in rules)])
def test_a_loop_counts_where_a_rule_about_its_kind_failed(rule: str) -> None:
    """A rule about any repetition counts loops of every kind."""
    expected = tuple(rule in ANY or rule in rules for rules in COUNTED.values())
    assert counted_loops(failing(rule), loops(*COUNTED)) == expected


def test_no_loop_counts_in_an_answer_that_fails_otherwise_or_passed() -> None:
    """The loop was found and judged harmless."""
    assert counted_loops(failing("loop", repetition=False), loops("exact")) == (False,)
    assert counted_loops(Verdict(Status.PASS), loops("exact", "numbered")) == (False, False)


def test_a_skipped_case_says_why() -> None:
    """Under the rule skip, in the words of the case."""
    assert skipped(replace(case(), skip="later")) == Verdict(Status.SKIP, (Reason(rule="skip", text="later"),))


def test_a_broken_rule_is_told_with_value_limit_and_whether_it_is_about_repetition() -> None:
    """Rules that were kept are not among the reasons."""
    of = case(thresholds=Thresholds(min_metrics={"words": 50.0}))
    (words,) = judge(of, scores(of=of), "stop").reasons
    assert (words.rule, words.limit, words.repetition) == ("words", 50.0, False)
    assert words.text == f"words: {words.value:g} (expected >= 50)"
    found = judge(case(), scores(LOOPING), "stop")
    loop = next(r for r in found.reasons if r.rule == "loop")
    assert loop.repetition
    assert loop.limit == 0.15
    assert loop.value is not None
    assert loop.value > 0.15
    assert "(expected <= 0.15)" in loop.text


def test_a_proven_loop_comes_first_and_brings_the_rules_on_repetition_alone() -> None:
    """A limit on words says nothing about an answer that was stopped; nor does a score that is no number."""
    of = case(thresholds=Thresholds(min_metrics={"words": 900.0}))
    found = judge(of, scores(LOOPING, of, rep8d_excess=math.nan), "loop")
    rules = [r.rule for r in found.reasons]
    assert rules[0] == "loop"
    assert found.reasons[0].repetition
    assert "rep8" in rules
    assert {"words", "rep8d"}.isdisjoint(rules)
    assert all(r.repetition and r.value is not None and r.limit is not None for r in found.reasons[1:])


def test_what_is_no_number_is_the_only_reason_of_an_error() -> None:
    """With its limit; a rule that failed beside it is not told, since the answer was not judged."""
    of = case(thresholds=Thresholds(min_metrics={"words": 900.0, "politeness": 0.5}))
    found = judge(of, scores(of=of), "stop")
    assert found.status is Status.ERROR
    (reason,) = found.reasons
    assert (reason.rule, reason.limit) == ("politeness", 0.5)
    assert reason.value is not None
    assert math.isnan(reason.value)
    assert "not a number" in reason.text


@pytest.mark.parametrize("limits", ["min_metrics", "max_metrics"])
def test_a_score_at_its_limit_passes(limits: str) -> None:
    """A limit is what may be reached."""
    of = case(thresholds=Thresholds.from_mapping({limits: {"words": scores().values["words"]}}))
    assert judge(of, scores(of=of), "stop").status is Status.PASS


@pytest.mark.parametrize(
    ("field", "value", "status", "text"),
    [
        ("must_include", 1.0, Status.PASS, ""),
        ("must_include", 0.0, Status.FAIL, "must_include 'moon': 0 (expected >= 1)"),
        ("must_include", UNKNOWN, Status.ERROR, "must_include 'moon' could not be searched in time"),
        ("must_not_include", 0.0, Status.PASS, ""),
        ("must_not_include", 1.0, Status.FAIL, "must_not_include 'moon': 1 (expected <= 0)"),
        ("must_not_include", UNKNOWN, Status.ERROR, "must_not_include 'moon' could not be searched in time"),
        ("must_not_include", math.nan, Status.ERROR, "not a number"),
    ],
    ids=["there", "missing", "too slow", "absent", "forbidden", "forbidden, too slow", "forbidden, unknown"],
)
def test_a_pattern_passes_only_where_it_was_searched(field: str, value: float, status: Status, text: str) -> None:
    """A search that ran out of time is no absence."""
    of = replace(case(), **{field: ("moon",)})  # type: ignore[arg-type]
    found = judge(of, Scores({**scores().values, f"{field}[0]": value}), "stop")
    assert found.status is status
    assert not text or text in found.reasons[0].text


@pytest.mark.parametrize("field", ["must_include", "must_not_include"])
def test_a_pattern_without_a_score_is_an_error(field: str) -> None:
    """The second of two was not searched at all."""
    of = replace(case(), **{field: ("moon", "sun")})  # type: ignore[arg-type]
    good = float(field == "must_include")
    assert judge(of, Scores({**scores().values, f"{field}[0]": good}), "stop").status is Status.ERROR


@pytest.mark.parametrize(("name", "where"), [("reasoning", "in the reasoning: "), ("tools", "in the calls of tools: ")])
def test_a_loop_in_another_part_of_the_answer_fails(name: str, where: str) -> None:
    """The reason says where; the answer itself is sound."""
    found = judge(case(), scores(**part(name, LOOPING)), "stop")
    assert found.status is Status.FAIL
    assert found.repeater
    assert all(r.text.startswith(where) for r in found.reasons)
    assert "loop" in {r.rule for r in found.reasons}
    assert judge(case(), scores(**part(name, GOOD)), "stop").status is Status.PASS


def test_a_part_is_judged_on_repetition_alone_and_without_the_standard_answer() -> None:
    """Reasoning may be of any length and unlike the answer."""
    of = case(thresholds=Thresholds(min_similarity=0.1, min_units=3))
    found = checks(of, scores(of=of, **part("reasoning", "Hm.")), "stop")
    inside = [c for c in found if c.text.startswith("in the reasoning: ")]
    assert inside
    assert all(c.repetition for c in inside)
    assert all(c.passed for c in found)


UNFINISHED = {"tail_units": 40.0, "tail_copies": 5.0, "tail_period": 4.0, "tail_excess": 0.0}


@pytest.mark.parametrize(
    ("reason", "units", "status"),
    [
        ("length", 0.0, Status.FAIL),
        ("length", 1.0, Status.PASS),
        ("length", 9.0, Status.PASS),
        ("stop", 0.0, Status.PASS),
    ],
    ids=["cut off in the reasoning", "after one unit", "cut off in the answer", "ended"],
)
def test_reasoning_is_unfinished_only_where_no_answer_follows(
    reason: FinishReason, units: float, status: Status
) -> None:
    """What an answer follows has ended."""
    of = case(standard_answer=None)
    inside = {**part("reasoning", GOOD), **{f"reasoning__{name}": v for name, v in UNFINISHED.items()}}
    found = judge(of, scores(of=of, **{**inside, "units": units}), reason)
    assert found.status is status
    assert {r.rule for r in found.reasons} <= {"unfinished"}


PASS, FAIL, ERROR, SKIP = (
    Verdict(Status.PASS),
    Verdict(Status.FAIL, (Reason(rule="loop", text="first"), Reason(rule="rep8", text="it repeats"))),
    Verdict(Status.ERROR, (Reason(rule="engine", text="it broke"),)),
    Verdict(Status.SKIP, (Reason(rule="skip", text="later"),)),
)
AGAIN = Verdict(Status.FAIL, (Reason(rule="loop", text="second"), Reason(rule="length", text="empty")))


@pytest.mark.parametrize(
    ("verdicts", "min_pass", "status", "texts"),
    [
        ((FAIL, AGAIN), 1, Status.FAIL, ["first", "it repeats", "empty"]),
        ((ERROR, FAIL, AGAIN), 2, Status.FAIL, ["first", "it repeats", "empty"]),
        ((FAIL, ERROR, PASS), 2, Status.ERROR, ["it broke"]),
        ((ERROR, PASS), 1, Status.ERROR, ["it broke"]),
        ((SKIP, SKIP), 1, Status.SKIP, ["later"]),
        ((SKIP, FAIL), 1, Status.FAIL, ["first", "it repeats"]),
        ((SKIP, PASS), 1, Status.PASS, []),
        ((SKIP, PASS), 2, Status.FAIL, []),
        ((PASS, PASS, FAIL), 2, Status.PASS, []),
        ((), 2, Status.ERROR, ["no verdict: 0 samples, 2 must pass"]),
        ((PASS,), 0, Status.ERROR, ["no verdict: 1 samples, 0 must pass"]),
    ],
    ids=["all fail", "cannot be saved", "could be saved", "an error", "skipped", "one fails", "one passes",
         "too few", "enough", "none", "no minimum"],
)  # fmt: skip
def test_samples_together_give_the_first_reason_of_each_rule(
    verdicts: tuple[Verdict, ...], min_pass: int, status: Status, texts: list[str]
) -> None:
    """Of the samples that decided, and of no others."""
    found = combine(verdicts, min_pass)
    assert found.status is status
    assert [r.text for r in found.reasons] == texts
    assert "no verdict" not in "".join(texts) or found.reasons[0].rule == "samples"


def test_a_rejected_answer_is_a_broken_rule_of_limit_0() -> None:
    """And an answer that nobody rejected keeps it."""
    (broken,) = judge(case(), scores(rejected=1.0), "stop").reasons
    assert (broken.rule, broken.value, broken.limit, broken.repetition) == ("rejected_answer", 1.0, 0.0, False)
    shown = {c.rule: c for c in checks(case(), scores(rejected=1.0), "stop")}
    assert not shown["rejected_answer"].passed
    kept = {c.rule: c for c in checks(case(), scores(rejected=0.0), "stop")}
    assert kept["rejected_answer"].passed
    assert judge(case(), scores(rejected=0.0), "stop").status is Status.PASS
