"""CI compares with a committed file: a clean checkout has no results of the baseline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.cli import main
from tests.faults.conftest import Make
from tests.support.projects import CLEAN, LOOP, record

SOUND = {"sea": CLEAN, "hill": CLEAN, "calm": CLEAN}
Capture = pytest.CaptureFixture[str]


def clean_checkout(root: Path) -> None:
    """What version control does not hold is gone."""
    shutil.rmtree(root / "reports")


def script(root: Path, answers: dict[str, str]) -> None:
    (root / "script.json").write_text(json.dumps(answers))


@pytest.fixture
def committed(project: Make, pytester: pytest.Pytester) -> Path:
    """A clean checkout with a baseline file of a version that passes all but the sea."""
    root = project(script={**SOUND, "sea": LOOP})
    pytester.runpytest("badcases")
    assert main(["baseline", "write", "v4.0"]) == 0
    clean_checkout(root)
    return root


def test_the_recipe_for_ci_can_be_green(committed: Path, pytester: pytest.Pytester) -> None:
    """``--baseline v4.0`` in a clean checkout has nothing to compare with; the file has."""
    assert pytester.runpytest("badcases", "--baseline", "baselines/v4.0.json").ret == 1
    script(committed, SOUND)
    done = pytester.runpytest("badcases", "--baseline", "baselines/v4.0.json", "--no-cache")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["*gate: passed*", "fix *1 *0 *0 *1 *0*"])
    assert main(["gate"]) == 0


def test_a_case_that_the_baseline_passed_may_not_break(committed: Path, pytester: pytest.Pytester) -> None:
    """The old failure is known, the new one is a regression."""
    script(committed, {**SOUND, "hill": LOOP, "sea": LOOP})
    done = pytester.runpytest("badcases", "--baseline", "baselines/v4.0.json")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["gate: failed: regressions: 1, expected <= 0 (badcase1/hill)*"])


def test_a_case_that_changed_since_has_no_baseline(committed: Path, pytester: pytest.Pytester) -> None:
    """Another prompt under the same id is another test."""
    script(committed, SOUND)
    cases = [record("sea"), record("hill", text="Another hill."), record("calm", text="Another calm.", role="guard")]
    (committed / "badcases" / "badcase1" / "test.json").write_text(json.dumps(cases))
    done = pytester.runpytest("badcases", "--baseline", "baselines/v4.0.json")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["gate: insufficient data: only 1 of 3 cases have a judged result of the baseline*"])


def test_the_file_is_small_and_one_line_a_case(committed: Path) -> None:
    """So that a review shows which verdict changed; answers are not in it."""
    text = (committed / "baselines" / "v4.0.json").read_text("utf-8")
    lines = [line for line in text.splitlines() if '"verdict"' in line]
    assert [json.loads("{" + line.strip().rstrip(",") + "}").popitem()[0] for line in lines] == [
        "badcase1/calm", "badcase1/hill", "badcase1/sea",
    ]  # fmt: skip
    assert not any(CLEAN in line or LOOP[:40] in line for line in lines)
    data = json.loads(text)
    assert (data["schema"], data["adapter"]) == (2, "v4.0")


def test_a_baseline_needs_a_whole_run(project: Make, pytester: pytest.Pytester, capsys: Capture) -> None:
    """A file of a part would pass as the whole for ever."""
    project(script=SOUND)
    pytester.runpytest("badcases", "-k", "sea")
    assert main(["baseline", "write", "v4.0"]) == 2
    assert "the whole suite was not run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        None, "", "[]", "{}", '{"schema": 1, "adapter": "v4.0", "cases": {}}',
        '{"schema": 2, "adapter": "v4.0", "cases": {"a": 1}}',
        '{"schema": 2, "adapter": "v4.0", "cases": {"a": {"digest": "x", "samples": ["GREEN"], "verdict": "PASS"}}}',
        '{"schema": 2, "adapter": "v4.0", "cases": {"a": {"digest": "", "samples": [], "verdict": "PASS", '
        '"repetition": NaN}}}',
    ],
    ids=["missing", "empty", "list", "object", "schema", "case", "verdict", "NaN"],
)  # fmt: skip
def test_a_wrong_file_is_a_usage_error(project: Make, pytester: pytest.Pytester, content: str | None) -> None:
    """Before an engine is started, in one line."""
    root = project(script=SOUND)
    if content is not None:
        (root / "base.json").write_text(content)
    done = pytester.runpytest("badcases", "--baseline", "base.json")
    assert done.ret == 4
    assert "--baseline" in done.stderr.str()
    assert "Traceback" not in done.stderr.str() + done.stdout.str()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"PASS"', '"FAIL"'), ("badcase1/hill", "badcase1/kill"), ('"repetition": 0.0', '"repetition": 0.9'),
        ('"seal"', '"sea1"'),
    ],
    ids=["a verdict", "an id", "a score", "the seal"],
)  # fmt: skip
def test_a_file_that_was_changed_is_refused(
    committed: Path, pytester: pytest.Pytester, before: str, after: str
) -> None:
    """One damaged character would take a case out of the comparison, and what broke there would pass."""
    path = committed / "baselines" / "v4.0.json"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), "utf-8")
    done = pytester.runpytest("badcases", "--baseline", "baselines/v4.0.json")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*v4.0.json: was changed after it was written; write it with: harness baseline write*"])
