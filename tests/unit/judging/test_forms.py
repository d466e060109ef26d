"""Verdicts on texts of many forms: what is usual in a form passes, what no form excuses fails."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines.base import FinishReason
from harness.judging.lines import score_lines
from harness.judging.results import Status
from harness.judging.verdict import counted_loops, judge
from harness.metrics import score
from tests.support.builders import case
from tests.support.texts import CLEAN, filler, labelled

SENTENCE = "This is a very important part of the work that we do here. "
SOUND = [row["text"] for row in labelled(looping=False)]
REFERENCES = ["Yes.", "All is well.", "全部正常。", CLEAN, CLEAN[:120], "1. Open it.\n2. Close it.\n", *SOUND[::7]]


def rules(answer: str, finish_reason: FinishReason | None = None, standard_answer: str | None = None) -> set[str]:
    """The rules about repetition that an answer breaks."""
    of = case(standard_answer=standard_answer)
    return {r.rule for r in judge(of, score(answer, of), finish_reason).reasons if r.repetition}


@pytest.mark.parametrize("references", [True, False], ids=["with references", "without"])
@pytest.mark.parametrize(("looping", "wrong"), [(True, 1), (False, 7)], ids=["loops", "sound texts"])
def test_texts_of_many_forms_are_told_apart(looping: bool, wrong: int, references: bool) -> None:
    """As measured when the rules were made: 1 of 109 loops is missed, at most 7 of 196 sound texts are refused."""
    rows = labelled(looping=looping)
    keys = ("text", "reference") if references else ("text",)
    lines = score_lines([json.dumps({key: row[key] for key in keys}).encode() for row in rows])
    told = [row["id"] for row, line in zip(rows, lines, strict=True) if line.verdict.repeater is not looping]
    assert len(told) <= wrong, told


@given(st.sampled_from(SOUND), st.sampled_from(REFERENCES), st.sampled_from([None, "stop", "length"]))
@settings(max_examples=300, deadline=None)
def test_a_clean_standard_answer_never_makes_an_answer_fail_on_repetition(
    answer: str, reference: str, finish_reason: FinishReason | None
) -> None:
    """It may fail on its length, its similarity or a pattern."""
    if not rules(answer, finish_reason):
        assert not rules(answer, finish_reason, reference)


@pytest.mark.parametrize(("copies", "fails"), [(2, False), (5, True)], ids=["said twice", "said five times"])
def test_a_cut_answer_that_ends_in_a_loop_fails_at_any_share(copies: int, fails: bool) -> None:
    """An end of 65 units in an answer of some 3,000."""
    answer = f"{filler(200)} {SENTENCE * copies}This is"
    assert ("unfinished" in rules(answer, "length")) is fails
    assert "unfinished" not in rules(answer, "stop")


def test_a_loop_that_recovers_fails_by_its_own_length() -> None:
    """Text after it does not undo it."""
    answer = f"{filler(200)} {SENTENCE * 8}{filler(150)}"
    assert "stretch" in rules(answer, "stop")
    assert not rules(f"{filler(200)} {SENTENCE * 3}{filler(150)}", "stop")


def test_an_answer_said_twice_fails_though_it_ended() -> None:
    """Whatever mark stands between the copies."""
    assert "twice" in rules(f"{CLEAN}\n\n---\n\n{CLEAN}", "stop")
    assert not rules(f"{CLEAN} {filler(30)}", "stop")


@pytest.mark.parametrize(
    ("unit", "times", "rule"),
    [
        pytest.param("Please note that this is not legal advice and may not apply to you.", 12, "echo", id="sentence"),
        pytest.param(CLEAN, 4, "passage", id="paragraph"),
    ],
)
def test_what_is_said_again_between_new_text_fails(unit: str, times: int, rule: str) -> None:
    """No two copies are neighbours."""
    parts = filler(times * 6).split(". ")
    answer = "\n\n".join(". ".join(parts[k::times]) + ".\n" + unit for k in range(times))
    answer = answer if rule == "passage" else answer.replace("\n", " ")
    assert rule in rules(answer, "stop")


def test_few_words_without_a_period_fail() -> None:
    """Two hundred words of which four are different, in no order that repeats."""
    words = ("ok", "yeah", "right", "hm")
    state, chosen = 7, []
    for _ in range(200):
        state = (state * 1103515245 + 12345) % 2**31
        chosen.append(words[state >> 16 & 3])
    assert "variety" in rules(" ".join(chosen), "stop")


@pytest.mark.parametrize(
    "mark", ["\n", "-", ".", "_", "　"], ids=["new lines", "dashes", "dots", "rule", "wide spaces"]
)
def test_a_flood_at_the_end_fails(mark: str) -> None:
    """A line of eighty does not."""
    assert "flood" in rules(CLEAN + "\n" + mark * 200, "stop")
    assert not rules(CLEAN + "\n" + mark * 80, "stop")


def test_new_time_stamps_do_not_make_the_same_words_new() -> None:
    """A subtitle that says the same for ever is a loop; one that goes on is none."""

    def subtitles(lines: list[str]) -> str:
        return "".join(
            f"{k}\n00:00:{k:02d},{k * 37 % 1000:03d} --> 00:00:{k + 1:02d},000\n{t}\n\n" for k, t in enumerate(lines, 1)
        )

    assert rules(subtitles(["Thanks for watching!"] * 30), "stop")
    assert not rules(subtitles(filler(30).split(". ")), "stop")


@pytest.mark.parametrize(
    ("answer", "passes"),
    [("🦁👑🎬", True), ("∀x ∃y", True), ("≤ ≥ ≠", True), ("...", False), ("?!", False)],
    ids=["pictures", "formula", "symbols", "dots", "marks"],
)
def test_pictures_and_symbols_are_an_answer(answer: str, passes: bool) -> None:
    """Marks alone are none."""
    of = case(standard_answer=None)
    assert (judge(of, score(answer, of), "stop").status is Status.PASS) is passes


@pytest.mark.parametrize(("limit", "passes"), [(0.0, True), (3.0, False), (30.0, True)])
def test_the_length_may_be_limited_by_the_standard_answer(limit: float, passes: bool) -> None:
    """Off by default."""
    of = case(standard_answer="The harbour was quiet.")
    limits = type(of.thresholds)(max_length_ratio=limit)
    of = case(standard_answer="The harbour was quiet.", thresholds=limits)
    assert (judge(of, score(CLEAN, of), "stop").status is Status.PASS) is passes


@pytest.mark.parametrize("answer", [SENTENCE * 9, "".join(f"{k}. Be kind.\n" for k in range(90)), "ha" * 200])
def test_the_period_times_the_copies_is_the_length(answer: str) -> None:
    """Of every loop that is shown."""
    for loop in score(answer, case(standard_answer=None)).loops:
        assert loop.period * loop.copies == pytest.approx(loop.end - loop.start)


def test_a_loop_counts_only_where_a_rule_of_its_kind_failed() -> None:
    """What is marked in an answer that passes does not."""
    of = case(standard_answer=None)
    for answer, counts in ((SENTENCE * 9, True), (f"{CLEAN} {'go on ' * 4}{CLEAN[::-1]}", False)):
        scores = score(answer, of)
        assert scores.loops
        assert any(counted_loops(judge(of, scores, "stop"), scores)) is counts
