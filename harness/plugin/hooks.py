"""The pytest plugin: translates between pytest's objects and :class:`harness.plugin.session.Session`.

A test that asks for the fixture ``badcase`` runs once for each case and adapter. All selected cases go to the engine
together. Each test then waits for its own result, so ``-x``, ``-k``, ``--lf`` and node ids are pytest's own. A verdict
ERROR ends the session with exit code 3 and never with 1, which means that the model failed.

pytest loads this module in every project. It therefore imports only pytest and two modules that import nothing; the
session, and with it the rest of the harness, is imported when the first test asks for the fixture.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, UsageError
from harness.safe.shares import parse_share

if TYPE_CHECKING:
    from harness.plugin.badcase import BadCase
    from harness.plugin.progress import ProgressSink
    from harness.plugin.session import Planned, Session
    from harness.plugin.shared_results import SharedResults

SESSION = pytest.StashKey["Session"]()
EXIT_HARNESS_BROKE = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("badcases", "bad cases of a language model")
    group.addoption("--adapter", action="append", metavar="NAME", help="adapter version to evaluate; repeatable")
    group.addoption("--baseline", metavar="NAME|FILE", help="adapter version or baseline file to compare with")
    group.addoption("--engine", metavar="NAME", help="vllm, server, ray, transformers, or module:attribute of your own")
    group.addoption("--base-url", metavar="URL[,URL]", help="vLLM servers to ask, such as http://HOST:8000/v1")
    group.addoption("--ray-address", metavar="HOST:PORT|auto", help="Ray cluster to use; implies --engine ray")
    group.addoption("--max-repetition", type=_share, metavar="X", help="gate: maximum repetition score, 0..1 or 5%%")
    group.addoption(
        "--max-repeater-rate", type=_share, metavar="X", help="gate: maximum share of repeaters, 0..1 or 5%%"
    )
    group.addoption(
        "--max-cutoff-rate", type=_share, metavar="X", help="gate: maximum share of cut-off answers, 0..1 or 5%%"
    )
    group.addoption("--max-regressions", type=_count, metavar="N", help="gate: maximum cases broken since the baseline")
    group.addoption(
        "--allow-partial", action="store_const", const=True, default=None,
        help="gate: judge a run of some cases like a run of the whole suite",
    )  # fmt: skip
    group.addoption(
        "--case", action="append", dest="harness_cases", metavar="PATTERN",
        help="only cases with this id, or whose ids match the pattern (badcase1/*); repeatable",
    )  # fmt: skip
    group.addoption(
        "--run-tag", action="append", dest="run_tags", metavar="NAME", help="name to find the run by; repeatable"
    )
    group.addoption("--no-cache", action="store_const", const=False, dest="harness_cache", help="generate anew")
    group.addoption("--shard", type=_shard, metavar="I/N", help="only the I-th of N parts of the cases (1/4 ... 4/4)")
    group.addoption(
        "--run-group", metavar="NAME", help="name under which the shards of one run find each other in the database"
    )


def _share(text: str) -> float:
    try:
        return parse_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number >= 0")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text} is not I/N with 1 <= I <= N")
    return int(part), int(parts)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "badcase(folder, role, adapter): set by the harness on every bad case")
    for role in ("fix", "holdout", "guard"):
        config.addinivalue_line("markers", f"{role}: set by the harness on bad cases of this role")
    if config.pluginmanager.hasplugin("xdist"):
        from harness.plugin.xdist import Controller, Worker

        if hasattr(config, "workerinput"):
            config.pluginmanager.register(Worker(config), "harness-worker")
        else:
            config.pluginmanager.register(Controller(config), "harness-controller")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "badcase" not in metafunc.fixturenames:
        return
    if (worker := metafunc.config.pluginmanager.getplugin("harness-worker")) is not None:
        worker.begin(metafunc.config)
    session = session_of(metafunc.config)
    params = [
        pytest.param(
            planned,
            id=planned.id,
            marks=[
                pytest.mark.badcase(folder=planned.case.folder, role=planned.case.role, adapter=planned.adapter),
                getattr(pytest.mark, planned.case.role),
                *(getattr(pytest.mark, name) for name in session.tag_markers(metafunc.config, planned.case)),
            ],
        )
        for planned in session.cases_for(Path(metafunc.definition.path).parent)
    ]
    metafunc.parametrize("badcase", params, indirect=True)


def session_of(config: pytest.Config, *, shared: SharedResults | None = None, is_worker: bool = False) -> Session:
    """The session's state, made when the first test asks for the fixture."""
    if SESSION not in config.stash:
        from harness.plugin.session import Session

        params = config.invocation_params
        config.stash[SESSION] = Session(config.option, params.dir, params.args, shared=shared, is_worker=is_worker)
    return config.stash[SESSION]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (session := config.stash.get(SESSION, None)) is None:
        return
    if session.is_worker and session.problem is not None:
        # The controller reads the same files and says it once.
        return
    # pytest would report an exception inside parametrization as a broken test file, with a traceback.
    if isinstance(session.problem, UsageError):
        raise pytest.UsageError(str(session.problem))
    if session.problem is not None:
        pytest.exit(str(session.problem), returncode=EXIT_HARNESS_BROKE)
    try:
        keep, drop = session.split([(item, planned_of(item)) for item in items])
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    except HarnessError as error:
        pytest.exit(str(error), returncode=EXIT_HARNESS_BROKE)
    if drop:
        items[:] = keep
        config.hook.pytest_deselected(items=drop)


def pytest_collection_finish(session: pytest.Session) -> None:
    state = session.config.stash.get(SESSION, None)
    # pytest calls this hook also after an error in the hook above.
    if state is None or state.is_worker or session.config.option.collectonly or state.problem is not None:
        return
    planned = [p for item in session.items if (p := planned_of(item)) is not None]
    if not planned:
        return
    try:
        state.plan(planned)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    except HarnessError as error:
        pytest.exit(str(error), returncode=EXIT_HARNESS_BROKE)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    state = session.config.stash.get(SESSION, None)
    if state is not None and not session.config.option.collectonly and not session.testsfailed:
        try:
            state.start(progress(session.config))
        except HarnessError as error:
            pytest.exit(str(error), returncode=EXIT_HARNESS_BROKE)
    return (yield)


@pytest.fixture
def badcase(request: pytest.FixtureRequest) -> BadCase:
    """One bad case on one adapter, generated and judged; call ``badcase.check()``."""
    from harness.plugin.badcase import BadCase, BadCaseError

    state = request.config.stash[SESSION]
    try:
        with _uncaptured(request.config):
            result = state.result(request.param)
    except HarnessError as error:
        if state.is_worker:
            # The controller knows it as well, and ends with the exit code.
            pytest.fail(str(error), pytrace=False)
        pytest.exit(str(error), returncode=EXIT_HARNESS_BROKE)
    request.node.user_properties.extend(state.properties(result))
    case = BadCase(result)
    # An engine's failure belongs to the set-up, which pytest counts as an error and not as a failed test.
    if result.verdict.status.value == "ERROR":
        raise BadCaseError(result)
    return case


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    planned = planned_of(item)
    if planned is None:
        return report
    from harness.plugin.badcase import BadCaseError, BadCaseFailed, BadCaseSkipped

    problem = call.excinfo.value if call.excinfo is not None else None
    match problem:
        case BadCaseSkipped():
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {problem}")
        case BadCaseFailed() if problem.result.expected_failure:
            # pytest's own words for it, so that -rx, JUnit and other plugins know what it is.
            report.outcome, report.wasxfail = "skipped", planned.case.xfail
        case BadCaseFailed() | BadCaseError():
            report.longrepr = item.config.stash[SESSION].explain(problem)  # type: ignore[assignment]
        case None if call.when == "call" and planned.case.xfail:
            report.wasxfail = planned.case.xfail
    if call.when == "call":
        item.config.stash[SESSION].note_outcome(planned, failed=report.outcome == "failed")
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """A passing case whose answer was cut off says so in its line."""
    tokens = next((v for k, v in getattr(report, "user_properties", ()) if k == "cut_off_at"), None)
    if tokens is None or report.when != "call" or not report.passed or hasattr(report, "wasxfail"):
        return None
    return "passed", ".", f"PASSED (cut off at {tokens} tokens)"


# Before pytest writes its JUnit file, which names the gate.
@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    state = session.config.stash.get(SESSION, None)
    if state is None or not state.running:
        return
    broke = state.conclude(complete=exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED))
    if broke or (exitstatus == pytest.ExitCode.OK and not state.judgeable):
        session.exitstatus = EXIT_HARNESS_BROKE
    elif exitstatus == pytest.ExitCode.OK and not state.passed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    for plugin in session.config.pluginmanager.get_plugins():
        if hasattr(plugin, "add_global_property"):
            _write_gate(plugin, state)


def _write_gate(junit: Any, state: Session) -> None:
    """Put the run and its gate into pytest's JUnit file: properties of the suite, and a test case of the gate's own.

    The tests of a suite may all pass while its gate is red, and a pipeline shows the test cases of the file.
    """
    for name, value in state.suite_properties().items():
        junit.add_global_property(name, value)
    verdict = state.gate_test()
    if verdict is None:
        return
    steps = ("call", "teardown") if verdict.outcome != "error" else ("setup", "teardown")
    for when in steps:
        failed = verdict.outcome != "passed" and when != "teardown"
        junit.pytest_runtest_logreport(
            pytest.TestReport(
                nodeid="badcases::gate", location=("badcases", None, "gate"), keywords={}, duration=0.0, when=when,  # type: ignore[arg-type]
                outcome="failed" if failed else "passed", longrepr=verdict if failed else None,  # type: ignore[arg-type]
            )
        )  # fmt: skip


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    state = config.stash.get(SESSION, None)
    if state is not None and (text := state.summary(color=terminalreporter.hasmarkup)):
        terminalreporter.section("bad cases")
        for line in text.splitlines():
            terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (state := config.stash.get(SESSION, None)) is not None:
        state.close()


def planned_of(item: pytest.Item) -> Planned | None:
    """The case of a test that asks for one."""
    callspec = getattr(item, "callspec", None)
    planned = callspec.params.get("badcase") if callspec is not None else None
    # Without a case, pytest puts a marker of its own there.
    return planned if type(planned).__name__ == "Planned" else None


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture is not None else nullcontext()


def progress(config: pytest.Config) -> ProgressSink:
    """Where this session shows its progress."""
    from harness.plugin.progress import progress_sink

    terminal = config.pluginmanager.getplugin("terminalreporter")
    return progress_sink(terminal, config.option.verbose, os.environ)
