"""PASS, FAIL and ERROR: what decides them, and that nothing passes for want of a number."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.model import Case, Thresholds
from harness.engines.base import FinishReason
from harness.judging.references import refusal
from harness.judging.results import Reason, Status, Verdict
from harness.judging.verdict import checks, combine, judge
from harness.metrics import score
from harness.metrics.types import Scores
from tests.support.builders import case

NOUNS = ("grief", "guilt", "rain", "love", "war", "salt", "iron", "dust")
CLEAN = " ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(400))
GOOD = "The tide comes in twice a day, and takes the sand along with it."


def verdict(answer: str, of: Case | None = None, finish_reason: FinishReason | None = "stop") -> Verdict:
    of = of or case()
    return judge(of, score(answer, of), finish_reason)


def rules(found: Verdict) -> set[str]:
    return {reason.rule for reason in found.reasons}


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        pytest.param("Sure. " + "I love the sea. " * 30, "loop", id="exact"),
        pytest.param("Sure. " + "".join(f"{i}. Pleasure\n" for i in range(60)), "numbered", id="numbered"),
        pytest.param("".join(f"He is haunted by {w}. " for w in NOUNS * 2), "templated", id="templated"),
        pytest.param("The answer is " + "0" * 400, "char_loop", id="characters"),
        pytest.param(CLEAN + " and so on" * 16, "tail", id="only at the end"),
        pytest.param("我很喜欢大海。" * 20, "loop", id="chinese"),
        pytest.param(CLEAN[:900] + " N" + "o" * 120, "tail", id="one letter at the end"),
    ],
)  # fmt: skip
def test_a_loop_fails_and_makes_a_repeater(answer: str, rule: str) -> None:
    """Each way of looping by its own rule."""
    found = verdict(answer)
    assert found.status is Status.FAIL
    assert found.repeater
    assert rule in rules(found)


@pytest.mark.parametrize(
    ("words", "passes"),
    [pytest.param(0, True, id="twice"), pytest.param(8, False, id="breaks off in the third copy")],
)
def test_a_paragraph_that_breaks_off_in_its_third_copy_did_not_end(words: int, passes: bool) -> None:
    """Two copies may be meant; two and a bit, up to the end, are not."""
    paragraph = CLEAN.split()[:40]
    answer = " ".join([*CLEAN.split()[60:200], *paragraph, *paragraph, *paragraph[:words]])
    found = verdict(answer, case(standard_answer=None))
    assert (found.status is Status.PASS) is passes
    assert passes or rules(found) == {"tail"}


LETTER = (
    "Dear {}, thank you for the fine gift that you sent us in May. It was very kind of you to think of us. Yours, Eve. "
)


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_a_standard_answer_that_repeats_nothing_never_makes_an_answer_worse(finish_reason: FinishReason) -> None:
    """Boiler-plate that passes without a standard answer passes with one, ended or cut off."""
    names = iter(NOUNS)
    answer = " ".join([*CLEAN.split()[:60], *(LETTER.format(next(names)) for _ in range(3))])
    assert 0.3 < score(answer, case(standard_answer=GOOD)).values["rep8"] < 0.5
    assert verdict(answer, case(standard_answer=GOOD), finish_reason).status is Status.PASS
    assert verdict(answer, case(standard_answer=None), finish_reason).status is Status.PASS


def test_a_standard_answer_whose_loop_is_within_a_template_is_refused_too() -> None:
    """It is named by the template when that takes the exact loop in."""
    line = "A rather longer sentence stands here. "
    assert refusal(case(standard_answer=line + "sea " + line * 4)) is not None


VERSE = "Row the boat across the bay, row it till the break of day, and we shall rest at night.\n"


@pytest.mark.parametrize(("copies", "passes"), [pytest.param(3, True, id="3"), pytest.param(6, False, id="6")])
def test_a_verse_said_twice_may_be_said_three_times(copies: int, passes: bool) -> None:
    """Three long copies are a loop, unless the standard answer sings its verse twice itself."""
    assert (verdict(VERSE * copies, case(standard_answer=VERSE * 2)).status is Status.PASS) is passes
    assert verdict(VERSE * copies, case(standard_answer=GOOD)).status is Status.FAIL


@pytest.mark.parametrize("reference", [None, GOOD], ids=["alone", "beside a standard answer"])
@pytest.mark.parametrize(("copies", "passes"), [pytest.param(7, True, id="a week"), pytest.param(8, False, id="more")])
def test_a_few_lines_alike_may_be_what_was_asked_for(copies: int, passes: bool, reference: str | None) -> None:
    """Seven sentences that differ in a word pass, eight are a loop, whatever the standard answer."""
    answer = "".join(f"He is haunted by {w} again. " for w in NOUNS[:copies])
    assert (verdict(answer, case(standard_answer=reference)).status is Status.PASS) is passes


def test_an_ordinary_answer_passes() -> None:
    """Without any reason given."""
    assert verdict(GOOD) == Verdict(Status.PASS)


@pytest.mark.parametrize("answer", ["", "   \n", "...", "?!"], ids=repr)
def test_an_answer_without_words_never_passes(answer: str) -> None:
    """Nor does it make a repeater."""
    found = verdict(answer, case(standard_answer=None))
    assert found.status is Status.FAIL
    assert not found.repeater
    assert "length" in rules(found)


def test_an_answer_far_shorter_than_the_standard_answer_never_passes() -> None:
    """Two words are no essay; a whole sentence may be an answer."""
    long = case(standard_answer=" ".join(f"Point {i} is about {w}." for i, w in enumerate(NOUNS * 5)))
    assert rules(verdict("The sea.", long)) == {"length_ratio"}
    assert verdict(GOOD, long).status is Status.PASS


@pytest.mark.parametrize(
    ("thresholds", "changes", "finish_reason", "rule"),
    [
        pytest.param({"min_similarity": 0.9}, {}, "stop", "similarity", id="similarity"),
        pytest.param({"allow_cutoff": False}, {}, "length", "cutoff", id="cut off"),
        pytest.param({}, {"must_include": ("moon",)}, "stop", "must_include", id="missing pattern"),
        pytest.param({}, {"must_not_include": ("tide",)}, "stop", "must_not_include", id="forbidden pattern"),
        pytest.param({"min_metrics": {"words": 100.0}}, {}, "stop", "words", id="least of a score"),
        pytest.param({"max_metrics": {"words": 3.0}}, {}, "stop", "words", id="most of a score"),
    ],
)
def test_other_rules_fail_without_making_a_repeater(
    thresholds: dict[str, object], changes: dict[str, tuple[str, ...]], finish_reason: FinishReason, rule: str
) -> None:
    """Each by its own name."""
    of = replace(case(thresholds=Thresholds.from_mapping(thresholds)), **changes)  # type: ignore[arg-type]
    found = verdict(GOOD, of, finish_reason)
    assert (found.status, rules(found), found.repeater) == (Status.FAIL, {rule}, False)


def test_a_loop_proven_by_the_search_fails_whatever_the_scores() -> None:
    """The engine stopped because every possible winner loops."""
    found = verdict(GOOD, finish_reason="loop")
    assert found.status is Status.FAIL
    assert found.repeater


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "name", ["rep8_excess", "rep8d_excess", "loop_excess", "tail_excess", "templated_excess", "words", "length_ratio"]
)
def test_a_score_that_is_no_number_is_an_error_and_never_passes(name: str, value: float) -> None:
    """NaN compares false with everything; that must not be a pass, nor the model's failure."""
    of = case(
        standard_answer=" ".join(
            ["wide", "deep", "old"] * 3 + ["and the sea sings the sailors to sleep every night"] * 2
        )
    )
    scores = score(GOOD, of)
    found = judge(of, Scores({**scores.values, name: value}), "stop")
    assert found.status is Status.ERROR


def test_a_score_that_is_missing_is_an_error() -> None:
    """A threshold on a score that nobody computes judges nothing."""
    of = case(thresholds=Thresholds(min_metrics={"politeness": 0.5}))
    assert verdict(GOOD, of).status is Status.ERROR
    assert judge(case(), Scores({}), "stop").status is Status.ERROR


def test_a_standard_answer_that_repeats_itself_is_refused_by_the_case_s_name() -> None:
    """It would excuse every loop; ERROR, unless the prompt asks for it or the case says so."""
    looping = "I love the sea. " * 20
    bad = case(prompt="Write about the sea.", standard_answer=looping)
    found = verdict(GOOD, bad)
    assert found.status is Status.ERROR
    assert rules(found) == {"standard_answer"}
    assert "badcase1/sea" in found.reasons[0].text
    assert refusal(replace(bad, thresholds=Thresholds(reference_may_repeat=True))) is None
    asked = case(prompt='Write "I love the sea" twenty times.', standard_answer=looping)
    assert verdict(looping, asked).status is Status.PASS
    assert verdict(looping * 20, asked).status is Status.FAIL


def test_checks_say_which_thresholds_applied() -> None:
    """Value, limit and direction of each, passed or not: what a failing test shows."""
    of = case()
    found = {c.rule: c for c in checks(of, score("I love the sea. " * 30, of), "stop")}
    assert found["rep8"].limit == of.thresholds.max_rep8_excess < found["rep8"].value
    assert found["rep8"].upper
    assert not found["rep8"].passed
    assert found["length"].passed
    assert "expected" in found["loop"].text


PASS, FAIL, ERROR, SKIP = (
    Verdict(s, (Reason(rule="rule", text="why"),) if s is not Status.PASS else ()) for s in Status
)


@pytest.mark.parametrize(
    ("verdicts", "min_pass", "want"),
    [
        ([PASS], 1, Status.PASS),
        ([PASS, FAIL, FAIL], 1, Status.PASS),
        ([PASS, FAIL, FAIL], 2, Status.FAIL),
        ([PASS, PASS, ERROR], 2, Status.ERROR),
        ([FAIL, FAIL, ERROR], 2, Status.FAIL),
        ([FAIL, ERROR], 1, Status.ERROR),
        ([SKIP, SKIP], 1, Status.SKIP),
        ([], 1, Status.ERROR),
        ([PASS], 0, Status.ERROR),
    ],
)
def test_samples_pass_from_min_pass_passes_on(verdicts: list[Verdict], min_pass: int, want: Status) -> None:
    """Green only when every sample was judged and enough passed; FAIL only when the unjudged could not save it."""
    assert combine(verdicts, min_pass).status is want


@given(st.lists(st.sampled_from([PASS, FAIL, ERROR, SKIP]), max_size=6), st.integers(-1, 7))
def test_no_combination_passes_without_enough_passes(verdicts: list[Verdict], min_pass: int) -> None:
    """Whatever the samples."""
    if combine(verdicts, min_pass).status is Status.PASS:
        assert sum(v.status is Status.PASS for v in verdicts) >= min_pass >= 1
        assert ERROR not in verdicts
