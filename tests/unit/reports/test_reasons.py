"""One line says what a person sees in an answer, whatever rules it broke; the metrics come below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.decoding import Decoding
from harness.cases.model import Case, Thresholds
from harness.engines.base import FinishReason
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.judging.rules import RULES
from harness.judging.verdict import combine, judge
from harness.language import set_language
from harness.metrics import score
from harness.metrics.types import Scores
from harness.reports.reasons import end_words, reason_line, score_lines
from tests.support.builders import case, result
from tests.support.hostile import HOSTILE

SENTENCE = "The waves roll in again and again tonight. "
LOOP = "The sea is calm. " + SENTENCE * 20


@pytest.fixture
def chinese() -> Iterator[None]:
    set_language("zh")
    yield
    set_language("en")


def judged(answer: str, finish: FinishReason = "stop", of: Case | None = None, tokens: int = 256) -> CaseResult:
    """A result with real scores and the real verdict."""
    of = of or case()
    scores = score(answer, of)
    verdict = judge(of, scores, finish)
    one = Attempt(sample=0, answer=answer, finish_reason=finish, scores=scores, verdict=verdict, tokens=tokens)
    return CaseResult(of, "v4.0", (one,), verdict)


NUMBERED = "".join(f"{n}. The importance of honesty and integrity in life.\n" for n in range(1, 61))


@pytest.mark.parametrize(
    ("answer", "finish", "line"),
    [
        (LOOP, "length", "repeats the same 8 words 20 times from character 18 on; cut off at 256 tokens"),
        (LOOP, "stop", "repeats the same 8 words 20 times from character 18 on"),
        (
            LOOP + "And so this story of the sea ends well for all of us.",
            "stop",
            "repeats the same 8 words 20 times from character 18 to 876",
        ),
        (SENTENCE * 20, "stop", "repeats the same 8 words 20 times from the beginning on"),
        ("大海，" + "你是力量的象征，" * 30, "stop", "repeats the same 8 characters 30 times from character 4 on"),
        (NUMBERED, "stop", "repeats the same 10 words with other numbers 59.8 times from the beginning on"),
        (
            f"<think>{'I must think about this again. ' * 30}</think>The sea is calm and wide.",
            "stop",
            "in the reasoning: repeats the same 6 words 30 times from character 8 to 936",
        ),
        ("", "stop", "the answer is empty"),
        (" \n", "length", "the answer is empty; cut off at 256 tokens"),
        ("?!", "stop", "the answer has no words"),
        ("Fine and calm it is, the sea, and wide as well.", "stop", "passes"),
        ("Fine and calm it is, the sea, and wide as well.", "length", "passes; cut off at 256 tokens"),
    ],
    ids=[
        "loop-cut", "loop", "loop-inside", "loop-only", "chinese", "numbered", "reasoning", "empty", "blank", "marks",
        "pass", "pass-cut",
    ],
)  # fmt: skip
def test_an_answer_has_one_sentence(answer: str, finish: FinishReason, line: str) -> None:
    """Ten rules may blame one loop: it is said once, with how long, how often and where."""
    assert reason_line(judged(answer, finish)) == line


LONG = "the quiet harbour keeps its boats and every lamp along the old stone wall turns slowly over water "


@pytest.mark.parametrize(
    ("of", "answer", "line"),
    [
        (
            case(thresholds=Thresholds(min_similarity=0.5)),
            "Entirely other words.",
            "similarity 0.1 to the standard answer (at least 0.50 is wanted)",
        ),
        (
            case(standard_answer=LONG + "while gulls count their steps on wet stones near a gate and rain begins"),
            "Sea.",
            "ended after 1 word; the standard answer has 32 words",
        ),
        (
            case(thresholds=Thresholds(max_length_ratio=0.2)),
            "Some words about it all.",
            "0.4 times as long as the standard answer (at most 0.2 is wanted)",
        ),
        (case(thresholds=Thresholds(allow_cutoff=False)), "A sea.", "cut off at 256 tokens"),
        (replace(case(), must_include=("boat", "sea", "ra[iy]n")), "The sea is calm.", "lacks /boat/, /ra[iy]n/"),
        (replace(case(), must_not_include=("calm|still",)), "The sea is calm.", "matches the forbidden /calm|still/"),
        (
            case(thresholds=Thresholds(min_metrics={"characters": 90}, max_metrics={"words": 2})),
            "The sea is calm.",
            "characters is 16 (at least 90 is wanted); words is 4 (at most 2 is wanted)",
        ),
        (
            case(thresholds=Thresholds(min_units=9)),
            "The sea is calm.",
            "the answer has 4 words (at least 9 are wanted)",
        ),
        (replace(case(), rejected_answers=("The sea is calm.",)), "The sea is calm.", "a person rejected this answer"),
    ],
    ids=["similarity", "short", "long", "cutoff", "lacks", "forbidden", "limits", "words", "rejected"],
)
def test_every_other_rule_has_its_own_sentence(of: Case, answer: str, line: str) -> None:
    """Value and limit in words that need no manual."""
    finish: FinishReason = "length" if "cut off" in line else "stop"
    assert re.sub(r"similarity 0\.1\d", "similarity 0.1", reason_line(judged(answer, finish, of))) == line


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (Verdict(Status.SKIP, (Reason(rule="skip", text="needs a tool"),)), "skipped: needs a tool"),
        (Verdict(Status.ERROR, (Reason(rule="engine", text="out of\nmemory"),)), "the engine failed: out of memory"),
        (Verdict(Status.ERROR, (Reason(rule="metric", text="x"),)), "a metric failed: x"),
        (
            Verdict(Status.ERROR, (Reason(rule="words", text="words: not a number"), Reason(rule="b", text="c"))),
            "cannot be judged: words: not a number (and 1 more)",
        ),
        (Verdict(Status.ERROR), "not judged; no reason was recorded"),
    ],
    ids=["skip", "engine", "metric", "unknown", "nothing"],
)
def test_what_was_not_judged_says_why(verdict: Verdict, line: str) -> None:
    """The engine's failure is never told as the model's."""
    assert reason_line(result(verdict=verdict)) == line


def test_an_expected_failure_names_its_mark() -> None:
    """Whoever reads it knows that it is known."""
    line = reason_line(judged(LOOP, of=replace(case(), xfail="TICKET-7")))
    assert line.startswith("expected failure (TICKET-7): repeats the same 8 words")


def test_a_pass_that_was_expected_to_fail_says_so() -> None:
    """The mark can go."""
    line = reason_line(judged("The sea is calm.", of=replace(case(), xfail="TICKET-7")))
    assert line == "passes although it is marked xfail (TICKET-7); remove the mark"


def test_of_several_samples_the_failing_one_is_told() -> None:
    """How many fail, and what the first of them shows."""
    of = case(decoding=Decoding(method="sample", temperature=0.7, samples=2, min_pass=2))
    good, bad = judged("The sea is calm.", of=of).attempts[0], judged(LOOP, of=of).attempts[0]
    both = CaseResult(of, "v4.0", (good, replace(bad, sample=1)), combine([good.verdict, bad.verdict], 2))
    assert reason_line(both).startswith("1 of 2 samples fail; repeats the same 8 words 20 times")


@pytest.mark.parametrize("rule", [rule.rule for rule in RULES])
def test_every_rule_has_a_line_without_scores(rule: str) -> None:
    """Results of other versions, or of a baseline file, hold no scores: the recorded text stands in."""
    failed = Verdict(Status.FAIL, (Reason(rule=rule, text="as recorded", repetition=rule not in ("cutoff",)),))
    one = Attempt(sample=0, answer="The sea.", finish_reason="stop", scores=None, verdict=failed)
    assert reason_line(CaseResult(case(), "v4.0", (one,), failed)) in ("as recorded", "cut off at max_tokens")


@given(st.text(max_size=300), st.sampled_from(["stop", "length", "loop"]))
def test_any_answer_has_one_line(answer: str, finish: FinishReason) -> None:
    """No answer breaks it, and no line end is left in it."""
    line = reason_line(judged(answer, finish))
    assert line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_hostile_reasons_stay_one_line(text: str) -> None:
    """A pattern, a mark or an engine's message cannot add lines, braces included."""
    of = replace(case(), xfail=text or "x", must_include=(text or "x",))
    failed = Verdict(Status.FAIL, (Reason(rule="must_include", text=text), Reason(rule=text, text=text)))
    scores = Scores({"must_include[0]": 0.0})
    one = Attempt(sample=0, answer=text, finish_reason="stop", scores=scores, verdict=failed)
    assert "\n" not in reason_line(CaseResult(of, text, (one,), failed))


def test_the_scores_that_people_use_stand_below_the_line() -> None:
    """Each with a title in words; what the longest loop is and how long the answer is come last."""
    attempt = judged(LOOP, "length").attempts[0]
    lines = dict(score_lines(attempt))
    assert next(iter(lines)) == "repetition score"
    assert list(lines)[-2:] == ["longest loop", "tokens"]
    assert lines["longest loop"] == "8 words, 20 times"


def test_an_attempt_without_scores_has_no_figures() -> None:
    """Nothing is made up, and an unknown end is not named."""
    lost = Verdict(Status.ERROR, (Reason(rule="engine", text="out of memory"),))
    attempt = Attempt(sample=0, answer="", finish_reason=None, scores=None, verdict=lost)
    assert score_lines(attempt) == ()
    assert end_words(attempt) == ""


def test_a_rejected_answer_says_who_rejected_it() -> None:
    """The line names the person's mark, and no number."""
    of = replace(case(), rejected_answers=("Fine words.",))
    scores = score("Fine words.", of)
    failed = judge(of, scores, "stop")
    one = Attempt(sample=0, answer="Fine words.", finish_reason="stop", scores=scores, verdict=failed)
    assert "a person rejected this answer" in reason_line(CaseResult(of, "v4.0", (one,), failed))
    assert "expected" not in reason_line(CaseResult(of, "v4.0", (one,), failed)).partition(";")[0]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (LOOP, "从第 18 个字符起，同样的 8 个词重复 20 次；在第 256 个 token 处被截断"),
        ("", "回答为空；在第 256 个 token 处被截断"),
    ],
    ids=["loop", "empty"],
)
def test_a_chinese_reader_gets_chinese(chinese: None, answer: str, line: str) -> None:
    """The whole line, in the order that the language has."""
    assert reason_line(judged(answer, "length")) == line


def test_every_sign_of_repetition_has_its_chinese(chinese: None) -> None:
    """Where a loop's place is not known, the sentence about its sign is translated too."""
    names = ("loop", "tail", "char_loop", "numbered")
    known = {f"{n}_{x}": 5.0 for n in names for x in ("copies", "period")}
    known |= dict.fromkeys(
        ("twice_coverage", "passage_copies", "echo_copies", "templated", "restated", "flood_characters", "variety",
         "rep8", "rep8d", "stale", "turn_overlap"), 0.5,
    )  # fmt: skip
    for rule in (rule.rule for rule in RULES if rule.repetition):
        failed = Verdict(Status.FAIL, (Reason(rule=rule, text="as recorded", repetition=True),))
        one = Attempt(sample=0, answer="海", finish_reason="stop", scores=Scores(known), verdict=failed)
        assert not re.search(r"[a-z]{3}", reason_line(CaseResult(case(), "v4.0", (one,), failed))), rule
