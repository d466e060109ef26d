"""Ways to a green exit code without a judged suite; each of them is red, or leaves ``harness gate`` red."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path

import pytest

from harness.cli import main
from tests.faults.conftest import Make
from tests.support.projects import CLEAN, LOOP, record

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
        ("try:\n        badcase.check()\n    except AssertionError:\n        pass", ""),
        ("if 'sea' not in badcase.case.id:\n        badcase.check()", ""),
    ],
    ids=["nothing", "own assertion", "skip", "xfail", "caught", "left out"],
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


HOOKS = {
    "cases dropped": (
        "def pytest_collection_modifyitems(items):\n    items[:] = [i for i in items if 'sea' not in i.name]\n", 3, 3,
    ),
    "reports turned green": (
        "import pytest\n\n\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
        "    report = yield\n    report.outcome = 'passed'\n    return report\n", 1, 1,
    ),
    "tests not called": (
        "import pytest\n\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem):\n    return True\n",
        1, 1,
    ),
    "tests not run": ("def pytest_runtest_protocol(item, nextitem):\n    return True\n", 3, 3),
    "no loop": ("def pytest_runtestloop(session):\n    return True\n", 3, 3),
    "exit at the end": ("import os\n\n\ndef pytest_unconfigure(config):\n    os._exit(0)\n", 0, 1),
    "exit of Python": ("import atexit\nimport os\n\natexit.register(os._exit, 0)\n", 0, 1),
    "exit in a fixture": (
        "import os\nimport pytest\n\n\n@pytest.fixture(autouse=True, scope='session')\ndef last():\n    yield\n"
        "    os._exit(0)\n", 0, 3,
    ),
}  # fmt: skip
"""A conftest.py, and what pytest and ``harness gate`` end with."""


@pytest.mark.parametrize(("conftest", "code", "gate"), HOOKS.values(), ids=HOOKS)
def test_no_hook_of_a_conftest_makes_the_gate_green(
    once_green: Path, pytester: pytest.Pytester, conftest: str, code: int, gate: int
) -> None:
    """A case has broken since, and the hook hides it from pytest."""
    (once_green / "script.json").write_text(json.dumps({**SOUND, "sea": LOOP}))
    (once_green / "conftest.py").write_text(conftest)
    assert pytester.runpytest_subprocess("badcases").ret == code
    assert main(["gate"]) == gate


@pytest.mark.parametrize(
    ("words", "code"), [(("--stepwise",), 2), (("--maxfail=1",), 1), (("-x",), 1)], ids=lambda v: str(v)
)
def test_a_session_that_stops_at_the_first_failure_is_not_judged(
    once_green: Path, pytester: pytest.Pytester, words: tuple[str, ...], code: int
) -> None:
    """The cases after it were not answered."""
    (once_green / "script.json").write_text(json.dumps({**SOUND, "sea": LOOP}))
    assert pytester.runpytest_subprocess("badcases", *words).ret == code
    assert main(["gate"]) == 3


def test_a_loop_with_an_invisible_character_is_red(project: Make, pytester: pytest.Pytester) -> None:
    """One copy of it differs by a zero-width space."""
    loop = "The sea is calm. " + "The waves roll in again and again tonight. " * 10
    project(script={**SOUND, "sea": f"{loop}The wa\u200bves roll in again and again tonight. {loop[17:]}"})
    assert pytester.runpytest("badcases").ret == 1
    assert main(["gate"]) == 1


def test_a_metric_with_the_name_of_a_built_in_score_is_a_usage_error(project: Make, pytester: pytest.Pytester) -> None:
    """``rep8`` registered as 0 made a loop pass."""
    root = project()
    (root / "conftest.py").write_text(
        "from harness.metrics import register_metric\n\n\ndef pytest_configure(config):\n"
        "    register_metric('rep8', lambda answer, case: {'rep8': 0.0})\n"
    )
    done = pytester.runpytest_subprocess("badcases")
    assert done.ret not in (0, 1)
    assert "is the name of a built-in score" in f"{done.stdout}{done.stderr}"


def test_every_way_in_the_documentation_has_its_tests() -> None:
    """Each row of the tables names tests that exist."""
    root = Path(__file__).resolve().parents[2]
    lines = (root / "docs" / "explanation" / "false_green.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and not line.startswith(("| way |", "| fault |", "|---"))]
    assert len(rows) > 40
    for row in rows:
        names = re.findall(r"`(\w+)::(\w+)`", row.rsplit("|", 2)[1])
        assert names, row
        for module, name in names:
            texts = [path.read_text("utf-8") for path in root.glob(f"tests/*/**/{module}.py")]
            assert any(f"def {name}(" in text for text in texts), f"{module}::{name}"


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
