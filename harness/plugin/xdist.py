"""Bad cases under pytest-xdist's ``-n``: one engine, one run and one gate in the controller, the tests in its workers.

Each worker collects as usual and leaves the list of its tests for the controller, which starts the run when the first
list is there. See :mod:`harness.plugin.shared_results` for how results reach the workers. Not supported: workers on
other machines (``--tx ssh=...``), which do not see the controller's folder; ``--shard`` spreads a suite over machines.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, UsageError
from harness.models.embedded import cache_folder
from harness.plugin import hooks
from harness.plugin.shared_results import SharedResults
from harness.safe.files import scratch_folder

__all__ = ["Controller", "Worker"]

_FOLDER = "badcases_folder"
"""Name of the folder in a worker's input."""


class Controller:
    """Runs the bad cases that the workers collected; does nothing where there are none, or no workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._stack = ExitStack()
        self._folder: Path | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._folder is None:
            # Suites without bad cases need no folder, so that none can be made is no error here.
            with suppress(OSError):
                self._folder = self._stack.enter_context(scratch_folder(cache_folder() / "workers"))
        if node.gateway.spec.popen and self._folder is not None:
            node.workerinput[_FOLDER] = str(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        if self._folder is None:
            return
        shared = SharedResults(self._folder)
        try:
            if shared.read_collected(node.gateway.id) is None:
                return
            session = hooks.session_of(self._config, shared=shared)
            session.run_for_workers(node.gateway.id, hooks.progress(self._config))
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error
        except HarnessError as error:
            pytest.exit(str(error), returncode=hooks.EXIT_HARNESS_BROKE)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        session = self._config.stash.get(hooks.SESSION, None)
        planned = session.planned_test(report.nodeid) if session is not None and report.when == "call" else None
        if session is not None and planned is not None:
            session.note_outcome(planned, failed=report.failed)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._stack.close()


class Worker:
    """Tells the controller which bad cases this worker collected."""

    def __init__(self, config: pytest.Config) -> None:
        given = config.workerinput  # type: ignore[attr-defined] # set by pytest-xdist
        self._name: str = given["workerid"]
        self._folder: str | None = given.get(_FOLDER)

    def begin(self, config: pytest.Config) -> None:
        """Make the worker's session.

        Raises:
            UsageError: a worker on another machine, or no folder to meet the controller in.
        """
        if self._folder is None:
            raise UsageError(
                f"-n: bad cases need workers on this machine, and a folder that can be made in {cache_folder()}; use "
                "--shard I/N on each of several machines"
            )
        hooks.session_of(config, shared=SharedResults(Path(self._folder)), is_worker=True)

    # Before xdist sends the list of tests, at which the controller looks for this one.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        state = session.config.stash.get(hooks.SESSION, None)
        if state is not None:
            tests = {item.nodeid: planned for item in session.items if (planned := hooks.planned_of(item)) is not None}
            state.tell_controller(self._name, tests)
