"""``harness import RESULTS``: judge answers that were written before, and record them as a run marked as imported."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings, warn
from harness.errors import UsageError
from harness.language import tr
from harness.safe.escape import for_terminal

if TYPE_CHECKING:
    from harness.migrate.answers import AnswerFile, OldAnswer
    from harness.migrate.recorded import Matched
    from harness.project.manifest import Manifest
    from harness.project.settings import Settings

__all__ = ["JudgingProgress", "add_parser", "run"]

_FOLDER = re.compile(r"\w[\w.-]{0,99}")
_EVERY = 5.0
"""Seconds between lines of progress."""
_SHOWN = 5
"""Rows without a case that are named."""


def add_parser(subparsers: Any) -> None:
    """``harness import RESULTS... [--adapter NAME] [--cases FOLDER] [--baseline]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "import",
        help="judge old answers in workbooks, CSV or JSON as a run marked as imported",
        description="A row is an answer: columns adapter_name_or_path, text, response, standard_answer, or what they "
        "are called in English or Chinese. Rows are matched to the project's cases by their prompt, or by a column "
        "case_id. No engine takes imported answers for its own, and no gate passes on them.",
        **examples(
            "harness import result_2024-08-01.xlsx",
            "harness import answers.csv --adapter v3.9 --baseline",
            "harness import old/*.xlsx --cases november",
        ),
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="RESULTS", help="files: .xlsx, .csv, .jsonl, .json")
    parser.add_argument("--adapter", default="", metavar="NAME", help="version that answered, where no column says it")
    parser.add_argument("--cases", default="", metavar="FOLDER", help="make cases of prompts that no case has")
    parser.add_argument(
        "--baseline", action="store_true", help="also write baselines/NAME.json of each version, to compare with"
    )
    parser.add_argument("--prompt", default="", metavar="COLUMN", help="column of the prompt; default: by its name")
    parser.add_argument("--response", default="", metavar="COLUMN", help="column of the answer; default: by its name")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Judge, record and report; 0 whatever the verdicts are, since they are about the past.

    Raises:
        UsageError: a file without answers, or no answer to any case.
    """
    from harness.migrate.answers import read_answers
    from harness.migrate.importing import import_answers
    from harness.project.manifest import check_name, read_manifest
    from harness.store import Store

    settings = project_settings()
    manifest = read_manifest(settings.manifest_path)
    if args.adapter:
        check_name("adapter", args.adapter)
    files = [read_answers(path, prompt=args.prompt, response=args.response) for path in args.files]
    matched, made = _match(args, settings, manifest, files)
    notes = [note for file in files for note in file.notes] + list(matched.notes)
    notes += _unmatched([a.place for a in matched.unmatched], made=made is not None)
    if not matched.rounds:
        for note in notes:
            warn(for_terminal(note, keep_newlines=False))
        raise UsageError("no row answers a case of the project; make cases of them with --cases FOLDER")
    with Store(settings.database) as store:
        done = import_answers(
            store, settings, manifest, matched, command=["harness", *args.words], baselines=args.baseline,
            progress=JudgingProgress(),
        )  # fmt: skip
    if args.json:
        echo_json({
            "runs": [r.id for r in done.runs], "already_imported": [r.id for r in done.known],
            "headline": done.headline, "reports": done.reports, "baselines": done.baselines, "cases": made,
            "notes": notes,
        })  # fmt: skip
        return 0
    for note in notes:
        echo(for_terminal(note, keep_newlines=False))
    if made is not None:
        echo(tr("written  {path}", path=made))
    for text in done.lines():
        echo(for_terminal(text, keep_newlines=False))
    for path in done.baselines:
        hint(tr("compare with: pytest badcases --baseline {path}", path=os.path.relpath(path)))
    return 0


def _match(
    args: argparse.Namespace, settings: Settings, manifest: Manifest, files: Sequence[AnswerFile]
) -> tuple[Matched, Path | None]:
    """The answers with their cases, and the file of the cases that were made of answers."""
    from harness.cases.write import write_cases
    from harness.migrate.recorded import cases_of, check_baseline, match, name_versions
    from harness.project.suite import project_cases

    unnamed = [file.name for file in files if not file.names_adapters]
    if unnamed and not args.adapter:
        raise UsageError(f"{', '.join(unnamed)}: no column says which adapter answered; name it with --adapter NAME")
    written = {a.adapter for file in files if file.names_adapters for a in file.answers}
    if args.adapter and len(written) > 1:
        raise UsageError(f"--adapter {args.adapter}: the files name {len(written)} adapters; leave it out")
    names = name_versions((a.adapter for file in files for a in file.answers), manifest)

    def version(_: AnswerFile, answer: OldAnswer) -> str:
        return args.adapter or names[answer.adapter]

    matched = match(files, project_cases(settings) if _has_folders(settings.badcases) else (), version)
    new = cases_of(matched.unmatched, args.cases) if args.cases else ()
    if not new:
        return matched, None
    folder = _new_folder(args.cases, settings.badcases)
    for name in {args.adapter or n for n in names.values()} if args.baseline else ():
        # Before anything is written.
        check_baseline(settings.root / "baselines" / f"{name}.json")
    made = write_cases(folder / "test.json", new)
    return match(files, project_cases(settings), version), made


def _has_folders(badcases: Path) -> bool:
    """Whether there is a case folder, so that a suite without one is an error only where cases are needed."""
    if not badcases.is_dir():
        return False
    return any(p.is_dir() and not p.name.startswith((".", "__")) for p in badcases.iterdir())


class JudgingProgress:
    """A line every few seconds, on standard error."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next and done < total:
            self._next = time.monotonic() + _EVERY
            warn(tr("{done} of {total} answers judged", done=done, total=total))


def _new_folder(name: str, badcases: Path) -> Path:
    if not _FOLDER.fullmatch(name):
        raise UsageError(f"--cases {name!r}: use letters, digits, '.', '_' and '-', a letter or digit first")
    if os.path.lexists(badcases / name):
        raise UsageError(f"{badcases / name} exists; give another name with --cases, or move it away")
    return badcases / name


def _unmatched(places: Sequence[str], *, made: bool) -> list[str]:
    if not places:
        return []
    shown = ", ".join(places[:_SHOWN]) + (", ..." if len(places) > _SHOWN else "")
    if made:
        return [tr("{n} rows answer no case: {rows}", n=len(places), rows=shown)]
    return [tr("{n} rows answer no case; make cases of them with --cases FOLDER: {rows}", n=len(places), rows=shown)]
