"""Files of old answers: workbooks, CSV and JSON with a row for each answer, as people's own scripts write them.

Columns are known by their names, in English and in Chinese, whatever their case; the first four of a report's workbook
are among them. Every sheet with answers is read. Where no column names the adapter and several sheets hold answers, a
sheet's name does. A row is taken as it was typed or named with the reason why not.

Not supported: old .xls files, and answers in several columns of one row.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.cases.formats import MAX_FILE_SIZE, decode_text, read_bytes
from harness.cases.problems import Problems, show
from harness.cases.record import MAX_RECORDS
from harness.cases.strictjson import MalformedJSON, Refused, parse
from harness.cases.tables import csv_rows, read_sheets
from harness.engines.base import FinishReason
from harness.errors import UsageError

__all__ = ["SUFFIXES", "AnswerFile", "OldAnswer", "column_roles", "read_answers"]

SUFFIXES = (".xlsx", ".csv", ".jsonl", ".json")
Role = Literal["adapter", "text", "response", "standard_answer", "system", "finish_reason", "case_id"]
_NAMES: Mapping[Role, tuple[str, ...]] = {
    "adapter": (
        "adapter_name_or_path", "adapter", "adapter_name", "adapter_path", "lora_path", "lora", "version",
        "model_version", "适配器", "适配器路径", "适配器名称", "版本", "模型版本",
    ),
    "text": (
        "text", "prompt", "question", "query", "instruction", "input", "user", "问题", "提示", "提示词", "输入", "文本",
        "题目", "用户输入", "指令",
    ),
    "response": (
        "response", "model_response", "model_output", "model_answer", "generated_text", "generation", "prediction",
        "predict", "completion", "output", "reply", "回答", "模型回答", "模型输出", "输出", "回复", "模型回复", "响应",
        "生成结果", "预测", "推理结果",
    ),
    "standard_answer": (
        "standard_answer", "reference", "reference_answer", "expected", "expected_answer", "label", "gold",
        "ground_truth", "target", "标准答案", "参考答案", "期望答案", "正确答案", "标准回答",
    ),
    "system": ("system", "system_prompt", "系统提示词", "系统提示"),
    "finish_reason": ("finish_reason", "stop_reason", "结束原因"),
    "case_id": ("case_id",),
}  # fmt: skip
"""What columns are called, the usual name first."""
_EITHER = ("answer", "答案")
"""Called so, a column is the response beside a standard answer, and the standard answer beside a response."""
_ENDS: Mapping[str, FinishReason] = {
    "stop": "stop", "end_turn": "stop", "eos": "stop", "length": "length", "max_tokens": "length",
}  # fmt: skip
_MAX_NAMED = 5
"""Rows of one kind that are named."""
Rows = Iterable[tuple[int, Sequence[object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OldAnswer:
    """One row."""

    place: str
    """File and row, for people."""
    adapter: str
    """As the file writes it, a path or a name; empty where no column or sheet says it."""
    text: str
    response: str
    standard_answer: str | None = None
    system: str | None = None
    finish_reason: FinishReason | None = None
    """None: nobody recorded how it ended."""
    case_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFile:
    """One file, read."""

    path: Path
    name: str
    """What people are told of it: its own name, or its path in the folder that was read."""
    sha256: str
    answers: tuple[OldAnswer, ...]
    names_adapters: bool
    """Whether its rows or sheets say which adapter answered."""
    notes: tuple[str, ...] = ()
    """Rows and columns that were not taken, for people."""


def read_answers(path: Path, *, name: str = "", prompt: str = "", response: str = "") -> AnswerFile:
    """The answers in a file.

    Args:
        path: a file with one of :data:`SUFFIXES`.
        name: what to call it; its own name by default.
        prompt: column of the prompt; empty: known by its name.
        response: column of the answer; empty: likewise.

    Raises:
        CaseFileError: it cannot be read.
        UsageError: it has no column of prompts or of answers; names those that it has.
    """
    problems = Problems()
    data = read_bytes(path, problems)
    if path.suffix.lower() not in SUFFIXES:
        problems.add(show(path), f"results end with {', '.join(SUFFIXES)}; save it as one of these")
    problems.check()
    assert data is not None
    sheets = [(title, unit, list(rows)) for title, unit, rows in _sheets(path, data, problems)]
    problems.check()
    filled = [sheet for sheet in sheets if sheet[2]]
    if len(filled) == 1:
        # A lone sheet's name is what the program that wrote it chose.
        sheets = [("", *filled[0][1:])]
    reading = _Reading(path, name or path.name, prompt, response)
    for title, unit, rows in sheets:
        reading.sheet(title, unit, rows)
    return reading.file(hashlib.sha256(data).hexdigest())


def column_roles(names: Sequence[object], prompt: str = "", response: str = "") -> dict[int, Role]:
    """What each column holds, by its number; columns that are not known are left out.

    Args:
        names: of the columns.
        prompt: the column of the prompt, where it is given.
        response: the column of the answer, likewise.
    """
    plain = [_plain(name) if isinstance(name, str) else "" for name in names]
    roles: dict[int, Role] = {}
    given: tuple[tuple[str, Role], ...] = ((prompt, "text"), (response, "response"))
    for name, role in given:
        if name and _plain(name) in plain:
            roles[plain.index(_plain(name))] = role
    for role, known in _NAMES.items():
        if role not in roles.values():
            at = next((plain.index(name) for name in known if name in plain and plain.index(name) not in roles), None)
            if at is not None:
                roles[at] = role
    at = next((plain.index(name) for name in _EITHER if name in plain and plain.index(name) not in roles), None)
    if at is not None:
        other: tuple[tuple[Role, Role], ...] = (("standard_answer", "response"), ("response", "standard_answer"))
        missing = [role for there, role in other if there in roles.values() and role not in roles.values()]
        if missing:
            roles[at] = missing[0]
    return roles


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", name).strip().casefold())


class _Reading:
    """One file while it is read."""

    def __init__(self, path: Path, name: str, prompt: str, response: str) -> None:
        self._path = path
        self._name = name
        self._given = (prompt, response)
        self._answers: list[OldAnswer] = []
        self._titles: dict[str, bool] = {}
        """Sheets with answers, and whether a column of theirs names the adapter."""
        self._refused: dict[str, list[str]] = {}
        """Rows that are not taken, by reason."""
        self._others: list[tuple[str, list[str]]] = []
        """Sheets without answers, with their columns."""
        self._notes: list[str] = []

    def sheet(self, title: str, unit: str, rows: Rows) -> None:
        numbered = iter(rows)
        first = next(numbered, None)
        if first is None:
            return
        roles = column_roles(first[1], *self._given)
        known = set(roles.values())
        if "response" not in known or not {"text", "case_id"} & known:
            self._others.append((title, [str(c)[:40] for c in first[1] if isinstance(c, str)]))
            return
        self._titles[title] = "adapter" in roles.values()
        unused = [str(c)[:40] for n, c in enumerate(first[1]) if n not in roles and isinstance(c, str) and c.strip()]
        where = f"{self._name}{f', sheet {title}' if title else ''}"
        if unused:
            shown = ", ".join(unused[:12]) + (", ..." if len(unused) > 12 else "")
            self._notes.append(f"{where}: columns that are not used: {shown}")
        for number, cells in numbered:
            if len(self._answers) >= MAX_RECORDS:
                self._notes.append(f"{where}: only the first {MAX_RECORDS:,} rows were read")
                return
            self._row(f"{where}, {unit} {number}", title, roles, cells)

    def _row(self, place: str, title: str, roles: Mapping[int, Role], cells: Sequence[object]) -> None:
        values: dict[Role, str] = {}
        for at, role in roles.items():
            cell = cells[at] if at < len(cells) else None
            if isinstance(cell, str) and _encodable(cell):
                values[role] = cell
            elif cell is not None and role != "finish_reason":
                what = cell.what if isinstance(cell, Refused) else "is no text; format the cell as text"
                self._refuse(f"{role} {what}", place)
                return
        if "response" not in values:
            self._refuse("no answer in the row", place)
            return
        if not values.get("text", "").strip() and not values.get("case_id"):
            self._refuse("no prompt in the row", place)
            return
        self._answers.append(
            OldAnswer(
                place=place,
                adapter=values.get("adapter", "").strip() if self._titles[title] else f"\0{title}",
                text=values.get("text", ""),
                response=values["response"],
                standard_answer=values.get("standard_answer") if values.get("standard_answer", "").strip() else None,
                system=values.get("system") if values.get("system", "").strip() else None,
                finish_reason=_ENDS.get(values.get("finish_reason", "").strip().lower()),
                case_id=values.get("case_id", "").strip(),
            )
        )

    def _refuse(self, why: str, place: str) -> None:
        self._refused.setdefault(why, []).append(place)

    def file(self, sha256: str) -> AnswerFile:
        name = self._name
        if not self._titles:
            seen = "; ".join(", ".join(columns[:12]) for _, columns in self._others) or "it is empty"
            raise UsageError(
                f"{show(self._path)}: no column of prompts with a column of answers; name them with --prompt and "
                f"--response, e.g. text and response; its columns: {seen}"
            )
        notes = [*self._notes]
        notes += [f"{name}: sheet {title} holds no answers" for title, _ in self._others if title]
        shipped = sum(a.adapter == "" for a in self._answers)
        if shipped and all(self._titles.values()):
            notes.append(f"{name}: rows that name no adapter: {shipped}; taken for the model as shipped")
        for why, places in self._refused.items():
            rows = [place.removeprefix(f"{name}, ") for place in places[:_MAX_NAMED]]
            more = f" and {len(places) - _MAX_NAMED:,} more" if len(places) > _MAX_NAMED else ""
            notes.append(f"{name}: {why}: {', '.join(rows)}{more}")
        by_sheet = len(self._titles) > 1
        answers = tuple(_with_adapter(a, by_sheet) for a in self._answers)
        return AnswerFile(
            path=self._path, name=name, sha256=sha256, answers=answers, notes=tuple(notes),
            names_adapters=by_sheet or all(self._titles.values()),
        )  # fmt: skip


def _with_adapter(answer: OldAnswer, by_sheet: bool) -> OldAnswer:
    if not answer.adapter.startswith("\0"):
        return answer
    return replace(answer, adapter=answer.adapter[1:].strip() if by_sheet else "")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _sheets(path: Path, data: bytes, problems: Problems) -> Iterator[tuple[str, str, Rows]]:
    """Title, what a row is called, and the rows, the first with the names of the columns."""
    place = show(path)
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        for title, rows in read_sheets(data, place, problems, MAX_FILE_SIZE):
            yield title, "row", rows
        return
    text = decode_text(data, place, problems)
    if text is None:
        return
    if suffix == ".csv":
        yield "", "line", list(csv_rows(text, place, problems))
        return
    yield "", "record", _records(text, place, problems, lines=suffix == ".jsonl")


def _records(text: str, place: str, problems: Problems, *, lines: bool) -> Rows:
    """Records as rows: the first row holds every name that a record has."""
    records: list[tuple[int, object]] = []
    try:
        if lines:
            records = [(n, parse(line)) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        else:
            value = parse(text)
            if not isinstance(value, list):
                problems.add(place, "expected a list of records, or a record a line in a file that ends with .jsonl")
                return []
            records = list(enumerate(value, 1))
    except MalformedJSON as error:
        problems.add(place, f"not JSON at line {error.line}, column {error.column}: {error}")
        return []
    names = list(dict.fromkeys(key for _, record in records if isinstance(record, dict) for key in record))[:256]
    rows: list[tuple[int, Sequence[object]]] = [(0, names)]
    for number, record in records:
        cells = [record.get(name) if isinstance(record, dict) else None for name in names]
        rows.append((number, [c if c is None or isinstance(c, str) else _no_text(c) for c in cells]))
    return rows


def _no_text(value: object) -> Refused:
    shown = value.what if isinstance(value, Refused) else f"is no text: {json.dumps(value, default=str)[:40]}"
    return Refused(shown)
