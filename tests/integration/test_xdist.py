"""``pytest badcases -n N``: the tests run in workers, and there is one engine, one run, one gate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.store import Store
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP, record

ROOT = Path(__file__).resolve().parents[2]


def _runs(root: Path) -> list[tuple[str, int]]:
    with Store(root / "reports" / "harness.sqlite") as store:
        return [(run.status, len(store.results(run.id))) for run in store.runs()]


@pytest.mark.parametrize("distribution", ["load", "each"])
def test_workers_make_one_run_with_one_gate(pytester: pytest.Pytester, project: Make, distribution: str) -> None:
    """However xdist distributes the tests, one finished run holds every case once, and its gate decides."""
    root = project()
    result = pytester.runpytest("badcases", "-n", "2", "--dist", distribution)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*v4.0*33*%*", "*gate:*", "*report: reports/runs/*report.html*"])
    assert _runs(root) == [("finished", 3)]


def test_a_green_suite_is_green(pytester: pytest.Pytester, project: Make) -> None:
    """All cases pass, so the exit code is 0."""
    project(script={"Write": CLEAN})
    result = pytester.runpytest("badcases", "-n", "2")
    result.assert_outcomes(passed=3)
    assert result.ret == 0


def test_a_failure_is_explained_as_without_workers(pytester: pytest.Pytester, project: Make) -> None:
    """The text of a failed test comes from the worker whole: answer and standard answer, and no traceback."""
    project()
    text = pytester.runpytest("badcases", "-n", "2").stdout.str()
    assert "The waves roll in again and again tonight" in text
    assert "A sea, and evening light upon it." in text
    assert "Traceback" not in text


def test_only_selected_cases_are_run(pytester: pytest.Pytester, project: Make) -> None:
    """-k selects in the workers, and the run records no other case; a part of the suite is never green."""
    root = project(script={"Write": CLEAN})
    result = pytester.runpytest("badcases", "-n", "2", "-k", "sea")
    result.assert_outcomes(passed=1)
    assert result.ret == 3
    assert _runs(root) == [("finished", 1)]


def test_an_engine_error_is_no_failed_test(pytester: pytest.Pytester, project: Make) -> None:
    """A case without an answer is an error of its test, and the exit code says that the harness broke."""
    project(cases=[record("hill"), record("moon")], script={"hill": CLEAN})
    result = pytester.runpytest("badcases", "-n", "2")
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 3


def test_a_broken_case_file_is_said_once(pytester: pytest.Pytester, project: Make) -> None:
    """What the workers cannot read is one message of the controller, without a traceback."""
    root = project()
    next((root / "badcases").rglob("*.json")).write_text("{", "utf-8")
    result = pytester.runpytest("badcases", "-n", "2")
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in text
    assert text.count("not JSON") == 1


def test_an_unknown_adapter_is_one_message(pytester: pytest.Pytester, project: Make) -> None:
    """Nothing is generated for a version that the manifest does not know."""
    project()
    result = pytester.runpytest("badcases", "--adapter", "v9", "-n", "2")
    assert result.ret != 0
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_shard_may_have_workers(pytester: pytest.Pytester, project: Make) -> None:
    """-n and --shard go together: the run holds this part's cases."""
    root = project(script={"Write": CLEAN})
    pytester.runpytest("badcases", "-n", "2", "--shard", "1/2")
    (run,) = _runs(root)
    assert 0 < run[1] < 3


def test_an_early_end_leaves_no_complete_run(pytester: pytest.Pytester, project: Make) -> None:
    """-x ends before every result was asked for: such a run is no pass."""
    project(cases=[record("sea"), *(record(f"n{i}") for i in range(30))], script={"sea": LOOP, "n": CLEAN})
    result = pytester.runpytest("badcases", "-n", "2", "-x")
    assert result.ret not in (0, 5)


def test_workers_end_with_their_controller(pytester: pytest.Pytester, project: Make) -> None:
    """After kill -9 of the controller no worker waits for a result, and the next run removes what was left."""
    root = project(settings="[tool.harness.engine_options]\nstart = 60\n")
    pyproject = root / "pyproject.toml"
    text = re.sub('engine = "[^"]*"', 'engine = "tests.support.slow_engine:SlowEngine"', pyproject.read_text("utf-8"))
    pyproject.write_text(text, "utf-8")
    there = pytester.mkdir("there")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HARNESS_CACHE_DIR": str(there)}
    command = [sys.executable, "-m", "pytest", "badcases", "-n", "2"]
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        _wait_until(lambda: bool(list(there.glob("workers/*/collected-gw1.json"))))
        workers = _children_of(run.pid)
        run.kill()
    assert len(workers) == 2
    _wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    subprocess.run([*command, "--adapter", "v9"], cwd=root, env=environment, capture_output=True, check=False)
    assert list(there.glob("workers/*")) == []


def _wait_until(there: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _children_of(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text("utf-8").split()]


def test_junit_holds_the_gate(pytester: pytest.Pytester, project: Make) -> None:
    """The controller's JUnit file has the workers' tests, and the gate as a test of its own."""
    project()
    pytester.runpytest("badcases", "-n", "2", "--junit-xml", "junit.xml")
    names = [case.get("name") for case in ET.parse("junit.xml").iter("testcase")]
    assert names.count("gate") == 1
    assert len(names) == 4


def test_a_test_that_checks_nothing_is_red(pytester: pytest.Pytester, project: Make) -> None:
    """A test that forgets badcase.check() is told, also when it runs in a worker."""
    root = project()
    (root / "badcases" / "test_badcases.py").write_text("def test_badcase(badcase): pass\n", "utf-8")
    result = pytester.runpytest("badcases", "-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*does the test call badcase.check()*"])


def test_no_folder_is_left(pytester: pytest.Pytester, project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder in which controller and workers meet is gone at the end."""
    project()
    there = pytester.mkdir("there")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(there))
    pytester.runpytest("badcases", "-n", "2")
    assert list(there.glob("workers/*")) == []


def test_other_suites_may_use_xdist(pytester: pytest.Pytester) -> None:
    """Without a bad case, -n is nobody's business but xdist's."""
    pytester.makepyfile("import pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_ok(n): pass")
    pytester.runpytest("-n", "2").assert_outcomes(passed=4)


def test_results_that_cannot_be_passed_on_are_no_failed_tests(pytester: pytest.Pytester, project: Make) -> None:
    """The folder is lost in the middle: waiting tests are errors, and the exit code says that the harness broke."""
    root = project(settings="[tool.harness.engine_options]\ndelay = 1\n", cases=[record(f"n{i}") for i in range(4)])
    pyproject = root / "pyproject.toml"
    text = re.sub('engine = "[^"]*"', 'engine = "tests.support.slow_engine:SlowEngine"', pyproject.read_text("utf-8"))
    pyproject.write_text(text, "utf-8")
    there = pytester.mkdir("there")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HARNESS_CACHE_DIR": str(there)}
    command = [sys.executable, "-m", "pytest", "badcases", "-n", "2"]
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) as run:
        _wait_until(lambda: bool(list(there.glob("workers/*/collected-gw1.json"))))
        (folder,) = there.glob("workers/*")
        shutil.rmtree(folder)
        folder.write_text("no folder any more", "utf-8")
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 3, output
    assert " failed" not in output
