"""Training data in the formats that users have, read record by record into one shape, every record checked.

    alpaca      instruction, input, output | chosen + rejected | output + kto_tag; system, history
    sharegpt    conversations or messages ({from, value} or {role, content}); chosen, rejected as objects; label
    plain       prompt (or question), chosen + rejected (or response_j + response_k), or completion + label
    guanaco     text with "### Human:" and "### Assistant:" (sft)

Files are JSON arrays, JSONL, CSV or Parquet. A dataset_info.json beside a file that names it is read with it.

What LLaMA-Factory would drop, cut or reverse without a message is an error here that names file, record and field (an
even conversation, a liked empty answer, a chosen turn of role user); one message names the first ten. Contradictory
pairs are refused; repeated records are kept, counted and named. Records are never held in memory together. Not
supported: tools, images, and LLaMA-Factory's ``formatting: openai``, which rewrites the system prompt.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness.cases.model import Message
from harness.cases.template import template_kwargs_problems
from harness.errors import DataError
from trainers.dataset_info import Dataset, registered
from trainers.read_files import read_rows

__all__ = ["Source", "TrainingRecord", "read_records"]

_SHOWN = 10
"""Different problems in one message."""
_NAMED = 3
"""Records that are named for one problem."""
_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
}  # fmt: skip
_WORDS = {"true": True, "True": True, "false": False, "False": False}
"""A table has no other way to say it."""
_PROMPT = ("instruction", "prompt", "question")
_CHOSEN = ("chosen", "response_j")
_REJECTED = ("rejected", "response_k")
_ANSWER = ("output", "completion", "response", "answer")
_LABEL = ("label", "kto_tag")
_TURNS = ("conversations", "messages")
_UNSUPPORTED_IN_A_TURN = {
    "tool_calls", "function_call", "tool_call_id", "tools", "functions", "reasoning_content", "reasoning", "thinking",
    "image", "images", "audio", "audios", "video", "videos",
}  # fmt: skip
"""Fields that change what a turn says."""
_TRAINED_ON = {"weight", "loss", "train", "trainable", "mask"}
"""Fields that say whether a turn is learnt; 1 and true are the usual case."""
_KNOWN_OF_A_TURN = {
    f"{name} of a turn" for name in ("role", "from", "content", "value", *_UNSUPPORTED_IN_A_TURN, *_TRAINED_ON)
}
_KNOWN = {
    *_PROMPT, *_CHOSEN, *_REJECTED, *_ANSWER, *_LABEL, *_TURNS,
    "input", "query", "system", "history", "rejected_finished", "fault_at", "chosen_from", "case_id", "origin", "text",
    "chat_template_kwargs",
}  # fmt: skip
_GUANACO = re.compile(r"### ?(Human|Assistant): ?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """One record, whatever format it had."""

    source: str
    """File and record, for messages."""
    messages: tuple[Message, ...]
    """dpo, kto: the conversation before the answer, a user turn last. sft: the whole conversation, an assistant turn
    last."""
    chosen: str = ""
    """dpo: the preferred answer. kto: the answer."""
    rejected: str = ""
    rejected_finished: bool = True
    """False where the record says that the rejected answer was cut off."""
    fault_at: int = 0
    """Characters of the rejected answer that are not unlearned, since its fault comes after them."""
    chosen_from: int = 0
    """Characters of the chosen answer that are not learnt; all of them where only its end is."""
    label: bool | None = None
    """kto: whether the answer was liked."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the chat template, over those of the model."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What else the record says of a pair: ``case_id``, ``origin``, ``rejected_finished``, each where it is given."""

    @property
    def case_id(self) -> str:
        return self.source


@dataclass(slots=True, kw_only=True)
class Source:
    """Files of one training and what was noticed while they were read; iterate it once."""

    paths: Sequence[Path]
    stage: Literal["sft", "dpo", "kto"]
    parquet: Callable[[Path], Path] | None = None
    """Turns a Parquet file into JSONL (the trainer's environment can); None: Parquet is refused."""
    registered: Sequence[Dataset] = ()
    """Entries of a registry for some of the files; the others are looked up in the registry beside them."""
    repeated: int = 0
    answers_in_prompt: int = 0
    ignored: frozenset[str] = frozenset()

    def notes(self) -> tuple[str, ...]:
        """Notes for the user after reading."""
        lines = []
        if self.repeated:
            lines.append(f"{self.repeated} records are repetitions of earlier ones (kept)")
        if self.answers_in_prompt:
            lines.append(
                f"{self.answers_in_prompt} records repeat chosen and rejected at the end of their conversation "
                "(left out there)"
            )
        if self.ignored:
            lines.append(f"fields that are not used: {', '.join(sorted(self.ignored))}")
        return tuple(lines)

    def __iter__(self) -> Iterator[TrainingRecord]:
        return read_records(self)


def read_records(source: Source) -> Iterator[TrainingRecord]:
    """Yield checked records.

    Raises:
        DataError: unreadable files or wrong records; raised after all were read, with the first ten problems.
    """
    problems = _Problems()
    seen: set[bytes] = set()
    preferred: set[bytes] = set()
    unused: set[str] = set()
    for path in source.paths:
        named = {d.path.resolve(): d for d in source.registered}
        dataset = named.get(path.resolve()) or registered(path, source.stage)
        for number, raw in enumerate(read_rows(path, source.parquet), 1):
            where = f"{path.name}: record {number}"
            row = raw if dataset is None else dataset.row(raw)
            try:
                row, repeats = _without_answers(row) if source.stage == "dpo" else (row, False)
                record = _record(row, where, source.stage)
            except _Wrong as wrong:
                problems.add(path.name, number, f"{wrong}{_meant_for(row, source.stage)}")
                continue
            source.answers_in_prompt += repeats
            unused |= (set(row) | _turn_fields(row)) - _KNOWN
            unused |= set() if dataset is None else dataset.unused(raw)
            prompt = "\0".join(f"{m.role}:{m.content}" for m in record.messages)
            key = _digest(prompt, record.chosen, record.rejected, str(record.label))
            if key in seen:
                source.repeated += 1
            seen.add(key)
            if source.stage == "dpo":
                preferred.add(_digest(prompt, record.chosen, record.rejected))
                if _digest(prompt, record.rejected, record.chosen) in preferred:
                    other = "contradicts an earlier record, which prefers the answers the other way round"
                    problems.add(path.name, number, other)
            elif source.stage == "kto":
                preferred.add(_digest(prompt, record.chosen, str(record.label)))
                if _digest(prompt, record.chosen, str(not record.label)) in preferred:
                    other = "contradicts an earlier record, which gives this answer the other label"
                    problems.add(path.name, number, other)
            yield record
    source.ignored = frozenset(unused)
    problems.raise_any()


class _Problems:
    """What is wrong and with which records: a file of another format has one problem, not a million."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], list[int]] = {}
        self._count: Counter[tuple[str, str]] = Counter()

    def add(self, file: str, number: int, text: str) -> None:
        """Take in a problem of one record."""
        key = (file, text)
        self._count[key] += 1
        if len(self._count) <= _SHOWN and self._count[key] <= _NAMED:
            self._first.setdefault(key, []).append(number)

    def raise_any(self) -> None:
        """Raise what was taken in, all of it in one message."""
        if not self._count:
            return
        texts = []
        for (file, text), numbers in self._first.items():
            more = self._count[file, text] - len(numbers)
            records = f"record{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
            texts.append(f"{file}: {records}{f' and {more} more' if more else ''}: {text}")
        left = sum(count for key, count in self._count.items() if key not in self._first)
        raise DataError("; ".join(texts) + (f"; and {left} more" if left else ""))


class _Wrong(Exception):
    """A problem of one record."""


def _record(row: Mapping[str, Any], where: str, stage: str) -> TrainingRecord:
    # Some preference sets have both; there the conversation holds the answer already.
    turns = None if stage == "dpo" and _first(row, _PROMPT) else _first(row, _TURNS)
    if stage == "sft" and not turns and not _first(row, _PROMPT) and isinstance(row.get("text"), str):
        row, turns = {**row, "conversations": _guanaco(row["text"])}, "conversations"
    messages = _turns(row[turns], turns) if turns else _alpaca(row)
    if turns and isinstance(row.get("system"), str) and row["system"]:
        if messages and messages[0].role == "system":
            raise _Wrong("system stands in the field and in the conversation")
        messages = [Message("system", row["system"]), *messages]
    record = {"sft": _sft, "dpo": _dpo, "kto": _kto}[stage](row, messages, where)
    if (kwargs := row.get("chat_template_kwargs")) is not None:
        if not isinstance(kwargs, dict):
            raise _Wrong("chat_template_kwargs must be an object")
        for name, problem in template_kwargs_problems(kwargs):
            raise _Wrong(f"chat_template_kwargs.{name} {problem}")
        record = replace(record, chat_template_kwargs=kwargs)
    _check_order(record.messages, stage)
    return record


def _without_answers(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """A pair whose conversation ends with both answers, as MiniCPM's guide prints it, without them there.

    Its turns would otherwise not alternate. Only turns that say exactly what chosen or rejected say are left out.
    """
    name = _first(row, _TURNS)
    turns = row[name] if name else None
    if name is None or not isinstance(turns, list):
        return row, False
    answers = [_content(row.get(side)) for side in (*_CHOSEN, *_REJECTED)]
    kept = len(turns)
    while kept > 1 and _speaker(turns[kept - 1]) == "assistant" and _content(turns[kept - 1]) in answers:
        kept -= 1
    return ({**row, name: turns[:kept]}, True) if kept < len(turns) else (row, False)


def _speaker(turn: Any) -> str | None:
    role = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
    return _ROLES.get(role) if isinstance(role, str) else None


def _content(value: Any) -> str | None:
    text = value.get("content", value.get("value")) if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _meant_for(row: Mapping[str, Any], stage: str) -> str:
    """Which stage a wrong record looks like data for, in words; empty when it is this one, or none."""
    pair = _first(row, _CHOSEN) is not None and _first(row, _REJECTED) is not None
    fits = "dpo" if pair else "kto" if _first(row, _LABEL) else "sft" if _first(row, _ANSWER) else stage
    return "" if fits == stage else f" (it looks like data for harness train {fits})"


def _alpaca(row: Mapping[str, Any]) -> list[Message]:
    name = _first(row, _PROMPT)
    if name is None:
        # Preference sets of chats hold whole conversations on both sides, and no prompt.
        if isinstance(row.get("chosen"), list):
            return _turns(row["chosen"], "chosen")[:-1]
        raise _Wrong(f"has no prompt (one of {', '.join((*_PROMPT, *_TURNS))})")
    if isinstance(row[name], list):
        return _turns(row[name], name)
    prompt, more = _text(row, name), row.get("input") or row.get("query") or ""
    if not isinstance(more, str):
        raise _Wrong("input must be text")
    turns = [Message("system", _text(row, "system"))] if row.get("system") else []
    history = row.get("history") or []
    if not isinstance(history, list) or any(not isinstance(h, list) or len(h) != 2 for h in history):
        raise _Wrong("history must be a list of [user, assistant]")
    for user, assistant in history:
        if not isinstance(user, str) or not isinstance(assistant, str):
            raise _Wrong("history must hold texts")
        turns += [Message("user", user), Message("assistant", assistant)]
    return [*turns, Message("user", f"{prompt}\n{more}" if more else prompt)]


def _guanaco(text: str) -> list[dict[str, str]]:
    before, *parts = _GUANACO.split(text)
    if before.strip() or not parts:
        raise _Wrong('text is supported with "### Human:" and "### Assistant:" only; give prompt and answer apart')
    return [
        {"from": speaker.lower(), "value": said.strip()} for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    ]


def _turns(value: Any, name: str) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise _Wrong(f"{name} must be a list of turns")
    return [_turn(turn, f"{name}[{i}]") for i, turn in enumerate(value)]


def _turn(turn: Any, name: str) -> Message:
    if not isinstance(turn, dict):
        raise _Wrong(f"{name} is not an object")
    for key in _UNSUPPORTED_IN_A_TURN & set(turn):
        if turn[key] not in (None, "", [], {}):
            raise _Wrong(f"{name} has {key}, which is not supported; remove it, or leave the record out")
    for key in _TRAINED_ON & set(turn):
        if turn[key] not in (None, 1, True):
            raise _Wrong(f"{name} has {key} = {turn[key]!r}: a turn that is not trained on is not supported")
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if role not in _ROLES:
        raise _Wrong(f"{name} has role {role!r}; known: {', '.join(_ROLES)}")
    if not isinstance(content, str) or not content.strip():
        raise _Wrong(f"{name} is empty or not text")
    return Message(_ROLES[role], content)


def _turn_fields(row: Mapping[str, Any]) -> set[str]:
    """The fields of a record's turns that are not used, as a note names them."""
    turns = [turn for value in row.values() if isinstance(value, list) for turn in value if isinstance(turn, dict)]
    return {f"{key} of a turn" for turn in turns for key in turn} - _KNOWN_OF_A_TURN


def _check_context(row: Mapping[str, Any], name: str, messages: Sequence[Message]) -> None:
    """Refuse a side that is a whole conversation and answers another one than the record's."""
    value = row[name]
    if not isinstance(value, list) or len(value) < 2:
        return
    context = _turns(value, name)[:-1]
    if context[0].role != "system":
        messages = [m for m in messages if m.role != "system"]
    if list(context) != list(messages):
        raise _Wrong(f"{name} answers another conversation than the record's prompt, or than the other side")


def _sft(row: Mapping[str, Any], messages: Sequence[Message], where: str) -> TrainingRecord:
    if _first(row, _TURNS) is None:
        messages = [*messages, Message("assistant", _text(row, _required(row, _ANSWER)))]
    return TrainingRecord(source=where, messages=tuple(messages))


def _dpo(row: Mapping[str, Any], messages: Sequence[Message], where: str) -> TrainingRecord:
    chosen, rejected = (_side(row, _required(row, names)) for names in (_CHOSEN, _REJECTED))
    for names in (_CHOSEN, _REJECTED):
        _check_context(row, _required(row, names), messages)
    if chosen == rejected:
        raise _Wrong("chosen and rejected are the same")
    given = row.get("rejected_finished", True)
    finished = _WORDS.get(given) if isinstance(given, str) else given
    if not isinstance(finished, bool):
        raise _Wrong(f"rejected_finished = {given!r} must be true or false")
    return TrainingRecord(
        source=where, messages=tuple(messages), chosen=chosen, rejected=rejected, rejected_finished=finished,
        fault_at=_fault_at(row.get("fault_at", 0), rejected, finished),
        chosen_from=_chosen_from(row.get("chosen_from", 0), chosen),
        fields={name: row[name] for name in ("case_id", "origin", "rejected_finished") if row.get(name) is not None},
    )  # fmt: skip


def _fault_at(given: object, rejected: str, finished: bool) -> int:
    """Where the fault begins, which may be the end itself; a text that was shortened since has none behind its end."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise _Wrong(f"fault_at = {given!r} must be a number of characters, 0 or more")
    if given and given >= len(rejected) + finished:
        raise _Wrong(f"fault_at = {given} is not within the rejected answer of {len(rejected)} characters; remove it")
    return given


def _chosen_from(given: object, chosen: str) -> int:
    """Where the chosen answer is learnt from; its end is left to learn in any case."""
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= len(chosen):
        raise _Wrong(f"chosen_from = {given!r} must be a number of characters, 0 to {len(chosen)}")
    return given


def _kto(row: Mapping[str, Any], messages: Sequence[Message], where: str) -> TrainingRecord:
    label = row[_required(row, _LABEL)]
    label = (
        {"true": True, "True": True, "false": False, "False": False}.get(label, label)
        if isinstance(label, str)
        else label
    )
    if not isinstance(label, bool):
        raise _Wrong(f"label = {label!r} must be true or false")
    if (name := _first(row, _ANSWER)) is not None:
        return TrainingRecord(source=where, messages=tuple(messages), chosen=_text(row, name), label=label)
    if not messages or messages[-1].role != "assistant":
        raise _Wrong("the conversation must end with the assistant's answer that the label is about")
    return TrainingRecord(source=where, messages=tuple(messages[:-1]), chosen=messages[-1].content, label=label)


def _side(row: Mapping[str, Any], name: str) -> str:
    """An answer: text, one turn, or a whole conversation that ends with it."""
    value = row[name]
    if isinstance(value, list):
        value = value[-1] if value else None
    if isinstance(value, dict):
        turn = _turn(value, name)
        if turn.role != "assistant":
            raise _Wrong(f"{name} is a turn of the {turn.role}, not of the assistant")
        return turn.content
    return _text(row, name)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"{name} is empty or not text")
    return value


def _check_order(messages: Sequence[Message], stage: str) -> None:
    turns = [m.role for m in messages if m.role != "system"]
    if any(m.role == "system" for m in messages[1:]):
        raise _Wrong("a system turn may only be the first")
    wanted = ["user" if i % 2 == 0 else "assistant" for i in range(len(turns))]
    if not turns or turns != wanted:
        raise _Wrong(f"turns must alternate from user to assistant; they are {', '.join(turns) or 'none'}")
    last = "assistant" if stage == "sft" else "user"
    if turns[-1] != last:
        raise _Wrong(f"the conversation must end with a turn of the {last}")


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((n for n in names if row.get(n) is not None), None)


def _required(row: Mapping[str, Any], names: Sequence[str]) -> str:
    name = _first(row, names)
    if name is None:
        raise _Wrong(f"has no {names[0]}" + (f" (nor {', '.join(names[1:])})" if len(names) > 1 else ""))
    return name


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=10).digest()
