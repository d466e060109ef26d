"""What a person says about an answer counts more than what is measured on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cases.model import Case
from harness.cases.problems import Problems
from harness.cases.record import CaseRecord, Defaults, read_case
from harness.cases.suite import case_digest
from harness.judging.references import loop_units
from harness.judging.results import Status, Verdict
from harness.judging.verdict import judge
from harness.metrics import score
from tests.support.builders import case
from tests.support.projects import CLEAN, LOOP


def verdict(of: Case, answer: str) -> Verdict:
    return judge(of, score(answer, of), "stop")


def test_an_accepted_answer_passes_although_it_repeats() -> None:
    """Exactly that answer, but for white space around it; its repetition counts as none."""
    of = replace(case(), accepted_answers=(LOOP,))
    assert verdict(case(), LOOP).status is Status.FAIL
    assert verdict(of, f"{LOOP}\n").status is Status.PASS
    assert score(LOOP, of).values["repetition"] == 0.0
    assert verdict(of, f"{LOOP} And so on.").status is Status.FAIL


def test_an_accepted_answer_must_still_keep_all_other_rules() -> None:
    """Only rules about repetition are left out."""
    of = replace(case(), accepted_answers=(LOOP,), must_include=("moon",))
    assert [r.rule for r in verdict(of, LOOP).reasons] == ["must_include"]


def test_a_rejected_answer_fails_although_nothing_is_wrong_with_it() -> None:
    """It can be fixed like any other failure, and is no repeater."""
    of = replace(case(), rejected_answers=(CLEAN,))
    failed = verdict(of, CLEAN)
    assert failed.status is Status.FAIL
    assert [r.rule for r in failed.reasons] == ["rejected_answer"]
    assert not failed.repeater
    assert verdict(of, LOOP.replace("again", "once more")).reasons[0].rule != "rejected_answer"


def test_an_early_fail_is_off_where_a_loop_may_be_accepted() -> None:
    """The search would stop at the loop and never make the accepted answer."""
    assert loop_units(case()) is not None
    assert loop_units(replace(case(), accepted_answers=(LOOP,))) is None


def test_marks_are_part_of_the_test_and_older_digests_stay() -> None:
    """A case without marks has the digest that it had; a mark changes it."""
    assert case_digest(case()) == case_digest(replace(case(), accepted_answers=(), rejected_answers=()))
    assert case_digest(case()) != case_digest(replace(case(), rejected_answers=(CLEAN,)))


@pytest.mark.parametrize("value", ["One answer.", ["One answer."]], ids=["text", "list"])
def test_marks_are_read_as_a_text_or_a_list(value: object) -> None:
    """Like every field that holds texts."""
    problems = Problems()
    values = {"text": "What?", "accepted_answers": value}
    read = read_case(CaseRecord("file", values), "f", Defaults(), problems)
    assert read is not None
    assert read.accepted_answers == ("One answer.",)


def test_an_answer_cannot_be_accepted_and_rejected() -> None:
    """The file says which of both is meant."""
    problems = Problems()
    values = {"text": "What?", "accepted_answers": ["Same. "], "rejected_answers": ["Same."]}
    assert read_case(CaseRecord("file", values), "f", Defaults(), problems) is None
    assert "keep each answer in one" in problems.lines[0]
