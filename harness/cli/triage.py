"""``harness triage LOGS``: find repeaters in production logs and write them as a case folder."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings, table, warn
from harness.errors import CaseFileError, UsageError
from harness.language import tr
from harness.safe.escape import for_terminal, shorten

if TYPE_CHECKING:
    from harness.cases import Case
    from harness.project.settings import Settings
    from harness.triage.groups import Group
    from harness.triage.scan import ScanResult
    from harness.triage.shapes import LogFields
    from harness.triage.sources import LogFile

__all__ = ["add_parser", "run"]

_INTERRUPTED = 130
_SHOWN = 20
"""Groups in the table."""
_NAME = re.compile(r"[\w][\w.-]{0,99}")
_EVERY = 5.0
"""Seconds between lines of progress."""


def add_parser(subparsers: Any) -> None:
    """``harness triage LOGS... [--as NAME] [--prompt FIELD] [--response FIELD] ...``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "triage",
        help="find repeaters in production logs and write a case folder",
        description="Logs: JSON lines, JSON, CSV, Parquet, or text with JSON; plain, .gz or .zst; files or folders. "
        "Near-duplicate prompts are one group, ranked by frequency and severity.",
        **examples(
            "harness triage logs/",
            "harness triage chat.jsonl.gz --as november --prompt request.prompt --response output",
        ),
    )
    parser.add_argument("logs", nargs="+", metavar="LOGS", help="log files, or folders of them")
    parser.add_argument("--as", dest="name", default="triage", metavar="NAME", help="case folder; default: triage")
    parser.add_argument("--prompt", default="", metavar="FIELD", help="field of the prompt: a.b.0.c; default: detected")
    parser.add_argument("--response", default="", metavar="FIELD", help="field of the answer; default: detected")
    parser.add_argument("--finish-reason", default="", metavar="FIELD", help="field that says how the answer ended")
    parser.add_argument("--per-group", type=int, default=3, metavar="N", help="maximum of cases of a group; default: 3")
    parser.add_argument("--top", type=int, default=50, metavar="N", help="groups that become cases; default: 50")
    parser.add_argument("--no-redact", action="store_true", help="keep addresses, numbers and keys as they are")
    parser.add_argument("--dry-run", action="store_true", help="show the groups and write nothing")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes; default: one for each core")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Scan, show the ranking, write the folder; 130 with what was found when interrupted.

    Raises:
        UsageError: no usable log, or the case folder exists.
    """
    from harness.triage.cases import known_prompts, new_cases, write_groups
    from harness.triage.logs import find_logs, inspect_logs, scan_logs

    settings = project_settings()
    folder = settings.badcases / args.name
    _check(args, folder)
    known = known_prompts(_suite(settings))
    logs = inspect_logs(
        find_logs(args.logs),
        lambda text: warn(for_terminal(text, keep_newlines=False)),
        prompt=args.prompt,
        response=args.response,
        finish=args.finish_reason,
    )
    for text in _mapping(logs):
        warn(for_terminal(text, keep_newlines=False))
    found = scan_logs(
        logs,
        per_group=args.per_group,
        redacted=not args.no_redact,
        workers=args.workers or os.cpu_count() or 1,
        progress=_Progress(),
    )
    groups = found.groups.ranked()
    cases = new_cases(groups[: args.top], args.name, known)
    path = None if args.dry_run or not cases else write_groups(folder, cases)
    if args.json:
        echo_json(_data(logs, found, groups, known, path, cases))
    else:
        _show(groups, known)
        for text in _outcome(args, found, groups, cases, path):
            echo(for_terminal(text, keep_newlines=False))
    return 0 if found.finished else _INTERRUPTED


def _check(args: argparse.Namespace, folder: Path) -> None:
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"--as {args.name!r}: use letters, digits, '.', '_' and '-', a letter or digit first")
    for option, value, least in (
        ("--per-group", args.per_group, 1),
        ("--top", args.top, 1),
        ("--workers", args.workers, 0),
    ):
        if value < least:
            raise UsageError(f"{option} {value}: expected {least} or more")
    # Before the logs are read: hours may lie between.
    if not args.dry_run and os.path.lexists(folder):
        raise UsageError(f"{folder} exists; give another name with --as, or move it away")


def _suite(settings: Settings) -> tuple[Case, ...]:
    from harness.project.suite import project_cases

    if not settings.badcases.is_dir():
        return ()
    try:
        return project_cases(settings)
    except CaseFileError as error:
        warn(for_terminal(f"the suite cannot be read, so known prompts are not left out: {error}", keep_newlines=False))
        return ()


def _mapping(logs: Sequence[tuple[LogFile, LogFields]]) -> list[str]:
    """A line for each kind of file and its fields."""
    kinds: dict[tuple[str, LogFields], list[str]] = {}
    for file, fields in logs:
        kinds.setdefault((file.kind, fields), []).append(file.path.name)
    lines = []
    for (kind, fields), names in kinds.items():
        which = names[0] if len(names) == 1 else tr("{n} files", n=len(names))
        finish = fields.finish or tr("unknown")
        lines.append(
            tr(
                "{which} ({kind}): prompt = {prompt}, answer = {response}, finish reason = {finish}",
                which=which, kind=kind, prompt=fields.prompt, response=fields.response, finish=finish,
            )
        )  # fmt: skip
    return lines


class _Progress:
    """A line of progress every few seconds, on standard error."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY

    def __call__(self, done: int, total: int, repeaters: int) -> None:
        if time.monotonic() >= self._next and done < total:
            self._next = time.monotonic() + _EVERY
            sys.stderr.write(
                tr("{done} of {total} MB, {n} repeaters", done=done // 10**6, total=total // 10**6, n=repeaters) + "\n"
            )


def _show(groups: Sequence[Group], known: dict[str, str]) -> None:
    if not groups:
        return
    rows = [
        [
            number,
            shorten(_line(group.examples[0].prompt), 60) if group.examples else shorten(group.form, 60),
            _state(group, known),
            group.records,
            f"{group.severity / group.records:.2f}",
            ", ".join(rule for rule, _ in group.rules.most_common(2)),
        ]
        for number, group in enumerate(groups[:_SHOWN], 1)
    ]
    echo(table([tr("rank"), tr("prompt"), tr("source"), tr("answers"), tr("severity"), tr("signs")], rows))
    if len(groups) > _SHOWN:
        echo(tr("{n} groups more; --json has all", n=len(groups) - _SHOWN))


def _state(group: Group, known: dict[str, str]) -> str:
    first = group.examples[0]
    case = known.get(" ".join(first.prompt.split()))
    return tr("case {id}", id=case) if case else f"{Path(first.file).name}:{first.place}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _outcome(
    args: argparse.Namespace, found: ScanResult, groups: Sequence[Group], cases: Sequence[Case], path: Path | None
) -> list[str]:
    """What was counted and written, a line each."""
    share = found.repeaters / found.answers if found.answers else 0.0
    lines = [
        tr(
            "{records} records, {answers} answers, {repeaters} repeaters ({share}) in {groups} groups",
            records=f"{found.records:,}", answers=f"{found.answers:,}", repeaters=f"{found.repeaters:,}",
            share=f"{100 * share:.3g} %", groups=f"{len(groups):,}",
        )
    ]  # fmt: skip
    lines += _left_out(found)
    if found.redacted:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.redacted.items()))
        lines.append(tr("redacted: {kinds}; names are not, so read the cases before you share them", kinds=kinds))
    if not found.finished:
        lines.append(tr("interrupted: the rest of the logs was not read"))
    if path is not None:
        lines.append(tr("written: {path}, {n} cases", path=path, n=len(cases)))
        if len(groups) > args.top:
            lines.append(tr("{n} groups are not written; --top has the limit", n=len(groups) - args.top))
        lines.append(tr("next: pytest badcases -k {name}", name=args.name))
    elif groups and not cases:
        lines.append(tr("nothing written: the suite has all these prompts"))
    elif cases:
        lines.append(tr("nothing written (--dry-run): {n} cases", n=len(cases)))
    return lines


def _left_out(found: ScanResult) -> list[str]:
    """What was not judged, or only in part, by name."""
    counted = (
        (found.without_answer, tr("records without the answer's field")),
        (found.empty, tr("empty answers")),
        (found.too_long, tr("records over the limit of size, passed over")),
        (found.long_answers, tr("long answers, judged by their beginning and end")),
        (found.groups.dropped_groups, tr("groups of the lowest rank that were not kept")),
        *((count, tr("repeaters without a case: {why}", why=why)) for why, count in sorted(found.unusable.items())),
    )
    lines = [f"{count:,} {text}" for count, text in counted if count]
    if found.broken:
        lines.append(tr("{n} broken records, the first:", n=f"{found.broken:,}"))
        lines += [f"  {file}:{place}: {why}" for file, place, why in found.broken_at]
    return lines


def _data(
    logs: Sequence[tuple[LogFile, LogFields]],
    found: ScanResult,
    groups: Sequence[Group],
    known: dict[str, str],
    path: Path | None,
    cases: Sequence[Case],
) -> dict[str, Any]:
    counts = {
        name: getattr(found, name)
        for name in (
            "records", "answers", "characters", "suspects", "repeaters", "empty", "cut_off", "without_answer",
            "long_answers", "too_long", "broken",
        )
    }  # fmt: skip
    return {
        "finished": found.finished,
        "files": [
            {
                "path": file.path,
                "kind": file.kind,
                "compression": file.compression,
                "bytes": file.size,
                "fields": fields,
            }
            for file, fields in logs
        ],
        "counts": counts,
        "broken": [{"file": file, "place": place, "reason": why} for file, place, why in found.broken_at],
        "repeaters_without_case": dict(found.unusable),
        "redacted": dict(found.redacted),
        "dropped_groups": found.groups.dropped_groups,
        "groups": [
            {
                "rank": rank,
                "answers": group.records,
                "severity": group.severity / group.records,
                "worst": group.worst,
                "signs": dict(group.rules),
                "known_case": known.get(" ".join(group.examples[0].prompt.split())),
                "examples": [
                    {"source": f"{e.file}:{e.place}", "prompt": e.prompt, "answer": e.answer, "severity": e.severity}
                    for e in group.examples
                ],
            }
            for rank, group in enumerate(groups, 1)
        ],
        "written": path,
        "cases": len(cases) if path else 0,
    }
