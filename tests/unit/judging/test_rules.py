"""Each rule allows what its limit says, up to and including it, and the standard answer's own where that is more."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cases.model import Thresholds
from harness.judging.rules import RULES, show_number, surely_passes
from harness.judging.signs import Answer
from harness.metrics import score
from tests.support.builders import case

BY_NAME = {rule.rule: rule for rule in RULES}
GOOD = "The tide comes in twice a day, and takes the sand along with it."


def kept(rule: str, reason: Any = "stop", limits: Any = None, **scores: float) -> bool:
    """Whether an answer with these scores and a standard answer that repeats nothing keeps a rule."""
    answer = Answer(case=case(thresholds=limits), scores={"units": 500.0, **scores}, finish_reason=reason)
    row = BY_NAME[rule]
    value, limit = row.value(answer), row.limit(answer)
    return value <= limit if row.upper else value >= limit


@pytest.mark.parametrize(
    ("rule", "most", "step", "more"),
    [
        ("rep8", {"rep8_excess": 0.30}, 0.01, {}),
        ("rep8", {"rep8_excess": 0.65}, 0.01, {"structured": 1.0}),
        ("rep8d", {"rep8d_excess": 0.35}, 0.01, {}),
        ("rep8d", {"rep8d_excess": 0.70}, 0.01, {"structured": 1.0}),
        ("stretch", {"loop_units": 64.0}, 1, {"loop_copies": 6.0}),
        ("lasting", {"lasting_units": 224.0}, 1, {}),
        ("twice", {"twice_coverage": 0.8}, 0.01, {}),
        ("twice", {"twice_coverage": 0.9}, 0.01, {"twice_coverage_reference": 0.9}),
        ("echo", {"echo_copies": 7.0}, 1, {"echo_units": 200.0}),
        ("echo", {"echo_copies": 20.0}, 1, {"echo_units": 200.0, "echo_copies_reference": 5.0}),
        ("passage", {"passage_copies": 3.0}, 1, {}),
        ("passage", {"passage_copies": 8.0}, 1, {"passage_copies_reference": 2.0}),
        ("flood", {"flood_characters": 128.0}, 1, {}),
        ("flood", {"flood_characters": 200.0}, 1, {"flood_characters_reference": 100.0}),
        ("restated", {"restated": 3.0}, 1, {"stale": 0.6}),
        ("restated", {"restated": 8.0}, 1, {"stale": 0.6, "restated_reference": 2.0}),
        ("turns", {"turn_overlap": 0.9}, 0.01, {}),
        ("turns", {"turn_overlap": 0.95}, 0.01, {"turn_overlap_reference": 0.95}),
    ],
    ids=lambda v: v if isinstance(v, str) else "+".join(v) if isinstance(v, dict) else "",
)
def test_as_much_as_the_limit_is_allowed_and_no_more(
    rule: str, most: dict[str, float], step: float, more: dict[str, float]
) -> None:
    """The limit of the rule, or of the standard answer."""
    ((name, value),) = most.items()
    assert kept(rule, **more, **{name: value - step / 1000})
    assert not kept(rule, **more, **{name: value + step})


def test_the_names_of_the_rules_are_stable() -> None:
    """They are recorded, and people write them down; the first ones make a repeater."""
    repetition = [
        "rep8", "rep8d", "loop", "numbered", "char_loop", "lasting", "tail", "unfinished", "stretch", "twice", "echo",
        "passage", "variety", "flood", "stale", "restated", "templated", "turns",
    ]  # fmt: skip
    others = ["length", "length_ratio", "longest", "similarity", "cutoff"]
    assert [rule.rule for rule in RULES] == [*repetition, *others]
    assert [rule.rule for rule in RULES if rule.repetition] == repetition
    assert [rule.rule for rule in RULES if not rule.upper] == ["length", "length_ratio", "similarity"]


def test_a_cut_answer_may_begin_two_lines_alike_and_one_that_ended_three() -> None:
    """What was cut off would have gone on."""
    assert kept("restated", "length", restated=2.0, stale=0.0)
    assert not kept("restated", "length", restated=3.0, stale=0.0)
    assert kept("restated", "stop", restated=3.0, stale=0.6)


@pytest.mark.parametrize(("units", "allowed"), [(31.0, True), (32.0, False)])
def test_a_short_turn_may_say_what_was_said(units: float, allowed: bool) -> None:
    """Yes is yes."""
    assert kept("turns", turn_overlap=1.0, units=units) is allowed


@pytest.mark.parametrize(
    ("scores", "allowed"),
    [
        ({"variety": 9.0}, True),
        ({"variety": 8.0}, False),
        ({"variety": 6.0, "variety_reference": 6.0, "has_reference": 1.0}, True),
        ({"variety": 5.0, "variety_reference": 6.0, "has_reference": 1.0}, False),
        ({"variety": 8.0, "variety_reference": 20.0, "has_reference": 1.0}, False),
    ],
    ids=["nine", "eight", "as the standard answer", "fewer than it", "a rich standard answer"],
)
def test_running_text_has_as_many_words_as_is_usual_or_as_the_standard_answer(
    scores: dict[str, float], allowed: bool
) -> None:
    """In the poorest stretch of 64."""
    assert kept("variety", **scores) is allowed


@pytest.mark.parametrize(
    ("scores", "limits", "allowed"),
    [
        ({"words": 1.0}, {}, True),
        ({"words": 0.0, "symbols": 1.0}, {}, True),
        ({"words": 0.0, "symbols": 0.0}, {}, False),
        ({"words": 2.0}, {"min_units": 3}, False),
        ({"words": 3.0}, {"min_units": 3}, True),
    ],
    ids=["a word", "a picture", "nothing", "too few", "enough"],
)
def test_an_answer_has_words_or_pictures(scores: dict[str, float], limits: dict[str, int], allowed: bool) -> None:
    """One is enough where nothing else is said."""
    assert kept("length", limits=Thresholds.from_mapping(limits), **scores) is allowed


@pytest.mark.parametrize(
    ("words", "ratio", "allowed"), [(9.0, 0.1, True), (9.0, 0.09, False), (10.0, 0.02, True), (10.0, 0.019, False)]
)
def test_a_short_answer_must_be_nearer_to_the_standard_answers_length(
    words: float, ratio: float, allowed: bool
) -> None:
    """From ten words on a fifth of that share is enough."""
    assert kept("length_ratio", words=words, length_ratio=ratio) is allowed


@pytest.mark.parametrize(("units", "applies"), [(19.0, False), (20.0, True)])
def test_a_short_standard_answer_says_nothing_of_length(units: float, applies: bool) -> None:
    """From twenty units on it does; without one there is nothing to compare with."""
    rule = BY_NAME["length_ratio"]
    scores = {"reference_units": units}
    assert rule.applies(Answer(case=case(), scores=scores, finish_reason="stop")) is applies
    assert not rule.applies(Answer(case=case(standard_answer=None), scores=scores, finish_reason="stop"))


@pytest.mark.parametrize(
    ("rule", "limits"),
    [
        ("longest", {"max_length_ratio": 2.0}),
        ("similarity", {"min_similarity": 0.5}),
        ("cutoff", {"allow_cutoff": False}),
    ],
)
def test_rules_that_are_off_apply_where_the_case_says_so(rule: str, limits: dict[str, Any]) -> None:
    """And not without a standard answer, where they need one."""
    on = Thresholds.from_mapping(limits)
    row = BY_NAME[rule]
    assert not row.applies(Answer(case=case(), scores={}, finish_reason="stop"))
    assert row.applies(Answer(case=case(thresholds=on), scores={}, finish_reason="stop"))
    bare = case(standard_answer=None, thresholds=on)
    assert row.applies(Answer(case=bare, scores={}, finish_reason="stop")) is (rule == "cutoff")


SOUND = score(GOOD, case(standard_answer=None)).values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repetition", 0.16), ("tail_excess", 0.06), ("loop_units", 65.0), ("tail_units", 1.0),
        ("twice_coverage", 0.81), ("variety", 8.0), ("flood_characters", 129.0), ("stale", 0.5), ("echo_copies", 8.0),
        ("passage_copies", 4.0), ("words", 0.0),
    ],
)  # fmt: skip
def test_an_answer_surely_passes_only_where_no_sign_is_near_its_limit(name: str, value: float) -> None:
    """Everything else is judged by the rules."""
    assert surely_passes(SOUND, Thresholds())
    assert not surely_passes({**SOUND, "symbols": 0.0, name: value}, Thresholds())


@pytest.mark.parametrize(
    "limits",
    [
        {"min_similarity": 0.1}, {"max_length_ratio": 3.0}, {"allow_cutoff": False}, {"min_metrics": {"words": 1.0}},
        {"max_metrics": {"words": 900.0}}, {"min_units": 90},
    ],
    ids=lambda v: next(iter(v)),
)  # fmt: skip
def test_no_answer_surely_passes_where_a_case_has_limits_of_its_own(limits: dict[str, Any]) -> None:
    """They are looked at by the rules."""
    assert not surely_passes(SOUND, Thresholds.from_mapping(limits))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (2.0, "2"), (0.5, "0.5"), (0.12345, "0.123"), (100.0, "100"), (float("nan"), "not a number")],
)
def test_numbers_are_shown_with_at_most_three_decimals(value: float, shown: str) -> None:
    """Without zeros at the end."""
    assert show_number(value) == shown


@pytest.mark.parametrize(
    ("units", "ratio", "passes"), [(20.0, 0.1, True), (20.0, 0.09, False), (19.0, 0.09, True)], ids=str
)
def test_an_answer_much_shorter_than_the_standard_answer_does_not_surely_pass(
    units: float, ratio: float, passes: bool
) -> None:
    """Where the standard answer is long enough to say so."""
    assert surely_passes({**SOUND, "reference_units": units, "length_ratio": ratio}, Thresholds()) is passes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repetition", 0.15), ("tail_excess", 0.05), ("loop_units", 64.0), ("twice_coverage", 0.8), ("variety", 9.0),
        ("flood_characters", 128.0), ("stale", 0.49), ("echo_copies", 7.0), ("passage_copies", 3.0), ("words", 1.0),
    ],
)  # fmt: skip
def test_an_answer_at_the_limit_surely_passes(name: str, value: float) -> None:
    """A limit is what may be reached; scores that were not worth a look are 0."""
    assert surely_passes({**SOUND, name: value}, Thresholds())
