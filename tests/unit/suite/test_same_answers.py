"""The same answer to different prompts."""

from __future__ import annotations

import json
from dataclasses import replace

from harness.reports.console import summary
from harness.reports.json_report import to_json
from harness.reports.markdown_report import to_markdown
from harness.reports.model import AdapterResults
from harness.suite.same_answers import same_answers
from tests.support.builders import case, report, result

SORRY = "I'm sorry, but I cannot help with that."


def test_an_answer_to_three_different_prompts_is_told() -> None:
    """Case, white space and marks do not matter."""
    answers = [SORRY, SORRY.upper(), SORRY.replace(" ", "\n"), "The mill was built in 1804."]
    results = [
        result(case(f"badcase1/p{k}", prompt=f"Question {chr(97 + k)}?", standard_answer=None), answer)
        for k, answer in enumerate(answers)
    ]
    (same,) = same_answers(results)
    assert same.cases == ("badcase1/p0", "badcase1/p1", "badcase1/p2")
    assert same.text.startswith("the same answer to 3 different prompts: \"I'm sorry")


def test_variants_of_one_prompt_may_share_their_answer() -> None:
    """So may short answers, and those that the standard answers share."""
    same_prompt = [result(case(f"badcase1/p{k}", prompt="Why?", standard_answer=None), SORRY) for k in range(5)]
    short = [result(case(f"badcase1/q{k}", prompt=f"Is it {k}?", standard_answer=None), "Yes.") for k in range(5)]
    asked = [result(case(f"badcase1/r{k}", prompt=f"What {k}?", standard_answer=SORRY), SORRY) for k in range(5)]
    assert same_answers([*same_prompt, *short, *asked]) == ()


def test_every_report_tells_of_them() -> None:
    """The terminal and Markdown in a line, JSON with all ids."""
    results = tuple(
        result(case(f"badcase1/p{k}", prompt=f"Question {chr(97 + k)}?", standard_answer=None), SORRY) for k in range(4)
    )
    adapter = AdapterResults("v4.0", results)
    assert "the same answer to 4 different prompts" in summary([adapter], width=200)
    whole = replace(report(), adapters=(adapter,))
    assert "the same answer to 4 different prompts" in to_markdown(whole)
    (told,) = json.loads(to_json(whole))["adapters"][0]["same_answers"]
    assert told == {"answer": SORRY, "cases": [f"badcase1/p{k}" for k in range(4)]}
