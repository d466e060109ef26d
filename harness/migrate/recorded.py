"""Old answers as a recorded run: matched to the project's cases, judged as new ones are, and marked as imported.

A row belongs to the case that it names, or else to the one whose prompt it has, white space apart. An imported answer
has no key of a generation, so no run ever takes it for one. The run is of a kind that no gate, blessing or training
looks at. How an answer ended is unknown unless its file says so; rules that ask for it then judge by the text alone.

Several files make one run together. Where a case was answered by a version in several of them, the newest file's
answers are in the last run, and the older ones make runs before it. Different answers of one file are samples.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cases.folder import natural_key
from harness.cases.identity import derive_name
from harness.cases.model import Case, Message
from harness.cases.suite import case_digest
from harness.engines.base import FinishReason
from harness.errors import HarnessError, UsageError
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.judging.verdict import combine, judge, skipped
from harness.metrics import score
from harness.migrate.answers import AnswerFile, OldAnswer
from harness.project.manifest import Manifest, as_name
from harness.project.settings import Settings
from harness.runs.revision import git_revision
from harness.safe.processes import process_facts
from harness.safe.read import read_object
from harness.store import IMPORTED, Run, Store
from harness.suite.baseline import write_baseline

__all__ = [
    "Matched", "Round", "cases_of", "check_baseline", "match", "name_versions", "record_round", "recorded_before",
    "write_imported_baseline",
]  # fmt: skip

_MAX_NAMED = 5
_DATE = re.compile(r"(20\d\d)[-_.]?(\d\d)[-_.]?(\d\d)(?:[-_T]?(\d{2})[-_:.]?(\d{2}))?")
_CHECKPOINT = re.compile(r"checkpoint-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Answers that make one run: of each case and version those of one file."""

    answers: Mapping[tuple[str, str], tuple[OldAnswer, ...]]
    """By case id and version; several are samples."""
    files: tuple[AnswerFile, ...]
    """Those that the answers come from."""
    cases: Mapping[str, Case]

    @property
    def versions(self) -> tuple[str, ...]:
        """Names of the versions that answered."""
        return tuple(dict.fromkeys(name for _, name in self.answers))

    @property
    def digest(self) -> str:
        """sha256 over the cases' digests and the answers: the same import twice is one run."""
        parts = [
            [case_digest(self.cases[case]), name, [[a.response, a.finish_reason] for a in answers]]
            for (case, name), answers in sorted(self.answers.items())
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Old answers and the cases that they belong to."""

    rounds: tuple[Round, ...]
    """Oldest first."""
    unmatched: tuple[OldAnswer, ...]
    """Answers to prompts of no case."""
    notes: tuple[str, ...] = field(default=())
    """Rows of which it is not clear to which case they belong."""


# -- versions ----------------------------------------------------------------------------------------------------------


def name_versions(written: Iterable[str], manifest: Manifest | None = None) -> dict[str, str]:
    """Names of versions by what files call them: a name or path in the manifest, or the last part of a path.

    Args:
        written: names and paths as files have them; an empty one is the model as shipped.
        manifest: versions that are known.
    """
    known = dict(manifest.adapters) if manifest is not None else {}
    shipped = [a.name for a in known.values() if a.path is None and a.on_top_of is None]
    paths = {str(a.path): a.name for a in known.values() if a.path is not None}
    models = {m.path.rstrip("/") for m in manifest.models.values()} if manifest is not None else set()
    names: dict[str, str] = {}
    for text in dict.fromkeys(written):
        bare = text.rstrip("/\\")
        if bare in known:
            names[text] = bare
        elif bare in paths:
            names[text] = paths[bare]
        elif not bare or bare in models:
            names[text] = shipped[0] if len(shipped) == 1 else "base"
        else:
            parts = [p for p in re.split(r"[\\/]+", bare) if p not in ("", ".", "..")]
            last = parts[-1] if parts else bare
            if _CHECKPOINT.fullmatch(last) and len(parts) > 1:
                last = f"{parts[-2]}-{last}"
            name = as_name(last)
            # What is called base is the model as shipped, and never an adapter.
            taken = {"base", *names.values()}
            if name in taken and len(parts) > 1:
                name = as_name("-".join(parts[-2:]))
            number = 2
            while name in taken:
                name, number = as_name(f"{last[:50]}-{number}"), number + 1
            names[text] = name
    return names


# -- cases -------------------------------------------------------------------------------------------------------------


def match(
    files: Sequence[AnswerFile],
    cases: Sequence[Case],
    versions: Callable[[AnswerFile, OldAnswer], str],
    folders: Mapping[Path, str] | None = None,
) -> Matched:
    """Find the case of each answer.

    Args:
        files: of answers.
        cases: the project's.
        versions: the version that gave an answer.
        folders: the case folder that a file lay beside, where two cases have the same prompt.
    """
    by_id = {case.id: case for case in cases}
    by_prompt: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_prompt[_bare(case.prompt)].append(case)
    found: dict[tuple[str, str], list[tuple[AnswerFile, tuple[OldAnswer, ...]]]] = defaultdict(list)
    unmatched: list[OldAnswer] = []
    unclear: list[str] = []
    for file in sorted(files, key=_age):
        own: dict[tuple[str, str], dict[str, OldAnswer]] = defaultdict(dict)
        for answer in file.answers:
            named = [by_id[answer.case_id]] if answer.case_id in by_id else by_prompt.get(_bare(answer.text), [])
            candidates = _narrowed(named, answer, (folders or {}).get(file.path, ""))
            if not candidates:
                unmatched.append(answer)
            elif len(candidates) > 1:
                unclear.append(f"{answer.place}: {', '.join(c.id for c in candidates[:3])} have this prompt")
            else:
                # The same answer twice says nothing more.
                own[candidates[0].id, versions(file, answer)].setdefault(answer.response, answer)
        for key, answers in own.items():
            found[key].append((file, tuple(answers.values())))
    if len(unclear) > _MAX_NAMED:
        unclear[_MAX_NAMED:] = [f"{len(unclear) - _MAX_NAMED} more rows like these"]
    return Matched(rounds=tuple(_rounds(found, by_id)), unmatched=tuple(unmatched), notes=tuple(unclear))


def cases_of(answers: Iterable[OldAnswer], folder: str) -> tuple[Case, ...]:
    """A case for each prompt of the answers, in a case folder of that name."""
    made: dict[tuple[Message, ...], Case] = {}
    for answer in answers:
        if not answer.text.strip():
            continue
        system = (Message("system", answer.system),) if answer.system else ()
        messages = (*system, Message("user", answer.text))
        case = Case(
            id=f"{folder}/{derive_name(messages)}", folder=folder, messages=messages,
            standard_answer=answer.standard_answer, source=answer.place,
        )  # fmt: skip
        if messages not in made or (made[messages].standard_answer is None and answer.standard_answer is not None):
            made[messages] = case
    return tuple(made.values())


def _narrowed(candidates: Sequence[Case], answer: OldAnswer, folder: str) -> Sequence[Case]:
    """Of several cases with one prompt those of the file's folder, or with the row's standard answer."""
    if len(candidates) > 1:
        candidates = [case for case in candidates if case.folder == folder] or candidates
    if len(candidates) > 1 and answer.standard_answer is not None:
        candidates = [case for case in candidates if case.standard_answer == answer.standard_answer] or candidates
    return candidates


def _bare(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _age(file: AnswerFile) -> tuple[str, float, str]:
    """When a file was written: the date in its name, or else that of the file system."""
    try:
        changed = file.path.stat().st_mtime
    except OSError:
        changed = 0.0
    match = _DATE.search(file.name)
    day = "".join(part or "" for part in match.groups()) if match else time.strftime("%Y%m%d", time.localtime(changed))
    return day, changed, str(file.path)


def _rounds(
    found: Mapping[tuple[str, str], Sequence[tuple[AnswerFile, tuple[OldAnswer, ...]]]], cases: Mapping[str, Case]
) -> Iterable[Round]:
    """The newest answers last."""
    most = max((len(answers) for answers in found.values()), default=0)
    order = {case: n for n, case in enumerate(cases)}
    keys = sorted(found, key=lambda key: order[key[0]])
    for back in range(most, 0, -1):
        chosen = {key: found[key][-back] for key in keys if len(found[key]) >= back}
        files = {file.path: file for file, _ in chosen.values()}
        yield Round(
            answers={key: answers for key, (_, answers) in chosen.items()}, files=tuple(files.values()),
            cases={case: cases[case] for case, _ in chosen},
        )  # fmt: skip


# -- runs --------------------------------------------------------------------------------------------------------------


def recorded_before(store: Store, answers: Round) -> Run | None:
    """The finished run of exactly these answers to these cases, where there is one."""
    digest = answers.digest
    runs = store.runs(finished=True, kinds=(IMPORTED,), limit=100_000)
    return next((run for run in runs if run.facts.get("digest") == digest), None)


def record_round(
    store: Store,
    settings: Settings,
    answers: Round,
    *,
    order: Sequence[str] = (),
    command: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Run:
    """Judge the answers and record them as one run.

    Args:
        store: of the project.
        settings: the project's.
        answers: by case and version.
        order: versions in the order to show; others come after them, by name.
        command: that was typed.
        progress: is told how many results of how many are there.

    Raises:
        StoreError: the run cannot be recorded.
    """
    first = {name: n for n, name in enumerate(order)}
    versions = sorted(
        answers.versions, key=lambda name: (first.get(name, len(first)), name != "base", natural_key(name))
    )
    facts: dict[str, Any] = {
        "kind": IMPORTED,
        "adapters": versions,
        "cases": len(answers.cases),
        "files": [{"name": file.name, "sha256": file.sha256} for file in answers.files],
        "digest": answers.digest,
        "complete": True,
        "command": list(command),
        "process": process_facts(),
        **({"commit": revision} if (revision := git_revision(settings.root)) else {}),
        **({"tags": list(settings.run_tags)} if settings.run_tags else {}),
    }
    began = time.monotonic()
    run = store.begin_run(len(answers.answers), facts)
    done = False
    try:
        for position, (case_id, name) in enumerate(answers.answers):
            old = answers.answers[case_id, name]
            store.save_result(run.id, position, _judged(answers.cases[case_id], name, old))
            progress(position + 1, run.planned)
        done = True
    finally:
        run = store.finish_run(
            run.id, "finished" if done else "interrupted", {"seconds": round(time.monotonic() - began, 3)}
        )
    return run


def _judged(case: Case, version: str, answers: Sequence[OldAnswer]) -> CaseResult:
    if case.skip:
        return CaseResult(case, version, (), skipped(case))
    attempts = tuple(_attempt(case, n, answer.response, answer.finish_reason) for n, answer in enumerate(answers))
    # Without sampling a case has one answer; where a file has several, none of them may fail.
    need = min(case.decoding.min_pass, len(attempts)) if case.decoding.method == "sample" else len(attempts)
    return CaseResult(case, version, attempts, combine([a.verdict for a in attempts], need))


def _attempt(case: Case, sample: int, answer: str, finish_reason: FinishReason | None) -> Attempt:
    try:
        scores = score(answer, case)
        verdict = judge(case, scores, finish_reason)
    except HarnessError as error:
        scores, verdict = None, Verdict(Status.ERROR, (Reason(rule="metric", text=str(error)),))
    return Attempt(sample=sample, answer=answer, finish_reason=finish_reason, scores=scores, verdict=verdict)


def write_imported_baseline(store: Store, run: Run, version: str, path: Path) -> Path:
    """Write a version's results in an imported run as a baseline that says where its answers come from.

    Raises:
        UsageError: a baseline of an engine's answers has the name; it is never replaced by an imported one.
    """
    check_baseline(path)
    results = store.results(run.id, adapter=version)
    return write_baseline(path, version, results, {"run": run.id, "engine": None, "imported": list(run.sources)})


def check_baseline(path: Path) -> None:
    """Pass when nothing is at ``path``, or a baseline of imported answers.

    Raises:
        UsageError: something else is.
    """
    if not path.exists():
        return
    try:
        imported = bool(read_object(path).get("imported"))
    except (OSError, ValueError):
        imported = False
    if not imported:
        raise UsageError(f"{path} is no baseline of imported answers; move it away, or leave --baseline out")
