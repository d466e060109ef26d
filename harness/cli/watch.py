"""``harness watch``: run the suite once, then what fails and what changed, each time a case file is saved.

Each round is ``pytest badcases --case ...`` in a process of its own, so a round is the same test as any other run, and
a test file that was changed is imported anew. Trade-off: each round that must generate starts the engine. Answers that
are stored are not generated again, so a change of thresholds or of a standard answer takes a second.

Not supported: settings and the manifest are not watched; a change there needs a new start of the command.
"""

from __future__ import annotations

import argparse
import glob
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.cli.interruption import interruptible
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, hint, project_settings
from harness.errors import UsageError
from harness.judging.results import CaseResult, Status
from harness.language import tr
from harness.project.settings import Settings
from harness.safe.escape import for_json, for_terminal, shorten
from harness.store import Store

__all__ = ["add_parser", "run"]

_DEBOUNCE_MS = 400
"""Quiet time after the last change; an editor writes a file in several steps."""
_PATIENCE = 30.0
"""Seconds that an interrupted round has to end its engine."""
_OWN_FILES = {"dataset_info.json"}
"""Files that the harness itself writes into case folders."""


def add_parser(subparsers: Any) -> None:
    """``harness watch [--adapter NAME ...] [--engine NAME]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "watch",
        help="run what fails again whenever a case file changes",
        **examples("harness watch", "harness watch --adapter v4.1"),
    )
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME", help="version; repeatable")
    parser.add_argument("--engine", metavar="NAME", help="vllm, transformers ...; default: the project's")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Watch until the command is interrupted (130).

    Raises:
        UsageError: the project has no folder badcases.
    """
    from watchfiles import watch

    settings = project_settings()
    folder = settings.badcases
    if not folder.is_dir():
        raise UsageError(f"no folder {folder} to watch; make a project with: harness init")
    suite = _Suite(
        settings, [*_repeated("--adapter", args.adapter), *_repeated("--engine", filter(None, [args.engine]))]
    )
    hint(tr("watching {folder}; end with Ctrl-C", folder=folder))
    with interruptible():
        _show(suite.round(None), json=args.json)
        for changes in watch(folder, debounce=_DEBOUNCE_MS, watch_filter=_matters):
            if changed := _folders(folder, (Path(path) for _, path in changes)):
                _show(suite.round(changed if "" not in changed else None), json=args.json)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One run of pytest."""

    moment: str
    changed: tuple[str, ...]
    """Case folders that changed; empty for the whole suite."""
    seconds: float
    run: str | None
    """Id of the recorded run; None where pytest recorded none."""
    cases: int = 0
    passed: int = 0
    failing: tuple[str, ...] = ()
    """What fails now, of this round and of those before."""
    problem: str = ""


class _Suite:
    """What is known of the suite, from round to round."""

    def __init__(self, settings: Settings, options: Sequence[str]) -> None:
        self._settings = settings
        self._options = options
        self._failing: dict[tuple[str, str], None] = {}

    def round(self, changed: Sequence[str] | None) -> _Round:
        """Run the cases of the changed folders and those that failed; None runs all of them."""
        began = time.monotonic()
        before = self._newest_run()
        patterns = [] if changed is None else [f"{glob.escape(name)}/*" for name in changed]
        patterns += [] if changed is None else [glob.escape(case) for case, _ in self._failing]
        output = self._pytest(_repeated("--case", dict.fromkeys(patterns)))
        run_id = self._newest_run()
        done = _Round(
            moment=f"{datetime.now().astimezone():%H:%M:%S}", changed=tuple(changed or ()), run=None,
            seconds=round(time.monotonic() - began, 1), failing=self._names(),
        )  # fmt: skip
        if run_id is None or run_id == before:
            return replace(done, problem=_last_words(output))
        with Store.existing(self._settings.database) as store:
            results = store.results(run_id)
        self._take_in(results, whole=changed is None, changed=changed or ())
        passed = sum(r.verdict.status is Status.PASS for r in results)
        return replace(done, run=run_id, cases=len(results), passed=passed, failing=self._names())

    def _take_in(self, results: Sequence[CaseResult], *, whole: bool, changed: Sequence[str]) -> None:
        # A case that was deleted has no result any more.
        gone = [key for key in self._failing if whole or key[0].rpartition("/")[0] in changed]
        for key in gone:
            del self._failing[key]
        for result in results:
            key = (result.case.id, result.adapter)
            self._failing.pop(key, None)
            if result.verdict.status in (Status.FAIL, Status.ERROR):
                self._failing[key] = None

    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(case for case, _ in self._failing))

    def _newest_run(self) -> str | None:
        if not Store.exists(self._settings.database):
            return None
        with Store.existing(self._settings.database) as store:
            return next((r.id for r in store.runs(limit=1)), None)

    def _pytest(self, selection: Sequence[str]) -> str:
        """The output of one run; an interrupt ends it in order, with its engine."""
        command = [sys.executable, "-m", "pytest", str(self._settings.badcases), "-q", "--no-header", "--tb=no"]
        process = subprocess.Popen(
            [*command, *self._options, *selection], cwd=self._settings.root, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        try:
            return process.communicate()[0]
        except BaseException:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            raise
        finally:
            process.kill()
            process.wait()


def _repeated(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _matters(_change: object, path: str) -> bool:
    """Whether a changed file may change a result."""
    name = Path(path).name
    hidden = any(part.startswith(".") or part == "__pycache__" for part in Path(path).parts[1:])
    return not hidden and name not in _OWN_FILES and not name.endswith(("~", ".pyc", ".tmp", ".swp"))


def _folders(root: Path, paths: Iterator[Path]) -> list[str]:
    """The case folders of changed files; ``""`` for a file beside them, which concerns the whole suite."""
    names: dict[str, None] = {}
    for path in paths:
        parts = path.resolve().relative_to(root.resolve()).parts
        names["/".join(parts[:-1]) if len(parts) > 1 else ""] = None
    return sorted(names)


def _last_words(output: str) -> str:
    """Why pytest recorded no run: its last line that says something."""
    lines = [line.strip("=!- \t") for line in output.splitlines()]
    lines = [line.removeprefix("_pytest.outcomes.Exit: ") for line in lines if line]
    told = [line for line in lines if line.startswith(("ERROR", "E ")) or "rror" in line]
    return (told or lines or [tr("pytest wrote nothing")])[-1]


def _show(done: _Round, *, json: bool) -> None:
    if json:
        import json as json_format

        from harness.safe.records import to_data

        echo(for_json(json_format.dumps(to_data(done), ensure_ascii=False, allow_nan=False)))
        return
    what = tr("{folders} changed", folders=", ".join(done.changed)) if done.changed else tr("whole suite")
    if done.run is None:
        text = tr("no run: {problem}", problem=done.problem)
    else:
        text = tr("{passed} of {cases} pass", passed=done.passed, cases=done.cases)
        names = ", ".join(done.failing[:3]) + (", ..." if len(done.failing) > 3 else "")
        text += tr("; {n} failing: {names}", n=len(done.failing), names=names) if done.failing else tr("; none fails")
    line = f"{done.moment}  {what}: {text}  ({done.seconds:.1f} s)"
    echo(shorten(for_terminal(line, keep_newlines=False), 400))
