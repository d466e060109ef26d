"""The terminal shows why a case failed, and obeys nothing that a model wrote."""

from __future__ import annotations

import re

import pytest

from harness.cases.decoding import Decoding
from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.reports.console import CLOSE, OPEN, comparison_table, failure_text, summary
from harness.suite.compare import changes
from tests.support.builders import attempt, case, failed_gate, looped, report, result
from tests.support.demo_report import demo_report
from tests.support.hostile import HOSTILE

SGR = re.compile(r"\x1b\[[0-9;]*m")
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def looping() -> CaseResult:
    answer, loops = looped("The sea is blue.\n", "The waves roll in and out again,\n", 41.5)
    return result(case(), answer, loops)


def test_a_failure_shows_prompt_answer_reasons_and_standard_answer() -> None:
    """Everything that is needed to judge the failure stands in the test's own output."""
    text = failure_text(looping(), 100)
    for part in (
        "Write a poem about the sea.",
        "The sea is blue.",
        "0.15",
        "The sea is wide,",
        "cut off at max_tokens",
    ):
        assert part in text


def test_the_loop_is_marked_and_folded() -> None:
    """One copy stands outside the marks, the repeats inside, the bulk as a count."""
    before, inside = failure_text(looping(), 100).split(OPEN)
    assert before.count("The waves roll in and out again,") == 1
    assert "the same 7 words 39 more times" in inside.split(CLOSE)[0]


def test_only_broken_rules_are_shown_each_on_its_line() -> None:
    """A rule and its own words, which hold value and limit; rules that held are not listed."""
    reasons = (
        Reason(rule="loop", text="loops: 0.61 (expected <= 0.15)", value=0.61, limit=0.15, repetition=True),
        Reason(rule="similarity", text="far off"),
    )
    text = failure_text(result(verdict=Verdict(Status.FAIL, reasons)), 120)
    assert re.search(r"loop +loops: 0\.61 \(expected <= 0\.15\)", text)
    assert re.search(r"similarity +far off", text)
    assert "rep8" not in text


def test_an_error_shows_its_reason_and_no_answer() -> None:
    """What the engine broke is not presented as the model's answer."""
    text = failure_text(result(verdict=Verdict(Status.ERROR, (Reason(rule="engine", text="out of memory"),))), 100)
    assert "ERROR" in text
    assert "out of memory" in text
    assert "standard answer" not in text


def test_several_samples_say_how_many_passed() -> None:
    """The sample that is shown is named."""
    drawn = case(decoding=Decoding(method="sample", temperature=0.7, samples=3, min_pass=2))
    answer, loops = looped("", "again ", 60)
    attempts = (attempt("Fine.", sample=0), attempt(answer, loops, sample=1), attempt(answer, loops, sample=2))
    text = failure_text(CaseResult(drawn, "v4.0", attempts, attempts[1].verdict), 120)
    assert "1 of 3 samples pass, 2 needed; sample 1 shown" in text


def test_an_empty_answer_is_said_to_be_empty() -> None:
    """Nothing is not mistaken for a missing section."""
    assert "(empty)" in failure_text(
        result(answer="", verdict=Verdict(Status.FAIL, (Reason(rule="units", text="empty"),))), 80
    )


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Narrow terminals get narrow lines."""
    assert max(len(line) for line in failure_text(looping(), width).splitlines()) <= width


def test_without_color_there_is_no_escape() -> None:
    """Logs stay plain."""
    assert "\x1b" not in failure_text(looping(), 100, color=False)
    assert SGR.search(failure_text(looping(), 100, color=True))


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_no_position_lets_hostile_text_through(text: str) -> None:
    """Id, prompt, answer, standard answer, adapter and reasons are all shown and never obeyed."""
    broken = Verdict(Status.FAIL, (Reason(rule=text, text=text, value=0.5, limit=0.1, repetition=True),))
    shown = failure_text(result(case(f"f/{text}", text, text), text, adapter=text, verdict=broken), 100, color=True)
    assert not UNSAFE.search(SGR.sub("", shown))
    shown.encode("utf-8")


@pytest.mark.parametrize(
    "text", ["[red]x[/red]", "answer [/b] x", "a[i] = b[key]", ":smile:", "[link=http://evil]x[/link]"]
)
def test_markup_in_an_answer_is_shown_as_written(text: str) -> None:
    """Rich's markup and emoji codes are text, not instructions."""
    assert text in failure_text(result(answer=text, verdict=Verdict(Status.FAIL)), 100)


def test_the_summary_has_a_row_per_adapter_and_ends_with_the_gate() -> None:
    """Scores, rates and the four counts, then the verdict and every other limit that was not kept."""
    demo = demo_report()
    *_, before, after, verdict, cutoff = summary(demo.adapters, demo.gate, 100).splitlines()
    assert before.split() == ["v4.0", "0.640", "65.0%", "65.0%", "14", "26", "0", "0"]
    assert after.split() == ["v4.1", "0.278", "28.2%", "28.2%", "28", "11", "1", "0"]
    assert verdict == "gate: failed: regressions: 1, expected <= 0"
    assert cutoff.strip() == "cutoff rate: cut-off rate 0.1, expected <= 0.2; too few cases"


def test_the_comparison_counts_by_role() -> None:
    """What was trained on, what was held out and what is guarded are told apart."""
    demo = demo_report()
    assert demo.before is not None
    assert demo.after is not None
    head, *rows = comparison_table(changes(demo.before.results, demo.after.results), 100).splitlines()
    assert head.split("  ")[0] == "role"
    assert [row.split() for row in rows] == [
        ["fix", "9", "9", "0", "5", "0"],
        ["holdout", "6", "1", "1", "3", "1"],
        ["guard", "0", "0", "0", "5", "0"],
        ["all", "15", "10", "1", "13", "1"],
    ]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_the_summary_lets_no_hostile_name_through(text: str) -> None:
    """Adapter names and the gate's words are shown and never obeyed."""
    demo = report(result(adapter=text), gate=failed_gate(text))
    shown = summary(demo.adapters, demo.gate, 80, color=True)
    assert not UNSAFE.search(SGR.sub("", shown))
