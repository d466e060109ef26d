"""A sign of a loop begins exactly at its limit, and a score that is not a number is never a sign's absence."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.cases.model import Thresholds
from harness.engines.base import FinishReason
from harness.judging import signs
from harness.judging.signs import RUN_RULES, Answer, RunRule, is_loop, run_excess
from harness.metrics.forms import Form
from tests.support.builders import case

LOOP, NUMBERED, CHARACTERS, TAIL = RUN_RULES
REFRAIN = {"has_reference": 1.0, "rep8_reference": 0.3}


def answer(finish_reason: Any = "stop", limits: Any = None, **scores: Any) -> Answer:
    """An answer with these scores; the limits are 4 copies and 32 units unless they are given."""
    return Answer(case=case(thresholds=limits), scores=scores, finish_reason=finish_reason)


def run(rule: RunRule, copies: float, length: float, period: float = 4.0, form: Form = Form.PROSE) -> dict[str, float]:
    """The scores of one run, whose excess is 0.5."""
    return {rule.excess: 0.5, rule.copies: copies, rule.length: length, rule.period: period, rule.form: float(form)}


@pytest.mark.parametrize(
    ("scores", "cut"),
    [
        ({}, False),
        ({"broken_off": 1.0}, True),
        ({"tail_broken": 1.0}, True),
        ({"tail_broken": 1.0, "tail_form": float(Form.DATA), "tail_units": 47.0}, False),
        ({"tail_broken": 1.0, "tail_form": float(Form.DATA), "tail_units": 48.0}, True),
        ({"broken_off": 1.0, "tail_form": float(Form.DATA), "tail_units": 1.0}, True),
    ],
    ids=["no sign", "breaks off", "tail breaks off", "short row of digits", "long row of digits", "after digits"],
)
def test_an_answer_of_unknown_end_is_cut_where_it_breaks_off(scores: dict[str, float], cut: bool) -> None:
    """A row of digits that is short may be all that was asked for."""
    assert answer(None, **scores).cut is cut


@pytest.mark.parametrize(("reason", "cut"), [("length", True), ("stop", False), ("loop", False)])
def test_a_known_end_decides_alone(reason: FinishReason, cut: bool) -> None:
    """Whatever the text looks like."""
    assert answer(reason, broken_off=1.0, tail_broken=1.0).cut is cut


@pytest.mark.parametrize(
    ("scores", "refrain"),
    [(REFRAIN, True), ({**REFRAIN, "rep8_reference": 0.29}, False), ({"rep8_reference": 0.5}, False), ({}, False)],
    ids=["from 0.3 on", "below", "without a standard answer", "nothing"],
)
def test_a_standard_answer_sings_from_a_third_of_repetition_on(scores: dict[str, float], refrain: bool) -> None:
    """Only a standard answer that there is."""
    assert answer(**scores).has_refrain is refrain


def test_a_score_that_was_not_worth_a_look_is_0_and_a_missing_one_is_no_number() -> None:
    """A rule about a missing score must not pass."""
    assert answer().score("echo_copies") == 0.0
    assert math.isnan(answer().score("rep8_excess"))
    assert answer().theirs("rep8") == 0.0


@pytest.mark.parametrize(("structured", "excused"), [(1.0, 0.35), (0.5, 0.175)])
def test_a_form_that_repeats_by_itself_is_excused_by_its_share(structured: float, excused: float) -> None:
    """Nothing is excused where no form was recorded."""
    assert answer(structured=structured).excused == pytest.approx(excused)
    assert answer().excused == 0.0


def test_an_excess_is_above_the_standard_answers_own_or_what_is_usual() -> None:
    """People are told which."""
    assert answer(has_reference=1.0).above() == " above the standard answer's"
    assert answer().above() == " above what is usual"


@pytest.mark.parametrize(
    ("rule", "copies", "length", "period", "form"),
    [
        (LOOP, 4, 32, 11, Form.PROSE),
        (LOOP, 3, 32, 12, Form.PROSE),
        (LOOP, 12, 96, 4, Form.MARKUP),
        (NUMBERED, 8, 32, 4, Form.PROSE),
        (CHARACTERS, 4, 64, 23, Form.PROSE),
        (CHARACTERS, 3, 64, 24, Form.PROSE),
        (CHARACTERS, 12, 192, 4, Form.MARKUP),
        (CHARACTERS, 16, 256, 4, Form.DATA),
        (TAIL, 4, 32, 11, Form.PROSE),
        (TAIL, 3, 32, 12, Form.PROSE),
        (TAIL, 8, 24, 4, Form.CODE),
    ],
    ids=[
        "words", "sentences", "markup", "numbered", "characters", "long characters", "characters in markup",
        "a fraction", "tail", "tail of sentences", "tail of code",
    ],
)  # fmt: skip
def test_a_run_is_a_loop_from_its_copies_and_length_on(
    rule: RunRule, copies: float, length: float, period: float, form: Form
) -> None:
    """One unit or a hundredth of a copy less is none, and has no positive excess."""
    assert run_excess(answer(**run(rule, copies, length, period, form)), rule) == 0.5
    assert run_excess(answer(**run(rule, copies - 0.01, length, period, form)), rule) == 0.0
    assert run_excess(answer(**run(rule, copies, length - 1, period, form)), rule) == 0.0


@pytest.mark.parametrize("rule", RUN_RULES, ids=lambda rule: rule.rule)
def test_the_limits_of_a_run_are_those_of_the_case(rule: RunRule) -> None:
    """Half the copies and half the units are enough where the case says so, and no less."""
    limits = Thresholds(min_loop_copies=2.0, min_loop_units=16.0)
    copies = 4.0 if rule is NUMBERED else 2.0
    length = 32.0 if rule is CHARACTERS else 16.0
    assert is_loop(answer(limits=limits, **run(rule, copies, length)), rule, cut=False)
    assert not is_loop(answer(limits=limits, **run(rule, copies - 0.1, length)), rule, cut=False)
    assert not is_loop(answer(limits=limits, **run(rule, copies, length - 1)), rule, cut=False)


@pytest.mark.parametrize("rule", RUN_RULES, ids=lambda rule: rule.rule)
def test_a_run_that_is_no_loop_keeps_a_negative_excess_and_no_number(rule: RunRule) -> None:
    """It is not rounded up to the limit, and NaN reaches the verdict."""
    scores = run(rule, 1.0, 4.0)
    assert run_excess(answer(**{**scores, rule.excess: -0.2}), rule) == -0.2
    assert math.isnan(run_excess(answer(**{**scores, rule.excess: math.nan}), rule))


def test_a_drawn_line_is_a_loop_of_characters_from_four_times_the_length_on() -> None:
    """A row of dashes parts two sections."""
    assert is_loop(answer(char_loop_drawn=1.0, **run(CHARACTERS, 9, 256)), CHARACTERS, cut=False)
    assert not is_loop(answer(char_loop_drawn=1.0, **run(CHARACTERS, 9, 255)), CHARACTERS, cut=False)
    assert is_loop(answer(char_loop_drawn=0.0, **run(CHARACTERS, 9, 255)), CHARACTERS, cut=False)


def test_a_numbered_tail_asks_for_the_copies_of_numbered_lines() -> None:
    """Eight and not four; the sign is about the tail alone."""
    assert not is_loop(answer(tail_numbered=1.0, **run(TAIL, 7, 64)), TAIL, cut=False)
    assert is_loop(answer(tail_numbered=1.0, **run(TAIL, 8, 64)), TAIL, cut=False)
    assert is_loop(answer(tail_numbered=1.0, **run(LOOP, 7, 64)), LOOP, cut=False)


@pytest.mark.parametrize("rule", [LOOP, TAIL], ids=["loop", "tail"])
def test_a_refrain_allows_three_long_copies(rule: RunRule) -> None:
    """Four are a loop; a form that asks for more keeps its own number."""
    assert not is_loop(answer(**REFRAIN, **run(rule, 3, 90, 30)), rule, cut=False)
    assert is_loop(answer(**REFRAIN, **run(rule, 4, 120, 30)), rule, cut=False)
    assert not is_loop(answer(**REFRAIN, **run(rule, 11, 400, 30, Form.MARKUP)), rule, cut=False)


@pytest.mark.parametrize(
    ("rule", "period", "copies", "broken", "loops"),
    [
        (TAIL, 24, 2.0, 1.0, True),
        (TAIL, 24, 1.9, 1.0, False),
        (TAIL, 23, 2.0, 1.0, False),
        (TAIL, 24, 2.0, 0.0, False),
        (LOOP, 24, 2.0, 1.0, False),
    ],
    ids=["two copies", "less than two", "no paragraph", "it ended", "not at the end"],
)
def test_two_copies_of_a_paragraph_are_a_loop_where_the_third_breaks_off(
    rule: RunRule, period: float, copies: float, broken: float, loops: bool
) -> None:
    """Only at the end, and only a paragraph."""
    found = answer(tail_broken=broken, **run(rule, copies, 60, period))
    assert is_loop(found, rule, cut=False) is loops


def test_a_refrain_is_no_paragraph_that_breaks_off() -> None:
    """The standard answer sings, so two copies are none."""
    assert not is_loop(answer(**REFRAIN, tail_broken=1.0, **run(TAIL, 3, 90, 30)), TAIL, cut=False)


def templated(copies: float = 8, units: float = 32, form: Any = Form.PROSE, **scores: Any) -> Answer:
    values = {"templated": 0.5, "loop_coverage": 0.0, "numbered_coverage": 0.0, "templated_excess": 0.4}
    return answer(templated_copies=copies, templated_units=units, templated_form=float(form), **{**values, **scores})


def test_templated_lines_count_from_eight_copies_and_thirty_two_units_on() -> None:
    """Less has no positive excess; a negative one stays."""
    assert signs.templated_excess(templated()) == 0.4
    assert signs.templated_excess(templated(copies=7.9)) == 0.0
    assert signs.templated_excess(templated(units=31)) == 0.0
    assert signs.templated_excess(templated(copies=1, templated_excess=-0.1)) == -0.1
    assert math.isnan(signs.templated_excess(templated(copies=1, templated_excess=math.nan)))


@pytest.mark.parametrize("coverage", ["loop_coverage", "numbered_coverage"])
def test_a_run_that_holds_the_templated_lines_judges_them_in_a_structured_form(coverage: str) -> None:
    """From four fifths of them on; running text is judged by both."""
    table = {"copies": 32.0, "units": 128.0, "form": Form.TABLE}
    assert signs.templated_excess(templated(**table, **{coverage: 0.4})) == 0.0
    assert signs.templated_excess(templated(**table, **{coverage: 0.39})) == 0.4
    assert signs.templated_excess(templated(**{coverage: 0.5})) == 0.4


def test_an_unfinished_run_counts_where_the_answer_was_cut_off_in_it() -> None:
    """By the copies of prose in every form; an answer that ended has none."""
    table = run(TAIL, 4, 40, 4, Form.TABLE)
    assert signs.unfinished_units(answer("length", **table)) == 40
    assert signs.unfinished_units(answer("stop", **table)) == 0.0
    assert signs.unfinished_units(answer("length", **run(TAIL, 3.9, 40, 4, Form.TABLE))) == 0.0
    assert math.isnan(signs.unfinished_units(answer("stop", **{**table, "tail_units": math.nan})))


def test_a_stretch_counts_from_six_copies_on_and_only_in_running_text() -> None:
    """A table says things again."""
    assert signs.stretch_units(answer(**run(LOOP, 6, 90))) == 90
    assert signs.stretch_units(answer(**run(LOOP, 5.9, 90))) == 0.0
    assert signs.stretch_units(answer(**run(LOOP, 6, 90, 4, Form.TABLE))) == 0.0
    assert math.isnan(signs.stretch_units(answer(**run(LOOP, 1, math.nan))))


@pytest.mark.parametrize(
    ("form", "most"),
    [(Form.PROSE, 0.57), (Form.VERSE, 0.57), (Form.CODE, 0.57), (Form.LIST, 0.8), (Form.LABELS, 0.8),
     (Form.DATA, 0.95), (Form.TABLE, 1.0)],
    ids=lambda v: v.name.lower() if isinstance(v, Form) else str(v),
)  # fmt: skip
def test_what_the_end_of_a_cut_answer_may_say_again_depends_on_its_form(form: Form, most: float) -> None:
    """An answer that ended may say anything again."""
    scores = {"end_form": float(form), "stale": 0.9, "characters": 500.0, "units": 100.0}
    assert signs.stale_excess(answer("length", **scores)) == pytest.approx(0.9 - most)
    assert signs.stale_excess(answer("stop", **scores)) == 0.0


@pytest.mark.parametrize(
    ("form", "characters", "most"),
    [(Form.PROSE, 169.0, 0.8), (Form.PROSE, 170.0, 0.57), (Form.CODE, 169.0, 0.57), (Form.DATA, 169.0, 0.95)],
    ids=["without spaces", "with spaces", "code", "data"],
)
def test_text_without_spaces_may_say_more_again(form: Form, characters: float, most: float) -> None:
    """Below 1.7 characters a unit; code is not excused by it, and a higher limit stays."""
    scores = {"end_form": float(form), "stale": 0.9, "characters": characters, "units": 100.0}
    assert signs.stale_excess(answer("length", **scores)) == pytest.approx(0.9 - most)


def test_what_the_standard_answer_says_again_is_allowed_where_it_is_more() -> None:
    """And where it is less, what is usual."""
    scores = {"stale": 0.9, "characters": 500.0, "units": 100.0}
    assert signs.stale_excess(answer("length", stale_reference=0.7, **scores)) == pytest.approx(0.2)
    assert signs.stale_excess(answer("length", stale_reference=0.1, **scores)) == pytest.approx(0.33)


@pytest.mark.parametrize(
    ("reason", "stale", "lines"), [("stop", 0.5, 4.0), ("stop", 0.49, 0.0), ("length", 0.0, 4.0)], ids=str
)
def test_lines_that_begin_alike_count_where_the_answer_brings_little_else(
    reason: FinishReason, stale: float, lines: float
) -> None:
    """From half of its end on, or where it was cut off."""
    assert signs.restated_lines(answer(reason, restated=4.0, stale=stale)) == lines


@pytest.mark.parametrize(("units", "share"), [(100.0, 0.64), (99.0, 0.0)], ids=["long", "short"])
def test_a_text_said_twice_counts_from_sixty_four_units_on(units: float, share: float) -> None:
    """A short one is a refrain."""
    assert signs.twice_share(answer(twice_coverage=0.64, units=units)) == share


@pytest.mark.parametrize(("units", "copies"), [(128.0, 9.0), (127.0, 0.0)], ids=["much", "little"])
def test_an_echo_counts_from_a_hundred_and_twenty_eight_units_on(units: float, copies: float) -> None:
    """Of all such sentences together."""
    assert signs.echo_copies(answer(echo_copies=9.0, echo_units=units)) == copies


@pytest.mark.parametrize(
    ("form", "missing"),
    [(Form.PROSE, 3.0), (Form.LIST, 3.0), (Form.CODE, -2.0), (Form.TRACE, -2.0), (Form.TABLE, 0.0), (Form.DATA, 0.0),
     (Form.LOG, 0.0), (Form.ROWS, 0.0), (Form.MARKUP, 0.0)],
    ids=lambda v: v.name.lower() if isinstance(v, Form) else str(v),
)  # fmt: skip
def test_running_text_has_nine_different_words_and_code_four(form: Form, missing: float) -> None:
    """In forms whose words are few none is missing."""
    assert signs.missing_words(answer(variety=6.0, variety_form=float(form))) == missing
