"""Ways to a green exit code without a judged suite; each of them is red, or leaves ``harness gate`` red."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from harness.cli import main
from tests.faults.conftest import Make
from tests.support.projects import CLEAN, record

SOUND = {"sea": CLEAN, "hill": CLEAN, "calm": CLEAN}
Capture = pytest.CaptureFixture[str]


def write_test(root: Path, body: str, head: str = "") -> None:
    text = f"import os\nimport pytest\n\n\n{head}def test_badcase(badcase):\n    {body}\n"
    (root / "badcases" / "test_badcases.py").write_text(text)


@pytest.fixture
def once_green(project: Make, pytester: pytest.Pytester) -> Path:
    """A project whose last run passed."""
    root = project(script=SOUND)
    assert pytester.runpytest("badcases").ret == 0
    assert main(["gate"]) == 0
    return root


@pytest.mark.parametrize("body", ["os._exit(0)", "os.kill(os.getpid(), 9)"], ids=["exit", "kill"])
def test_a_session_that_vanished_leaves_the_gate_red(
    once_green: Path, pytester: pytest.Pytester, capsys: Capture, body: str
) -> None:
    """A test ended pytest with 0, and ``harness gate`` judged the green run before it."""
    write_test(once_green, body)
    pytester.runpytest_subprocess("badcases")
    capsys.readouterr()
    assert main(["gate"]) == 3
    assert "ended before it was judged" in capsys.readouterr().out
    write_test(once_green, "badcase.check()")
    assert pytester.runpytest("badcases").ret == 0
    assert main(["gate"]) == 0


def test_pytest_exit_with_0_is_red(once_green: Path, pytester: pytest.Pytester) -> None:
    """``pytest.exit(returncode=0)`` in the first test, with two cases to go."""
    write_test(once_green, 'pytest.exit("enough", returncode=0)')
    assert pytester.runpytest_subprocess("badcases").ret != 0
    assert main(["gate"]) == 3


def test_a_plugin_that_sets_the_exit_code_does_not_set_the_gate(project: Make, pytester: pytest.Pytester) -> None:
    """The last word on pytest's exit code is another plugin's; the recorded run is judged by itself."""
    root = project()
    (root / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_sessionfinish(session):\n    yield\n    session.exitstatus = 0\n"
    )
    assert pytester.runpytest_subprocess("badcases").ret == 0
    assert main(["gate"]) == 1


@pytest.mark.parametrize(
    ("body", "head"),
    [
        ("pass", ""),
        ("assert badcase.answer", ""),
        ('pytest.skip("not today")', ""),
        ("badcase.check()", "@pytest.mark.xfail\n"),
    ],
    ids=["nothing", "own assertion", "skip", "xfail"],
)
@pytest.mark.parametrize("limit", [(), ("--max-repetition", "1")], ids=["no limit", "a limit"])
def test_a_failed_case_whose_test_did_not_fail_is_red(
    project: Make, pytester: pytest.Pytester, body: str, head: str, limit: tuple[str, ...]
) -> None:
    """The test file never called ``badcase.check()``, and the suite was green for a year."""
    write_test(project(), body, head)
    done = pytester.runpytest("badcases", *limit)
    assert done.ret == 1
    done.stdout.fnmatch_lines(["failed cases whose tests did not fail: badcase1/sea@v4.0; *badcase.check()*"])


def test_a_suite_of_skipped_cases_is_not_green(project: Make, pytester: pytest.Pytester, capsys: Capture) -> None:
    """There is nothing to judge by; it was a traceback."""
    project(cases=[record("sea", skip="later"), record("hill", skip="later")])
    done = pytester.runpytest("badcases")
    done.assert_outcomes(skipped=2)
    assert done.ret == 3
    capsys.readouterr()
    assert main(["gate"]) == 3
    assert "no case was judged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('pytest.skip("not today")', ()),
        ("badcase.check()", ("--setup-plan",)),
        ("assert badcase is None", ()),
    ],
    ids=["all tests skipped", "--setup-plan", "fixture overridden"],
)
def test_a_session_that_judged_nothing_is_not_green(
    project: Make, pytester: pytest.Pytester, body: str, words: tuple[str, ...]
) -> None:
    """No result was ever asked for; it was a traceback and exit code 1, and the gate judged the run before."""
    root = project(script=SOUND)
    assert pytester.runpytest("badcases").ret == 0
    head = "@pytest.fixture\ndef badcase(request):\n    return None\n\n\n" if "None" in body else ""
    skip = "@pytest.mark.skip\n" if "skip" in body else ""
    write_test(root, body, head + skip)
    done = pytester.runpytest_subprocess("badcases", *words)
    assert done.ret == 3
    assert "Traceback" not in str(done.stderr)
    done.stdout.fnmatch_lines(["gate: not judgeable: the run did not come to its end*"])
    assert main(["gate"]) == 3


def test_a_database_that_breaks_at_the_end_is_not_1(project: Make, pytester: pytest.Pytester) -> None:
    """pytest ended with a traceback and 1, as if a case had failed."""
    root = project(script=SOUND)
    spoil = "sqlite3.connect('reports/harness.sqlite', isolation_level=None).execute('DELETE FROM runs')"
    write_test(root, f"badcase.check()\n    {spoil}", "import sqlite3\n\n\n")
    done = pytester.runpytest_subprocess("badcases")
    assert done.ret == 3
    assert "Traceback" not in str(done.stderr)
    # Results of a run that is gone are refused at once.
    done.stdout.fnmatch_lines(["*harness.sqlite: run * was changed or deleted since it was written*"])


def test_a_folder_that_cannot_be_written_is_no_usage_error(project: Make, pytester: pytest.Pytester) -> None:
    """The harness cannot work there: 3, and neither 1 nor 4."""
    root = project(script=SOUND)
    (root / "reports").write_text("a file in the way")
    done = pytester.runpytest_subprocess("badcases")
    assert done.ret == 3
    assert "Traceback" not in f"{done.stdout}{done.stderr}"
    assert "cannot write" in f"{done.stdout}{done.stderr}"


def test_the_gate_says_that_a_session_is_running(once_green: Path, capsys: Capture) -> None:
    """Its verdict is not known yet."""
    marker = once_green / "reports" / "sessions" / "20990101-000000-1.json"
    marker.parent.mkdir(exist_ok=True)
    marker.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "started": "2099-01-01"}))
    capsys.readouterr()
    assert main(["gate"]) == 3
    assert "is still running" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b'{"pid": "x"}', b'{"pid": 99999999999999999999}'],
    ids=["empty", "binary", "list", "text", "huge"],
)
def test_a_damaged_marker_is_red_and_no_traceback(once_green: Path, content: bytes) -> None:
    """Half a file is what a full disk leaves."""
    marker = once_green / "reports" / "sessions" / "20250101-000000-1.json"
    marker.parent.mkdir(exist_ok=True)
    marker.write_bytes(content)
    assert main(["gate"]) == 3
