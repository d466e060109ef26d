"""An answer in parts: the reader's text, the reasoning, the calls of tools."""

from __future__ import annotations

import pytest

from harness.judging.results import Status
from harness.judging.verdict import judge
from harness.metrics import score
from harness.metrics.parts import answer_text, measure_answers, part_scores, split_parts
from tests.support.builders import case
from tests.support.texts import CLEAN

LOOP = "Wait, let me check that again. " * 12
CALL = '<tool_call>\n{"name": "read", "arguments": {"path": "a.py"}}\n</tool_call>\n'


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        pytest.param("<think>six</think>It is 42.", "It is 42.", "<think>six</think>", id="think"),
        pytest.param("six times seven</think>It is 42.", "It is 42.", "six times seven</think>", id="opened before"),
        pytest.param("<think>six times", "", "<think>six times", id="not closed"),
        pytest.param("[THINK]six[/THINK]It is 42.", "It is 42.", "[THINK]six[/THINK]", id="mistral"),
        pytest.param(
            "<|channel|>analysis<|message|>six<|end|><|start|>assistant<|channel|>final<|message|>It is 42.",
            "It is 42.",
            "<|channel|>analysis<|message|>six<|end|><|start|>assistant",
            id="harmony",
        ),
    ],
)  # fmt: skip
def test_reasoning_is_told_by_its_marks(text: str, answer: str, reasoning: str) -> None:
    """Of several families of templates."""
    parts = split_parts(text)
    assert parts is not None
    assert parts.reasoning is not None
    assert (parts.answer.text, parts.reasoning.text) == (answer, reasoning)


@pytest.mark.parametrize(
    "text", ["It is 42.", "Use `<b>` here.", "```\n<think>x</think>\n```\n"], ids=["plain", "markup", "in a fence"]
)
def test_an_answer_without_such_marks_is_one_part(text: str) -> None:
    """Marks in a code fence are quoted."""
    assert split_parts(text) is None
    assert answer_text(text) == text


def test_a_loop_in_the_reasoning_fails_a_clean_answer() -> None:
    """The reason says where it is, and the mark stands in the whole text."""
    text = f"<think>{LOOP}</think>{CLEAN}"
    scores = score(text, case(standard_answer=None))
    verdict = judge(case(standard_answer=None), scores, "stop")
    assert verdict.status is Status.FAIL
    assert verdict.repeater
    assert all(reason.text.startswith("in the reasoning: ") for reason in verdict.reasons)
    assert text[scores.loops[0].start : scores.loops[0].end].strip() in LOOP
    assert scores.values["loop_units"] == 0.0


def test_long_reasoning_does_not_hide_a_loop_in_the_answer() -> None:
    """The answer's shares are of the answer alone."""
    alone = score(LOOP, case(standard_answer=None)).values["loop_coverage"]
    assert score(f"<think>{CLEAN * 3}</think>{LOOP}", case(standard_answer=None)).values["loop_coverage"] == alone


def test_the_standard_answer_is_compared_with_what_the_reader_gets() -> None:
    """Reasoning changes neither the similarity nor the length."""
    of = case(standard_answer=CLEAN)
    values = score(f"<think>six</think>{CLEAN}", of).values
    assert (values["similarity"], values["length_ratio"]) == (1.0, 1.0)


def test_the_same_call_again_and_again_is_a_loop_of_calls() -> None:
    """The text between the calls is judged by itself."""
    scores = part_scores("I will read the file.\n" + CALL * 24, None)
    verdict = judge(case(standard_answer=None), scores, "stop")
    assert verdict.repeater
    assert {reason.text.split(":")[0] for reason in verdict.reasons} == {"in the calls of tools"}
    assert not judge(case(standard_answer=None), part_scores("I will.\n" + CALL * 3, None), "stop").repeater


def test_reasoning_that_was_cut_off_leaves_no_answer() -> None:
    """Which never passes."""
    of = case(standard_answer=None)
    assert judge(of, score("<think>six times seven", of), "length").status is Status.FAIL


@pytest.mark.parametrize("reference", [CLEAN, None, f"<think>six</think>{CLEAN}"], ids=["plain", "none", "in parts"])
@pytest.mark.parametrize(
    "text",
    [CLEAN, LOOP, f"<think>{LOOP}</think>{CLEAN}", f"{CLEAN}\u200b{LOOP}", CALL * 3, ""],
    ids=["clean", "loop", "reasoning", "invisible", "tools", "empty"],
)
def test_answers_that_are_measured_together_have_the_scores_of_each_alone(text: str, reference: str | None) -> None:
    """Stored answers are measured by the hundred; no score may depend on the others."""
    measured = measure_answers([LOOP, text, *([reference] if reference else []), CLEAN])
    assert part_scores(text, reference, measured) == part_scores(text, reference)
