"""All logs at once: files to parts, parts to processes, results merged in the order of the files.

A part of a file does not know how many lines are before it, so places are completed when parts are merged. Merging in
order also makes the result independent of the number of processes.

An interrupt ends the parts that are under way; what they have found counts.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.triage.groups import Groups
from harness.triage.scan import ScanResult, scan_part
from harness.triage.shapes import LogFields, detect, read_object
from harness.triage.sources import PART, LogFile, Notes, Part, count_lines, open_log, parts_of, read_part

__all__ = ["find_logs", "inspect_logs", "scan_logs"]

SAMPLED = 200
"""Records that tell a file's fields."""
SMALL = 32 * 2**20
"""Bytes up to which one process does it all: others would take longer to start."""
AHEAD = 4
"""Parts a process that wait for their turn to be merged."""
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".log", ".txt", ".gz", ".zst")
Progress = Callable[[int, int, int], None]


def find_logs(names: Sequence[str]) -> list[Path]:
    """The files that are meant: files as given, of folders those with a suffix of logs, without links out of them.

    Raises:
        UsageError: one is not there, or a folder holds no log.
    """
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            root = path.resolve()
            inside = [p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix.lower() in SUFFIXES]
            inside = [p for p in inside if p.resolve().is_relative_to(root)]
            if not inside:
                raise UsageError(f"{name}: holds no log ({', '.join(SUFFIXES)})")
            paths += inside
        elif path.exists():
            paths.append(path)
        else:
            raise UsageError(f"{name}: is not there; give log files or folders")
    return list(dict.fromkeys(paths))


def inspect_logs(
    paths: Sequence[Path], note: Callable[[str], None], *, prompt: str = "", response: str = "", finish: str = ""
) -> list[tuple[LogFile, LogFields]]:
    """What each file is, and where its prompts and answers are.

    Args:
        paths: the files.
        note: told why a file is left out.
        prompt: field of the prompt; empty: detected, as the next ones.
        response: field of the answer.
        finish: field that says how the answer ended.

    Raises:
        UsageError: no file can be used; the reason of the only or the first one.
    """
    usable: list[tuple[LogFile, LogFields]] = []
    first: UsageError | None = None
    for path in paths:
        try:
            file = open_log(path)
            usable.append((file, detect(_sample(file), str(path), prompt, response, finish)))
        except UsageError as error:
            first = first or error
            if len(paths) > 1:
                note(f"left out: {error}")
    if not usable:
        raise first or UsageError("no log to read; give log files or folders")
    return usable


def scan_logs(
    logs: Sequence[tuple[LogFile, LogFields]],
    *,
    per_group: int,
    redacted: bool,
    workers: int,
    progress: Progress = lambda *_: None,
    part_size: int = PART,
    small: int = SMALL,
) -> ScanResult:
    """Find the repeaters of all logs; an interrupt ends it early, with ``finished`` false.

    Args:
        logs: from :func:`inspect_logs`.
        per_group: examples that are kept of each group.
        redacted: whether personal data and keys are replaced.
        workers: maximum of processes.
        progress: told bytes read, bytes in all, and repeaters.
        part_size: bytes of a file that one process takes at a time.
        small: bytes of all logs up to which one process does it all.
    """
    parts = [(part, fields) for file, fields in logs for part in parts_of(file, part_size)]
    options: dict[str, Any] = {"per_group": per_group, "redacted": redacted}
    merger = _Merger(per_group, sum(file.size for file, _ in logs), progress)
    if min(workers, len(parts)) < 2 or merger.total <= small:
        for part, fields in parts:
            merger.add(part, scan_part(part, fields, **options))
            if not merger.found.finished:
                break
        return merger.found
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(min(workers, len(parts)), context, _begin, (stop,)) as pool:
        waiting: deque[tuple[Part, Future[ScanResult]]] = deque()
        following = iter(parts)

        def submit(count: int) -> None:
            for part, fields in islice(following, count):
                waiting.append((part, pool.submit(_scan, part, fields, options)))

        try:
            submit(AHEAD * workers)
            while waiting:
                part, future = waiting[0]
                merger.add(part, future.result())
                waiting.popleft()
                submit(1)
        except KeyboardInterrupt:
            # The terminal sends it once for each process, and the parts end after a batch.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                stop.set()
                for part, future in waiting:
                    if not future.cancel():
                        merger.add(part, future.result())
                merger.found.finished = False
            finally:
                signal.signal(signal.SIGINT, before)
    return merger.found


class _Merger:
    """The result so far, and the number of lines before each part."""

    def __init__(self, per_group: int, total: int, progress: Progress) -> None:
        self.found = ScanResult(groups=Groups(per_group))
        self.total = total
        self._progress = progress
        self._done = 0
        self._base: dict[Path, int] = {}

    def add(self, part: Part, found: ScanResult) -> None:
        base = self._base.get(part.file.path, 0)
        lines = found.lines
        if not found.finished and part.end is not None and part.file.kind == "lines":
            lines = count_lines(part)
        self._base[part.file.path] = base + lines
        self.found.merge(found, base)
        self._done += part.size
        self._progress(min(self._done, self.total), self.total, self.found.repeaters)


_stop: Any = None


def _begin(stop: Any) -> None:
    """Set up a process: the interrupt is for the one that gives out the work."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _scan(part: Part, fields: LogFields, options: Mapping[str, Any]) -> ScanResult:
    return scan_part(part, fields, stop=_stop.is_set, **options)


def _sample(file: LogFile) -> list[Any]:
    first = Part(file=file, start=0, end=1 if file.kind == "parquet" else None)
    records = []
    with closing(read_part(first, Notes())) as rows:
        for _, raw in islice(rows, SAMPLED):
            with suppress(ValueError):
                records.append(read_object(raw) if isinstance(raw, bytes) else raw)
    return [record for record in records if isinstance(record, dict)]
