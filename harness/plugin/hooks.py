"""The pytest plugin: translates between pytest's objects and :class:`harness.runs.evaluation.Evaluation`, nothing else.

A test that asks for the fixture ``badcase`` runs once per case and adapter. All selected cases are handed to the
engine together; a test then waits for its own result, so ``-x``, ``-k``, ``--lf`` and node ids are pytest's own. What
the harness could not tell (verdict ERROR) ends the session with exit code 3, never with 1, which says that the model
failed. Suites without the fixture are untouched.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from harness.errors import HarnessError, UsageError
from harness.plugin.badcase import BadCase, BadCaseError, BadCaseFailed, BadCaseSkipped
from harness.plugin.session import Planned, Session

_SESSION = pytest.StashKey[Session]()
_EXIT_HARNESS_BROKE = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("badcases", "bad cases of a language model")
    group.addoption("--adapter", action="append", metavar="NAME", help="adapter version to evaluate; repeatable")
    group.addoption("--baseline", metavar="NAME", help="adapter version that the gate compares with")
    group.addoption("--engine", metavar="NAME", help="vllm, transformers, or module:attribute of your own")
    group.addoption("--max-repetition", type=_share, metavar="X", help="gate: most repetition score, 0..1")
    group.addoption("--max-repeater-rate", type=_share, metavar="X", help="gate: most share of repeaters, 0..1")
    group.addoption("--max-cutoff-rate", type=_share, metavar="X", help="gate: most share of cut-off answers, 0..1")
    group.addoption("--max-regressions", type=_count, metavar="N", help="gate: most cases broken since the baseline")
    group.addoption("--no-cache", action="store_const", const=False, dest="harness_cache", help="generate anew")
    group.addoption("--shard", type=_shard, metavar="I/N", help="only the I-th of N parts of the cases (1/4 ... 4/4)")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


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
    config.stash[_SESSION] = Session(config.option, config.invocation_params.dir, config.invocation_params.args)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "badcase" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash[_SESSION]
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


def pytest_cmdline_main(config: pytest.Config) -> None:
    # Workers collect on their own and could not be told from here; the words of the call can be.
    if getattr(config.option, "numprocesses", None) and Session.asked_for(config.args, config.invocation_params.dir):
        raise pytest.UsageError("-n: bad cases share one engine; to use several machines run each with --shard I/N")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    session = config.stash[_SESSION]
    # pytest would report an exception inside parametrization as a broken test file, with a traceback.
    if session.problem is not None:
        raise pytest.UsageError(str(session.problem))
    keep, drop = session.split_shard([(item, _planned(item)) for item in items])
    if drop:
        items[:] = keep
        config.hook.pytest_deselected(items=drop)


def pytest_collection_finish(session: pytest.Session) -> None:
    # Also called, by pytest, on the way out of an error in the hook above.
    if session.config.option.collectonly or session.config.stash[_SESSION].problem is not None:
        return
    planned = [p for item in session.items if (p := _planned(item)) is not None]
    if not planned:
        return
    try:
        session.config.stash[_SESSION].plan(planned)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    except HarnessError as error:
        pytest.exit(str(error), returncode=_EXIT_HARNESS_BROKE)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    state = session.config.stash[_SESSION]
    if not session.config.option.collectonly and not session.testsfailed:
        state.start(*_progress_writer(session.config))
    return (yield)


@pytest.fixture
def badcase(request: pytest.FixtureRequest) -> BadCase:
    """One bad case on one adapter, generated and judged; call ``badcase.check()``."""
    state = request.config.stash[_SESSION]
    try:
        with _uncaptured(request.config):
            result = state.result(request.param)
    except HarnessError as error:
        pytest.exit(str(error), returncode=_EXIT_HARNESS_BROKE)
    attempt = result.worst
    if attempt is not None and attempt.scores is not None:
        for name in ("repetition", "similarity"):
            request.node.user_properties.append((name, round(attempt.scores.values[name], 4)))
    request.node.user_properties.append(("verdict", result.verdict.status.value))
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
    problem = call.excinfo.value if call.excinfo is not None else None
    if isinstance(problem, BadCaseFailed | BadCaseError):
        report.longrepr = item.config.stash[_SESSION].explain(problem)  # type: ignore[assignment]
    elif isinstance(problem, BadCaseSkipped):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {problem}")
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    state = session.config.stash.get(_SESSION, None)
    if state is None or not state.running:
        return
    if state.conclude(complete=exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)):
        session.exitstatus = _EXIT_HARNESS_BROKE
    elif exitstatus == pytest.ExitCode.OK and not state.passed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    state = config.stash[_SESSION]
    if text := state.summary(color=terminalreporter.hasmarkup):
        terminalreporter.section("bad cases")
        for line in text.splitlines():
            terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (state := config.stash.get(_SESSION, None)) is not None:
        state.close()


def _planned(item: pytest.Item) -> Planned | None:
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("badcase") if callspec is not None else None
    # With no case to parametrize over, pytest puts a marker of its own there.
    return found if isinstance(found, Planned) else None


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture is not None else nullcontext()


def _progress_writer(config: pytest.Config) -> tuple[Callable[[str], None], float]:
    """How to show a progress line, and how many seconds apart."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is None or config.option.verbose < 0:
        return (lambda _: None), 3600.0
    if terminal.isatty:
        return (lambda line: terminal.rewrite(line, erase=True)), 0.2
    return (lambda line: (terminal.ensure_newline(), terminal.write_line(line), None)[-1]), 15.0
