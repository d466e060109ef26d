"""Bad cases under pytest-xdist's ``-n``: one engine, one run and one gate in the controller, the tests in its workers.

Each worker collects as usual and leaves the list of its tests for the controller, which starts the run when the first
list is there. See :mod:`harness.plugin.shared_results` for how results reach the workers. Not supported: workers on
other machines (``--tx ssh=...``), which do not see the controller's folder; ``--shard`` spreads a suite over machines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, UsageError
from harness.plugin import hooks
from harness.plugin.shared_results import SharedResults

__all__ = ["Controller", "Worker"]

_FOLDER = "badcases_folder"
"""Name of the folder in a worker's input."""


class Controller:
    """Runs the bad cases that the workers collected; does nothing where there are none, or no workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._shared: SharedResults | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._shared is None:
            self._shared = SharedResults.create()
        if node.gateway.spec.popen:
            node.workerinput[_FOLDER] = str(self._shared.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        assert self._shared is not None
        try:
            if self._shared.read_collected(node.gateway.id) is None:
                return
            session = hooks.session_of(self._config, shared=self._shared)
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
        if self._shared is not None:
            self._shared.remove()


class Worker:
    """Tells the controller which bad cases this worker collected."""

    def __init__(self, config: pytest.Config) -> None:
        given = config.workerinput  # type: ignore[attr-defined] # set by pytest-xdist
        self._name: str = given["workerid"]
        self._folder: str | None = given.get(_FOLDER)

    def begin(self, config: pytest.Config) -> None:
        """Make the worker's session.

        Raises:
            UsageError: a worker on another machine.
        """
        if self._folder is None:
            raise UsageError("-n: bad cases need workers on this machine; use --shard I/N on each of several machines")
        hooks.session_of(config, shared=SharedResults(Path(self._folder)), is_worker=True)

    # Before xdist sends the list of tests, at which the controller looks for this one.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        state = session.config.stash.get(hooks.SESSION, None)
        if state is not None:
            tests = {item.nodeid: planned for item in session.items if (planned := hooks.planned_of(item)) is not None}
            state.tell_controller(self._name, tests)
