"""Sends an entry to every tracker of the project: a process each, all at once, under one deadline.

The entry goes through a private temporary folder: ``entry.json``, ``verdicts.jsonl``, and the tracker's answer. A
process that is silent at the deadline is killed with everything that it started, and none outlives the command, also
after ``kill -9``. Whatever happens, the caller gets one :class:`Sent` a tracker and no exception. Secrets are replaced
when the folder is written (:mod:`harness.safe.records`).

Trade-off: a command ends some seconds later, or by the whole deadline where a server hangs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.language import tr
from harness.project.settings import Settings
from harness.reports.conclusion import Conclusion
from harness.safe.escape import for_terminal, shorten
from harness.safe.files import scratch_folder, write_text
from harness.safe.read import read_object, read_text
from harness.safe.records import dump
from harness.trackers.entry import Entry, run_entry, verdict_rows

__all__ = ["Sent", "send_entry", "send_run", "sent_lines"]

ENTRY, ANSWER, LOG, VERDICTS = "entry.json", "answer.json", "log.txt", "verdicts.jsonl"
_MAX_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of an entry at one tracker."""

    tracker: str
    where: str = ""
    """Address or path; empty after a problem."""
    problem: str = ""

    @property
    def text(self) -> str:
        """A line for the terminal."""
        name, where, problem = (for_terminal(part) for part in (self.tracker, self.where, self.problem))
        if problem:
            return tr("tracker {name}: not sent: {problem}", name=name, problem=problem)
        return tr("tracker {name}: {where}", name=name, where=where)


def send_run(conclusion: Conclusion, settings: Settings) -> tuple[Sent, ...]:
    """Send a concluded run, and its reports where the settings allow texts; raises no error."""
    if not settings.trackers:
        return ()
    try:
        rows = "".join(dump(row) + "\n" for row in verdict_rows(conclusion))
        reports = conclusion.reports if settings.trackers_send_texts else ()
        return _send(run_entry(conclusion), settings, {VERDICTS: rows}, reports)
    except Exception as error:  # noqa: BLE001 - a record elsewhere must not cost the run's exit code
        return _all_failed(settings, error)


def send_entry(entry: Entry, settings: Settings) -> tuple[Sent, ...]:
    """Send an entry without files; raises no error."""
    if not settings.trackers:
        return ()
    try:
        return _send(entry, settings, {}, ())
    except Exception as error:  # noqa: BLE001 - as above
        return _all_failed(settings, error)


def sent_lines(sent: Sequence[Sent], run_id: str = "") -> list[str]:
    """What to tell a person: a line for each tracker, then how to send a run again that one did not get."""
    lines = [one.text for one in sent]
    if run_id and any(one.problem for one in sent):
        lines.append(tr("the run is recorded here all the same; send it again: harness track {run}", run=run_id))
    return lines


def _all_failed(settings: Settings, error: Exception) -> tuple[Sent, ...]:
    problem = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return tuple(Sent(tracker=name, problem=shorten(problem, _MAX_REASON)) for name in settings.trackers)


def _send(entry: Entry, settings: Settings, written: Mapping[str, str], reports: Sequence[Path]) -> tuple[Sent, ...]:
    deadline = settings.deadlines.tracker
    with scratch_folder(settings.reports) as top:
        files = [write_text(top / file, text) for file, text in written.items()]
        whole = replace(entry, files=(*files, *(p.resolve() for p in reports if p.is_file())))
        children: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        try:
            for number, tracker in enumerate(dict.fromkeys(settings.trackers)):
                folder = top / str(number)
                options = settings.tracker_options.get(tracker, {})
                children[tracker] = (_start(tracker, whole, settings.root, options, folder), folder)
            end = time.monotonic() + deadline if deadline else None
            return tuple(_wait(tracker, child, folder, end, deadline) for tracker, (child, folder) in children.items())
        except KeyboardInterrupt:
            return tuple(Sent(tracker=tracker, problem=tr("interrupted")) for tracker in settings.trackers)
        finally:
            for child, _ in children.values():
                _kill(child)


def _start(tracker: str, entry: Entry, root: Path, options: Mapping[str, Any], folder: Path) -> subprocess.Popen[bytes]:
    job = {"tracker": tracker, "root": str(root), "options": options, "entry": entry}
    write_text(folder / ENTRY, dump(job))
    here = str(Path(__file__).resolve().parents[2])
    # A class of the user's own lies in the project, or wherever this process finds modules.
    paths = [here, str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "harness.trackers", str(folder), str(os.getpid())],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=root, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip


def _wait(tracker: str, child: subprocess.Popen[bytes], folder: Path, end: float | None, deadline: float) -> Sent:
    try:
        child.wait(None if end is None else max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return Sent(tracker=tracker, problem=tr("no answer within {n} s (deadlines.tracker)", n=f"{deadline:g}"))
    try:
        answer = read_object(folder / ANSWER)
    except (OSError, ValueError):
        return Sent(tracker=tracker, problem=_last_words(folder, child.returncode))
    problem = answer.get("problem", "")
    return Sent(
        tracker=tracker,
        where=shorten(str(answer.get("where", "")), _MAX_REASON),
        problem=shorten(str(problem), _MAX_REASON),
    )


def _last_words(folder: Path, code: int) -> str:
    lines: list[str] = []
    with suppress(OSError, ValueError):
        lines = read_text(folder / LOG).strip().splitlines()
    return tr("its process ended: {text}", text=shorten(lines[-1], _MAX_REASON) if lines else f"exit code {code}")


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the process and everything that it started; a helper of a tracker may outlive it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
