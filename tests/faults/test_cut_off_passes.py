"""An answer that was cut off at max_tokens and passes is told, since production calls it a bad case."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Make
from tests.support.projects import CLEAN

CUT = {"sea": {"text": CLEAN, "finish_reason": "length"}, "hill": CLEAN, "calm": CLEAN}


def test_the_line_of_its_test_and_the_summary_say_so(
    project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was one green dot among others."""
    monkeypatch.setenv("COLUMNS", "200")
    root = project(script=CUT)
    done = pytester.runpytest("badcases", "-v")
    assert done.ret == 0
    done.stdout.fnmatch_lines([
        "*sea@v4.0? PASSED (cut off at 76 tokens)*",
        "v4.0: 1 of 3 passing cases were cut off at max_tokens; give them more tokens, or fail them with*",
    ])  # fmt: skip
    (markdown,) = root.glob("reports/runs/*/*.md")
    assert "1 of 3 passing cases were cut off" in markdown.read_text()


def test_a_project_may_fail_them(project: Make, pytester: pytest.Pytester) -> None:
    """The default is to pass, and to say so."""
    project(script=CUT, settings="\n[tool.harness.thresholds]\nallow_cutoff = false\n")
    done = pytester.runpytest("badcases")
    done.assert_outcomes(passed=2, failed=1)


def test_nothing_is_said_where_every_answer_ended(project: Make, pytester: pytest.Pytester) -> None:
    """Most runs."""
    project(script={"sea": CLEAN, "hill": CLEAN, "calm": CLEAN})
    assert "cut off at" not in str(pytester.runpytest("badcases", "-v").stdout)
