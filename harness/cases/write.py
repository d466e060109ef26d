"""Writes cases into a case file, for tools that find bad cases: JSON, a list of records.

What is written can be read: the text passes the reader's own checks first, so no tool leaves a folder that the next run
refuses. A record holds only what differs from the defaults, so that project settings and case.toml stay in force. A
derived id is not written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from harness.cases.decoding import Decoding
from harness.cases.identity import derive_name
from harness.cases.model import Case, Message, Thresholds
from harness.cases.problems import Problems, show
from harness.cases.record import CaseRecord, Defaults, read_case
from harness.cases.strictjson import parse
from harness.errors import StoreError
from harness.safe.files import new_folder, write_text

__all__ = ["cases_text", "write_cases"]


def write_cases(path: Path, cases: Iterable[Case]) -> Path:
    """Write ``cases`` to ``path`` (``<folder>/test.json``), whole or not at all; returns ``path``.

    A folder that is not there appears with its file, so that a command that could not write it can be called again.

    The folder that ``path`` lies in names the cases when they are read again; their present ids do not matter.

    Raises:
        CaseFileError: no cases, two of one id, or one that no case file can hold; nothing was written.
        StoreError: the file could not be written.
    """
    text = cases_text(path, cases)
    if path.parent.exists():
        return write_text(path, text)
    try:
        with new_folder(path.parent) as folder:
            write_text(folder / path.name, text)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; free space or fix its rights") from error
    return path


def cases_text(path: Path, cases: Iterable[Case]) -> str:
    """What :func:`write_cases` writes to ``path``; errors likewise."""
    chosen = tuple(cases)
    problems = Problems()
    if not chosen:
        problems.add(show(path), "would hold no case; give at least one")
    records = [_record(case) for case in chosen]
    owners: dict[str, int] = {}
    for number, (case, record) in enumerate(zip(chosen, records, strict=True), 1):
        place = f"{show(path)}, record {number}"
        name = _name(case)
        if owners.setdefault(name, number) != number:
            problems.add(place, f"would have the id {name!r} of record {owners[name]}; give each case its own")
        again = read_case(CaseRecord(place, parse(json.dumps(record))), case.folder, Defaults(), problems)
        if again is not None and again != case:
            problems.add(place, "would not read as the case that it is; fix the case, e.g. its tags or its id")
    problems.check()
    return json.dumps(records, ensure_ascii=False, indent=2) + "\n"


def _name(case: Case) -> str:
    return case.id.removeprefix(f"{case.folder}/")


def _record(case: Case) -> dict[str, object]:
    """The case as a record, in the order in which a person reads it."""
    record: dict[str, object] = {}
    if _name(case) != derive_name(case.messages):
        record["id"] = _name(case)
    match case.messages:
        case (Message("user", text),):
            record["text"] = text
        case (Message("system", system), Message("user", text)):
            record |= {"system": system, "text": text}
        case turns:
            record["messages"] = [{"role": turn.role, "content": turn.content} for turn in turns]
    if case.standard_answer is not None:
        record["standard_answer"] = case.standard_answer
    lists = ("tags", "must_include", "must_not_include", "accepted_answers", "rejected_answers")
    plain = {name: getattr(case, name) for name in ("role", *lists, "skip", "xfail", "weight", "source")}
    defaults = {"role": "fix", **dict.fromkeys(lists, ()), "skip": "", "xfail": "", "weight": 1.0, "source": ""}
    record |= {n: list(v) if isinstance(v, tuple) else v for n, v in plain.items() if v != defaults[n]}
    if decoding := _difference(case.decoding, Decoding()):
        record["decoding"] = decoding
    if thresholds := _difference(case.thresholds, Thresholds()):
        record["thresholds"] = thresholds
    if case.chat_template_kwargs:
        record["chat_template_kwargs"] = dict(case.chat_template_kwargs)
    return record


def _difference(value: Decoding | Thresholds, default: Decoding | Thresholds) -> dict[str, object]:
    names = [f.name for f in dataclasses.fields(value)]
    changed = {n: getattr(value, n) for n in names if getattr(value, n) != getattr(default, n)}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in changed.items()}
