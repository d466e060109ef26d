"""A field that is documented as optional may be absent in every consumer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.judging.results import CaseResult
from harness.judging.verdict import judge
from harness.metrics import score
from harness.metrics.types import Scores
from harness.project.settings import Limits
from harness.reports import write_all
from harness.reports.console import comparison_table, failure_text, summary
from harness.store import Store
from harness.suite.compare import changes, compare
from harness.suite.figures import grouped_figures
from harness.suite.gate import GateOutcome, judge_suite
from tests.faults.conftest import Make
from tests.support.builders import case, report, result
from tests.support.projects import CLEAN, LOOP

FULL: dict[str, Any] = {
    "standard_answer": "A short poem, and evening light upon it.", "system": "Be brief.", "role": "fix",
    "tags": ["poem"], "decoding": {"max_tokens": 200}, "thresholds": {"min_units": 1}, "must_include": ["[a-z]"],
    "must_not_include": ["zzz"], "weight": 2, "source": "TICKET-1", "xfail": "known",
}  # fmt: skip
SCORES = sorted(score(CLEAN, case()).values)


def cases() -> list[dict[str, Any]]:
    """Failing and passing cases: with every field, with each one missing, and with the prompt alone."""
    records = []
    for kind in ("sea", "hill"):
        for name in ("", *FULL, "all"):
            fields = {} if name == "all" else {k: v for k, v in FULL.items() if k != name}
            # An expected failure would hide that the others are judged.
            if name != "":
                fields.pop("xfail", None)
            word = name.replace("_", " ") or "nothing"
            records.append({"text": f"Write about the {kind}, without {word}.", **fields})
    return records


def test_every_command_takes_cases_without_their_optional_fields(
    project: Make, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case without standard_answer was an error of the plugin, and passed in the same run's summary."""
    root: Path = project(
        cases=cases(),
        script={"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN},
        settings='trainer = "scripted"\n[tool.harness.sampling]\nanswers = 1\ncontinuations = 1\n',
    )
    done = pytester.runpytest("badcases", "--adapter", "v3.9", "--adapter", "v4.0", "-v", "--junitxml=out.xml")
    counts = done.parseoutcomes()
    assert counts == {"failed": 2 * len(FULL) + 2, "passed": 2 * len(FULL) + 2, "xfailed": 2, "xpassed": 2}
    name = json.loads((root / "badcases" / "badcase1" / "test.json").read_text("utf-8"))[-1]
    assert set(name) == {"text"}
    with Store.existing(root / "reports" / "harness.sqlite") as store:
        (loop, *_) = (r.case.id for r in store.results("last") if r.case.standard_answer is None)
    for words, expected in (
        ("report", {0}), ("gate", {1}), ("history", {0}), ("compare v3.9 v4.0 --out out.csv", {0}),
        ("report --table out.xlsx", {0}), ("pairs --failed", {0}), ("probe --failed", {0, 1}),
        (f"bisect {loop}", {0, 1}),
        ("fix --failed --adapter v4.0", {0, 1}), ("gate", {0}),
    ):  # fmt: skip
        capsys.readouterr()
        assert main(words.split()) in expected, f"{words}: {capsys.readouterr()}"


def without(results: Sequence[CaseResult], name: str) -> list[CaseResult]:
    """The results as a version wrote them that did not know the score."""
    stripped = []
    for one in results:
        attempts = []
        for attempt in one.attempts:
            assert attempt.scores is not None
            values = {k: v for k, v in attempt.scores.values.items() if k != name}
            attempts.append(replace(attempt, scores=Scores(values, attempt.scores.loops)))
        stripped.append(replace(one, attempts=tuple(attempts)))
    return stripped


@pytest.mark.parametrize("name", SCORES)
def test_reports_and_gate_take_results_without_a_score(tmp_path: Path, name: str) -> None:
    """A recorded run lacks the scores that came later: nothing crashes, and nothing becomes green by it."""
    values = {**score(CLEAN, case()).values}
    before = without([result(case("f/a"), adapter="v1", values=values)], name)
    after = without([result(case("f/a"), adapter="v2", values=values)], name)
    shown = report(*before, *after)
    assert len(write_all(shown, tmp_path)) == 4
    assert summary(shown.adapters, None, 80)
    assert comparison_table(changes(before, after), 80)
    assert failure_text(after[0], 80)
    assert grouped_figures(after)
    assert compare(before, after)
    gate = judge_suite(after, Limits(max_repetition=0.5), before, True)
    if name == "repetition":
        assert gate.outcome is GateOutcome.NOT_JUDGEABLE


@pytest.mark.parametrize("name", SCORES)
def test_a_missing_score_is_never_a_pass(name: str) -> None:
    """A rule whose score is missing is an ERROR, unless no rule looks at that score."""
    scores = score(CLEAN, case())
    whole = judge(case(), scores, "stop")
    part = judge(case(), Scores({k: v for k, v in scores.values.items() if k != name}, scores.loops), "stop")
    assert part.status is whole.status or part.status.value == "ERROR"
