"""How many pairs there are, what each holds, and which answers none is made of: the rules at their boundaries."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.cases.model import Role
from harness.engines.base import FinishReason
from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.metrics.types import Scores
from harness.pairs import Pair, build_pairs, loop_copy, pairs_of_case, trim_loop
from harness.pairs.build import spread
from harness.pairs.rejected import before_fault, rejected_answers
from harness.pairs.replay_prompts import EVERYDAY, ORDINARY
from tests.support.builders import attempt, case, looped, result

LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)
CLEAN = "The sea is wide. It sings at night. The sailors sleep."
FAILED = Verdict(Status.FAIL, (Reason(rule="similarity", text="too far"),))
ERROR = Verdict(Status.ERROR, (Reason(rule="engine", text="it broke"),))


def loops(count: int, **fields: Any) -> list[CaseResult]:
    return [result(case(f"badcase1/f{i}", **fields), LOOPING, LOOPS) for i in range(count)]


def passed(
    name: str = "p", answer: str = CLEAN, *, ended: FinishReason = "stop", role: Role = "fix", **values: float
) -> CaseResult:
    return result(case(f"badcase1/{name}", role=role), answer, finish_reason=ended, values=values)


def replayed(pairs: tuple[Pair, ...]) -> list[Pair]:
    return [p for p in pairs if p.origin == "replay"]


@pytest.mark.parametrize(
    ("count", "kept"),
    [(0, []), (1, [0]), (2, [0, 5]), (3, [0, 3, 6]), (10, list(range(10))), (11, list(range(10)))],
    ids=str,
)
def test_items_are_spread_evenly_and_in_order(count: int, kept: list[int]) -> None:
    """All of them where there are fewer than wanted."""
    assert spread(range(10), count) == kept


@pytest.mark.parametrize(
    ("answer", "copy"),
    [
        ("One. Two.", "One. Two. Two. Two."),
        ("One! Two.", "One! Two. Two. Two."),
        ("One? Two.", "One? Two. Two. Two."),
        ("One\nTwo \n", "One\nTwo\nTwo\nTwo"),
        ("一。二。", "一。二。二。二。"),
        ("一！二。", "一！二。二。二。"),
        ("一？二。", "一？二。二。二。"),
        ("一。二", "一。二二二"),
        ("。一", "。一一一"),
        ("Alone", "Alone Alone Alone"),
    ],
    ids=[
        "full stop", "exclamation", "question", "line", "chinese", "chinese exclamation", "chinese question",
        "one letter", "mark first", "one sentence",
    ],
)  # fmt: skip
def test_a_looped_copy_says_the_last_sentence_again(answer: str, copy: str) -> None:
    """Parted as sentences are in its script."""
    assert loop_copy(answer, 2) == copy


@pytest.mark.parametrize(("length", "again"), [(159, 159), (160, 160), (161, 160), (300, 160)])
def test_a_looped_copy_of_a_long_sentence_says_its_end_again(length: int, again: int) -> None:
    """At most 160 characters of it."""
    answer = "一。" + "海" * length
    assert loop_copy(answer, 3) == answer + "海" * (3 * again)


def test_a_looped_copy_of_a_long_line_is_joined_with_a_space() -> None:
    """As sentences of such a script are."""
    assert loop_copy("One. " + "x" * 300, 2) == "One. " + "x" * 300 + 2 * (" " + "x" * 160)


def test_the_first_looped_copy_has_four_copies() -> None:
    """More than a person would write."""
    assert loop_copy("One. Two.") == "One. Two." + " Two." * 4


def test_a_pair_has_the_case_its_prompt_and_where_the_fault_begins() -> None:
    """Also a pair of a branch; the template's arguments of the case go with it."""
    of = dataclasses.replace(case(), chat_template_kwargs={"enable_thinking": False})
    standard, own, again, branch = pairs_of_case(
        result(of, LOOPING, LOOPS), ["Own words."], ["The sea is blue. And calm."]
    )
    assert [p.origin for p in (standard, own, again, branch)] == ["standard", "own", "standard", "branch"]
    for pair in (standard, own, again, branch):
        assert (pair.case_id, pair.chat_template_kwargs) == (of.id, {"enable_thinking": False})
        assert pair.rejected[: pair.fault_at] == "The sea is blue. The waves roll in. "
    assert standard.messages == own.messages == branch.messages == of.messages
    assert again.messages != of.messages


def test_every_third_pair_stands_under_another_variation() -> None:
    """The second variation is not the first again."""
    pairs = pairs_of_case(result(answer=LOOPING, loops=LOOPS), [f"Own {i}." for i in range(8)])
    varied = [i for i, p in enumerate(pairs) if p.messages != case().messages]
    assert varied == [2, 5, 8]
    assert len({pairs[i].prompt for i in varied}) == 3


def test_a_prompt_that_cannot_be_varied_stands_for_itself() -> None:
    """Two lines may depend on their wording."""
    of = case(prompt="Sum up:\nThe sea is wide.")
    pairs = pairs_of_case(result(of, LOOPING, LOOPS), [f"Own {i}." for i in range(8)])
    assert {p.messages for p in pairs} == {of.messages}


def test_without_a_standard_answer_the_models_own_are_chosen() -> None:
    """And without those there is no pair."""
    failed = result(case(standard_answer=None), LOOPING, LOOPS)
    assert [p.origin for p in pairs_of_case(failed, ["Own."])] == ["own", "own", "own"]
    assert pairs_of_case(failed, []) == ()


def test_enough_clean_answers_are_taken_once_each() -> None:
    """Nothing is repeated where there are three chosen answers or more."""
    pairs = pairs_of_case(result(answer=LOOPING, loops=LOOPS), ["One.", "Two.", "Three."])
    assert [p.chosen for p in pairs] == [case().standard_answer, "One.", "Two.", "Three."]


def test_a_failing_answer_without_words_gives_no_pair() -> None:
    """There is nothing to reject."""
    assert pairs_of_case(result(answer=" \n", verdict=FAILED), ["Own."], ["A branch."]) == ()


def test_an_answer_is_not_chosen_over_itself() -> None:
    """White space around it makes no difference."""
    failed = result(case(standard_answer="Nonsense."), "Nonsense.\n", verdict=FAILED)
    assert [p.chosen for p in pairs_of_case(failed, ["Own."], ["Nonsense. "])] == ["Own."]


def test_a_branch_of_a_sampled_failure_stands_against_the_cases_own_answer() -> None:
    """Whatever else was rejected, and whether the model ended it."""
    failed = result(answer="Nonsense.", verdict=FAILED, finish_reason="stop")
    *_, branch = pairs_of_case(failed, [], ["Nonsense, they say."])
    assert (branch.rejected, branch.rejected_finished, branch.fault_at) == ("Nonsense.", True, 0)


def test_an_error_is_never_trained_on() -> None:
    """Nor is a case that passed, whatever list it comes in."""
    assert build_pairs([result(case("badcase1/e"), verdict=ERROR), passed()], [], {}, {}, {}) == ()


def test_each_case_gets_its_own_candidates() -> None:
    """By its id."""
    other, other_loops = looped("Stars. ", "They shine on. ", 30)
    sample = attempt(other, other_loops, sample=1)
    pairs = build_pairs(
        loops(2), [], {"badcase1/f0": ["Own."]}, {"badcase1/f1": ["The sea is blue. And calm."]},
        {"badcase1/f1": [sample]}, replay=0.0,
    )  # fmt: skip
    assert {p.case_id for p in pairs if p.chosen == "Own."} == {"badcase1/f0"}
    assert {p.case_id for p in pairs if p.origin == "branch"} == {"badcase1/f1"}
    assert {p.case_id for p in pairs if p.rejected.startswith("Stars")} == {"badcase1/f1"}


@pytest.mark.parametrize(
    ("cases", "replay", "count"), [(30, 0.4, 60), (30, 0.5, 90), (10, 0.4, 32), (10, 0.0, 0), (0, 0.4, 0)], ids=str
)
def test_replay_pairs_are_a_share_of_all_and_at_least_thirty_two(cases: int, replay: float, count: int) -> None:
    """None without failing cases, and none where none are wanted."""
    suite = [passed(f"p{i}") for i in range(200)]
    assert len(replayed(build_pairs(loops(cases), suite, {}, {}, {}, replay=replay))) == count


def test_four_tenths_of_the_pairs_are_replay_unless_it_is_said() -> None:
    """The default of the share."""
    pairs = build_pairs(loops(30), [passed(f"p{i}") for i in range(200)], {}, {}, {})
    assert (len(pairs), len(replayed(pairs))) == (150, 60)


@pytest.mark.parametrize(("failing", "most"), [(1, 4), (5, 4), (8, 6)], ids=str)
def test_answers_that_never_ended_are_one_to_four_failing_ones_and_at_least_four(failing: int, most: int) -> None:
    """Three pairs a failing case."""
    unended = [passed(f"u{i}", ended="length") for i in range(20)]
    pairs = build_pairs(loops(failing), unended, {}, {}, {}, replay=0.0)
    assert sum(p.case_id.startswith("badcase1/u") for p in pairs) == most


def test_without_failing_cases_nothing_is_trained_on() -> None:
    """Answers that never ended alone are no reason for a training."""
    assert build_pairs([], [passed("u", ended="length")], {}, {}, {}) == ()


@pytest.mark.parametrize(
    "unended",
    [
        passed("u", ended="length", role="holdout"),
        passed("u", ended="length", role="guard"),
        passed("u"),
        result(case("badcase1/u", standard_answer=None), CLEAN, finish_reason="length"),
        result(case("badcase1/u"), verdict=ERROR),
        result(case("badcase1/u"), CLEAN, verdict=FAILED, finish_reason="length"),
        result(case("badcase1/u", standard_answer=f"{CLEAN}\n"), f" {CLEAN}", finish_reason="length"),
    ],
    ids=["holdout", "guard", "ended", "no standard answer", "error", "failed", "the standard answer"],
)
def test_only_a_passing_fix_case_that_was_cut_off_teaches_to_end(unended: CaseResult) -> None:
    """Its standard answer is chosen, so there must be one."""
    pairs = build_pairs(loops(3), [unended], {}, {}, {}, replay=0.0)
    assert "badcase1/u" not in {p.case_id for p in pairs}


def test_one_pair_is_made_of_each_case_that_never_ended() -> None:
    """Of its first answer, whatever its other samples did; of one whose first answer ended there is none."""
    (first,) = passed("u", ended="length").attempts
    (ended,) = passed("u").attempts
    twice = dataclasses.replace(passed("u"), attempts=(first, dataclasses.replace(first, answer="The sea.")))
    later = dataclasses.replace(passed("u"), attempts=(ended, first))
    for of, rejected in ((twice, [CLEAN]), (later, [])):
        pairs = build_pairs(loops(1), [of], {}, {}, {}, replay=0.0)
        assert [p.rejected for p in pairs if p.case_id == "badcase1/u"] == rejected


def test_an_answer_that_never_ended_is_rejected_up_to_a_bound() -> None:
    """The pair says nothing of an end or a fault in it."""
    unended = result(
        dataclasses.replace(case("badcase1/u"), chat_template_kwargs={"enable_thinking": False}),
        "word " * 900, finish_reason="length",
    )  # fmt: skip
    (pair,) = [p for p in build_pairs(loops(1), [unended], {}, {}, {}, replay=0.0) if p.case_id == "badcase1/u"]
    assert len(pair.rejected) == 2400
    assert (pair.origin, pair.rejected_finished, pair.fault_at) == ("standard", False, 0)
    assert pair.chat_template_kwargs == {"enable_thinking": False}


@pytest.mark.parametrize(
    "good",
    [
        passed("r", role="holdout"),
        passed("r", role="guard"),
        passed("r", ended="length"),
        passed("r", " \n"),
        result(case("badcase1/r"), CLEAN, verdict=FAILED),
    ],
    ids=["holdout", "guard", "cut off", "empty", "failed"],
)
def test_only_a_passing_fix_case_that_ended_is_replayed(good: CaseResult) -> None:
    """Another answer is none to imitate, or belongs to the test."""
    assert "badcase1/r" not in {p.case_id for p in replayed(build_pairs(loops(3), [good], {}, {}, {}))}


def test_a_replayed_answer_keeps_its_prompt_and_stands_against_copies_in_turn() -> None:
    """Four, two and eight further copies; the fault begins where the good answer ends."""
    suite = [
        dataclasses.replace(r, case=dataclasses.replace(r.case, chat_template_kwargs={"n": i}))
        for i, r in enumerate(passed(f"p{i}", CLEAN + "\n", rep4=1 - i / 10) for i in range(3))
    ]
    pairs = [
        p
        for p in replayed(build_pairs(loops(1, standard_answer=None), suite, {"badcase1/f0": ["Own."]}, {}, {}))
        if p.case_id.startswith("badcase1/")
    ]
    assert [p.chat_template_kwargs for p in pairs] == [{"n": i} for i in range(3)]
    looped_ones = [p for p in pairs if not p.rejected_finished]
    assert looped_ones
    for pair in looped_ones:
        assert pair.rejected[: pair.fault_at] == CLEAN
        assert pair.rejected[pair.fault_at :].count("The sailors sleep.") in (4, 2, 8)
    ended = [p for p in pairs if p.rejected_finished]
    assert all(CLEAN.startswith(p.rejected) and p.fault_at == len(p.rejected) < len(CLEAN) for p in ended)


def test_answers_that_repeat_most_are_replayed_first() -> None:
    """One without scores, or without that one, counts as repeating nothing; a second sample is not replayed."""
    (one,) = passed("bare").attempts
    bare = dataclasses.replace(passed("bare"), attempts=(dataclasses.replace(one, scores=None), one))
    other = dataclasses.replace(passed("other"), attempts=(dataclasses.replace(one, scores=Scores({})),))
    suite = [passed("low", rep4=0.1), bare, other, passed("high", rep4=0.9)]
    kept = [p.case_id for p in replayed(build_pairs(loops(1), suite, {}, {}, {})) if p.case_id.startswith("badcase1/")]
    assert kept == ["badcase1/high", "badcase1/low", "badcase1/bare", "badcase1/other"]


def test_a_sixth_of_replay_repeats_most_and_a_third_repeats_by_right() -> None:
    """The rest is spread over the suite; everyday prompts come where the suite has too few answers."""
    own = {o.id: CLEAN for o in (*ORDINARY, *EVERYDAY)}
    suite = [passed(f"p{i:02}", rep4=1 - i / 100) for i in range(60)]
    kept = [p.case_id for p in replayed(build_pairs(loops(1), suite, {}, {}, {}, ordinary=own))]
    assert kept[:5] == [f"badcase1/p0{i}" for i in range(5)]
    assert [i.startswith("(bundled)/") for i in kept] == [False] * 5 + [True] * 5 + [False] * 22
    assert kept[10] == "badcase1/p05"
    few = [p.case_id for p in replayed(build_pairs(loops(1), suite[:7], {}, {}, {}, ordinary=own))]
    assert len(few) == len(set(few)) == 32
    assert [i for i in few if i.startswith("badcase1/")] == [f"badcase1/p0{i}" for i in range(7)]
    assert len({*few} & {o.id for o in EVERYDAY}) == min(len(EVERYDAY), 20)


def test_a_bundled_prompt_of_a_fix_case_is_no_test() -> None:
    """Only prompts of guards and holdout cases are left out."""
    fix = [case(f"badcase1/x{i}", prompt=o.prompt) for i, o in enumerate(ORDINARY)]
    guards = [dataclasses.replace(c, role="holdout") for c in fix]
    assert len(replayed(build_pairs(loops(9), [], {}, {}, {}, protected=fix))) > 0
    assert replayed(build_pairs(loops(9), [], {}, {}, {}, protected=guards)) == []


def test_half_a_character_is_no_part_of_a_pair() -> None:
    """A lone surrogate cannot be written to a file."""
    failed = result(case(standard_answer="Good \ud800."), "Bad \ud800.", verdict=FAILED)
    (pair,) = build_pairs([failed], [], {}, {}, {}, replay=0.0)
    assert "\ud800" not in pair.chosen + pair.rejected
    pair.chosen.encode()
    pair.rejected.encode()


@pytest.mark.parametrize(("copies", "whole"), [(4.0, True), (4.1, False)])
def test_a_loop_of_as_many_copies_as_are_kept_is_whole(copies: float, whole: bool) -> None:
    """With what follows it; one of more is cut after them."""
    text, found = looped("Well then. ", "Yes, yes. ", copies, "And that is all.")
    assert (trim_loop(text, found[0], 4) == text) is whole


def test_the_fault_of_a_loop_of_one_character_begins_with_the_second_one() -> None:
    """Its copy is one character long."""
    text, found = looped("No", "o", 80)
    (first, *_) = rejected_answers(result(answer=text, loops=found), ())
    assert first.fault_at == 3


def test_a_loop_of_long_copies_is_cut_at_a_bound() -> None:
    """Twelve hundred characters from where it begins."""
    text, found = looped("Well then. ", "x" * 500, 9)
    assert len(trim_loop(text, found[0], 4)) == len("Well then. ") + 1200


def test_a_model_that_ended_its_short_loop_finished_it() -> None:
    """One that was trimmed, or cut off, has no end."""
    short, found = looped("Well then. ", "Yes, yes, we know. ", 3)
    whole = result(answer=short, loops=found, finish_reason="stop")
    assert {(r.text == short, r.finished) for r in rejected_answers(whole, ())} >= {(True, True)}
    cut = result(answer=short, loops=found, finish_reason="length")
    assert not any(r.finished for r in rejected_answers(cut, ()))
    long = result(answer=LOOPING, loops=LOOPS, finish_reason="stop")
    assert not any(r.finished for r in rejected_answers(long, ()))


@pytest.mark.parametrize(("characters", "kept"), [(20, True), (19, False)])
def test_a_beginning_of_twenty_characters_is_worth_going_on_from(characters: int, kept: bool) -> None:
    """It is what precedes the fault, without the white space at its end."""
    sound = "x" * characters
    failed = result(dataclasses.replace(case(), must_not_include=("dose",)), f"{sound} dose", verdict=FAILED)
    assert before_fault(failed) == (sound if kept else "")
    assert before_fault(result(answer=LOOPING, loops=LOOPS)) == "The sea is blue. The waves roll in."


def test_an_answer_without_scores_or_a_place_of_its_fault_has_no_sound_beginning() -> None:
    """Nobody knows where it went wrong."""
    assert before_fault(result(verdict=ERROR)) == ""
    assert before_fault(result(answer=CLEAN * 3, verdict=FAILED)) == ""


def test_the_first_of_several_forbidden_matches_is_the_fault() -> None:
    """An empty match is none."""
    of = dataclasses.replace(case(), must_not_include=("later", "dose", "z*"))
    (only,) = rejected_answers(result(of, "Take a dose, and one later", verdict=FAILED, finish_reason="stop"), ())
    assert (only.text, only.fault_at, only.finished) == ("Take a dose", 7, False)
    (last,) = rejected_answers(result(of, "Take it later", verdict=FAILED, finish_reason="stop"), ())
    assert (last.text, last.finished) == ("Take it later", True)
    (cut,) = rejected_answers(result(of, "Take it later", verdict=FAILED, finish_reason="length"), ())
    assert not cut.finished


@pytest.mark.parametrize(("length", "finished"), [(2400, True), (2401, False)])
def test_a_whole_answer_is_rejected_up_to_a_bound(length: int, finished: bool) -> None:
    """What was cut has no end of turn."""
    (only,) = rejected_answers(result(answer="x" * length, verdict=FAILED, finish_reason="stop"), ())
    assert (len(only.text), only.finished) == (2400, finished)


def test_a_loop_that_was_judged_harmless_is_not_trimmed() -> None:
    """Only what failed on repetition is rejected for its loop."""
    failed = result(answer=LOOPING, loops=LOOPS, verdict=FAILED)
    (only,) = rejected_answers(failed, ())
    assert (only.text, only.fault_at) == (LOOPING[:2400], 0)


def test_answers_that_are_all_but_the_same_are_rejected_once() -> None:
    """Beside those that differ."""
    near = attempt(*looped("The sea is blue! ", "The waves roll in. ", 40), sample=1)
    far = attempt(*looped("Stars. ", "They shine on and on and on. ", 30), sample=2)
    alone = rejected_answers(result(answer=LOOPING, loops=LOOPS), ())
    assert len(rejected_answers(result(answer=LOOPING, loops=LOOPS), (near,))) == len(alone)
    assert len(rejected_answers(result(answer=LOOPING, loops=LOOPS), (far,))) > len(alone)


def test_scores_of_a_bare_answer_do_not_matter_to_what_is_rejected() -> None:
    """A failing answer that was never scored is rejected whole."""
    failed = result(answer="Nonsense.", verdict=FAILED)
    bare = dataclasses.replace(
        failed, attempts=tuple(dataclasses.replace(a, scores=Scores({})) for a in failed.attempts)
    )
    assert rejected_answers(bare, ()) == rejected_answers(failed, ())
