"""Turns one record of a case file, of any format, into a case.

Each format reads its file into records of plain values and a place to name in messages. From here on formats make no
difference. What a record does not say comes from its folder's case.toml, then from the project's settings, then from
the defaults. Decoding and thresholds are merged field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.cases.decoding import Decoding
from harness.cases.fields import Fields
from harness.cases.identity import derive_name
from harness.cases.model import Case, Message, Role, Thresholds
from harness.cases.problems import Problems, kind
from harness.cases.strictjson import Refused

__all__ = ["FIELDS", "MAX_RECORDS", "TOO_MANY", "CaseRecord", "Defaults", "read_case"]

MAX_RECORDS = 1_000_000
"""Records in one file; 64 MiB of nothing but braces would be twenty million, each of them a problem."""
TOO_MANY = f"holds more than {MAX_RECORDS:,} records; split it over several folders"

FIELDS = (
    "id", "text", "messages", "standard_answer", "system", "tags", "role", "decoding", "thresholds", "must_include",
    "must_not_include", "skip", "xfail", "weight", "source", "chat_template_kwargs", "accepted_answers",
    "rejected_answers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One record as its file holds it, before any check."""

    place: str
    """File, record number and, where the format has them, line or row."""
    values: object
    """A mapping of field names, unless the file holds something else there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a record gets where it says nothing."""

    decoding: Decoding = field(default_factory=Decoding)
    thresholds: Thresholds = field(default_factory=Thresholds)
    system: str | None = None
    tags: tuple[str, ...] = ()
    role: Role = "fix"
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    must_include: tuple[str, ...] = ()
    must_not_include: tuple[str, ...] = ()
    skip: str = ""
    xfail: str = ""
    weight: float = 1.0


def read_case(record: CaseRecord, folder: str, defaults: Defaults, problems: Problems) -> Case | None:
    """The case that ``record`` describes; None, with the reasons in ``problems``, when it describes none."""
    if not isinstance(record.values, Mapping):
        values = record.values
        what = f"is {kind(values)}" + '; expected an object like {"text": "...", "standard_answer": "..."}'
        problems.add(record.place, values.what if isinstance(values, Refused) else what)
        return None
    before = problems.count
    fields = Fields(record.place, record.values, problems)
    fields.known_only(FIELDS)
    name = fields.name()
    turns = _conversation(fields)
    answer = fields.text("standard_answer")
    role = fields.role(defaults.role)
    tags = fields.tags(defaults.tags)
    decoding = fields.decoding(defaults.decoding)
    thresholds = fields.thresholds(defaults.thresholds)
    template_kwargs = fields.chat_template_kwargs(defaults.chat_template_kwargs)
    # A record adds to its folder's patterns: a pattern that vanished would pass everything.
    must = _union(defaults.must_include, fields.patterns("must_include"))
    must_not = _union(defaults.must_not_include, fields.patterns("must_not_include"))
    accepted = fields.texts("accepted_answers", single=True) or ()
    rejected = fields.texts("rejected_answers", single=True) or ()
    if both := set(map(str.strip, accepted)) & set(map(str.strip, rejected)):
        fields.refuse("rejected_answers", f"holds {len(both)} of 'accepted_answers' too; keep each answer in one")
    skip, xfail = fields.reasons(defaults.skip, defaults.xfail)
    weight = fields.weight(defaults.weight)
    source = fields.text("source") or ""
    if problems.count > before or turns is None:
        return None
    own = name or derive_name(turns)
    if turns[0].role != "system" and defaults.system is not None:
        turns = (Message("system", defaults.system), *turns)
    return Case(
        id=f"{folder}/{own}",
        folder=folder,
        messages=turns,
        standard_answer=answer,
        role=role,
        tags=tags,
        decoding=decoding,
        thresholds=thresholds,
        chat_template_kwargs=template_kwargs,
        must_include=must,
        must_not_include=must_not,
        accepted_answers=accepted,
        rejected_answers=rejected,
        skip=skip,
        xfail=xfail,
        weight=weight,
        source=source,
    )


def _union(first: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *more)))


def _conversation(fields: Fields) -> tuple[Message, ...] | None:
    """The record's own turns, its own system prompt first; None where they are wrong."""
    given = [name for name in ("text", "messages") if name in fields.values]
    system = fields.text("system")
    if len(given) != 1:
        both = "'text' and 'messages' are both given; keep one"
        fields.refuse("text", both if given else "is missing; write the prompt here, or a conversation in 'messages'")
        return None
    turns: tuple[Message, ...] | None = None
    if given == ["messages"]:
        turns = fields.messages()
    elif (text := fields.text("text")) is not None:
        turns = (Message("user", text),)
    if turns is None or system is None:
        return turns
    if turns[0].role == "system":
        fields.refuse("system", "is given here and as the first of 'messages'; keep one")
        return None
    return (Message("system", system), *turns)
