"""The fields of one record or of a case.toml, each read with its checks.

Every getter returns a value of the right type or None, and reports what is wrong through :class:`Problems`. No getter
raises or guesses: ``7`` is not the text "7", and null is not an absent field. Text keeps its blanks.
"""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sized
from typing import Any, get_args

from harness.cases.decoding import Decoding
from harness.cases.identity import id_problem
from harness.cases.model import Message, Role, Thresholds
from harness.cases.problems import Problems, kind, nearest, quote
from harness.cases.strictjson import Refused
from harness.cases.template import template_kwargs_problems
from harness.errors import SettingsError
from harness.safe.escape import shorten

__all__ = ["Fields"]

_MAX_PATTERN_LENGTH = 10_000
_MAX_ENTRIES = 1_000
"""Entries of a list in one record; a hostile one may hold millions, each of them wrong."""
_SPEAKERS = ("system", "user", "assistant")
# What people call the fields elsewhere, and what the columns of a report mean.
_OTHER_NAMES = {
    **dict.fromkeys(("prompt", "question", "instruction", "query", "input"), "did you mean 'text'?"),
    **dict.fromkeys(("answer", "reference", "output", "chosen", "expected"), "did you mean 'standard_answer'?"),
    **dict.fromkeys(("conversation", "conversations", "turns"), "did you mean 'messages'?"),
    **dict.fromkeys(
        ("response", "adapter_name_or_path", "verdict"),
        "that is a column of a report, not of a case file; drop it, or move the report out of the case folder",
    ),
}


class Fields:
    """Checked access to one record's values."""

    def __init__(self, place: str, values: Mapping[str, object], problems: Problems) -> None:
        self.place = place
        self.values = values
        self.problems = problems

    def refuse(self, name: str, what: str) -> None:
        """Note a problem of one field."""
        self.problems.add(f"{self.place}, field {quote(name)}", what)

    def known_only(self, known: Iterable[str]) -> None:
        """Refuse every field that is not among ``known``."""
        names = list(known)
        self._known_only(self.values, names, "", _OTHER_NAMES if "text" in names else {})

    def text(self, name: str) -> str | None:
        """A text with something in it; None where the field is absent or wrong."""
        return self._text(self.values[name], name) if name in self.values else None

    def name(self) -> str | None:
        """The given id."""
        value = self.text("id")
        problem = None if value is None else id_problem(value)
        if problem:
            self.refuse("id", f"is {quote(value)}; {problem}")
        return None if problem else value

    def role(self, default: Role) -> Role:
        """``fix``, ``holdout`` or ``guard``."""
        value = self.text("role")
        for role in get_args(Role):
            if value == role:
                return role  # type: ignore[no-any-return]
        if value is not None:
            self.refuse("role", f"is {quote(value)}; {nearest(value, get_args(Role))}")
        return default

    def weight(self, default: float) -> float:
        """A finite number above 0."""
        value = self.values.get("weight", default)
        if isinstance(value, Refused):
            self.refuse("weight", value.what)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse("weight", f"is {kind(value)}; expected a number above 0")
        elif not (math.isfinite(value) and 0 < value <= 1e9):
            self.refuse("weight", f"is {quote(value)}; expected a finite number above 0")
        else:
            return float(value)
        return default

    def tags(self, default: tuple[str, ...]) -> tuple[str, ...]:
        """Tags; the record's own replace the folder's."""
        values = self.texts("tags", single=False)
        if values is None:
            return default
        for at, tag in enumerate(values):
            if tag != tag.strip() or re.search(r"[,;\x00-\x1f]", tag):
                self.refuse(f"tags[{at}]", f"is {quote(tag)}; expected no ',' or ';' and no blanks around it")
            elif tag in values[:at]:
                self.refuse(f"tags[{at}]", f"is {quote(tag)} again; name each tag once")
        return values

    def patterns(self, name: str) -> tuple[str, ...]:
        """Regular expressions that compile."""
        values = self.texts(name, single=True) or ()
        for at, pattern in enumerate(values):
            if len(pattern) > _MAX_PATTERN_LENGTH:
                self.refuse(
                    name, f"pattern {at + 1} has {len(pattern)} characters; expected {_MAX_PATTERN_LENGTH} at most"
                )
                continue
            try:
                # What Python may read differently some day is a warning to its authors, not to the run.
                with warnings.catch_warnings(action="ignore"):
                    re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                why = str(error) or "nested too deep"
                self.refuse(name, f"pattern {at + 1}, {quote(pattern)}, is not a regular expression: {why}; fix it")
        return values

    def reasons(self, skip: str = "", xfail: str = "") -> tuple[str, str]:
        """Why the case is skipped, and why it is known to fail; the record's own reason replaces its folder's."""
        if "skip" in self.values and "xfail" in self.values:
            self.refuse("xfail", "is given beside 'skip'; a skipped case is not run, so keep one")
        own_skip, own_xfail = self.text("skip") or "", self.text("xfail") or ""
        if own_skip or own_xfail:
            return own_skip, own_xfail
        return skip, xfail

    def texts(self, name: str, *, single: bool) -> tuple[str, ...] | None:
        """A list of texts, or with ``single`` one text for a list of one; None where absent or wrong."""
        value = self.values.get(name, ())
        if single and isinstance(value, str | Refused):
            text = self._text(value, name)
            return None if text is None else (text,)
        if isinstance(value, Refused):
            self.refuse(name, value.what)
        elif not isinstance(value, list):
            if name in self.values:
                accepted = "a string or a list of strings" if single else "a list of strings"
                self.refuse(name, f"is {kind(value)}; expected {accepted}")
        elif not self._too_long(name, value):
            items = [self._text(item, f"{name}[{at}]") for at, item in enumerate(value)]
            return tuple(text for text in items if text is not None) if None not in items else None
        return None

    def messages(self) -> tuple[Message, ...] | None:
        """The turns of ``messages``: one system turn at most, at the start; a user turn at the end."""
        value = self.values.get("messages")
        if isinstance(value, Refused):
            self.refuse("messages", value.what)
        elif not isinstance(value, list) or not value:
            what = "an empty list" if value == [] else kind(value)
            self.refuse("messages", f'is {what}; expected a list of turns like {{"role": "user", "content": "..."}}')
        elif not self._too_long("messages", value):
            turns = [self._message(turn, at) for at, turn in enumerate(value)]
            whole = tuple(turn for turn in turns if turn is not None)
            if len(whole) < len(turns):
                return None
            if whole[-1].role == "user":
                return whole
            self.refuse("messages", f"ends with the {whole[-1].role}'s turn; expected a user turn last, to be answered")
        return None

    def decoding(self, base: Decoding) -> Decoding:
        """``base`` with the field ``decoding`` over it."""
        values = self._options("decoding", [*(f.name for f in dataclasses.fields(Decoding)), "best_of"])
        try:
            return Decoding.from_mapping(values, base) if values else base
        except SettingsError as error:
            self.refuse("decoding", shorten(str(error).removeprefix("decoding: "), 300))
        return base

    def thresholds(self, base: Thresholds) -> Thresholds:
        """``base`` with the field ``thresholds`` over it."""
        values = self._options("thresholds", [f.name for f in dataclasses.fields(Thresholds)])
        try:
            return Thresholds.from_mapping(values, base) if values else base
        except SettingsError as error:
            self.refuse("thresholds", shorten(str(error).removeprefix("thresholds: "), 300))
        return base

    def _too_long(self, name: str, value: Sized) -> bool:
        if len(value) > _MAX_ENTRIES:
            self.refuse(name, f"has {len(value):,} entries; expected {_MAX_ENTRIES:,} at most")
        return len(value) > _MAX_ENTRIES

    def chat_template_kwargs(self, base: Mapping[str, Any]) -> Mapping[str, Any]:
        """``base`` with the field ``chat_template_kwargs`` over it."""
        name = "chat_template_kwargs"
        value = self.values.get(name, {})
        if isinstance(value, Refused):
            self.refuse(name, value.what)
        elif not isinstance(value, dict):
            self.refuse(name, f"is {kind(value)}; expected an object")
        elif not self._too_long(name, value):
            for key, problem in template_kwargs_problems(value):
                self.refuse(f"{name}.{key}", problem)
            return {**base, **value}
        return base

    def _text(self, value: object, name: str) -> str | None:
        problem = _text_problem(value)
        if problem is None:
            return str(value)
        self.refuse(name, problem)
        return None

    def _message(self, turn: object, at: int) -> Message | None:
        name = f"messages[{at}]"
        if not isinstance(turn, dict):
            what = turn.what if isinstance(turn, Refused) else f"is {kind(turn)}"
            self.refuse(name, what + '; expected a turn like {"role": "user", "content": "..."}')
            return None
        before = self.problems.count
        self._known_only(turn, ["role", "content"], f"{name}.", {})
        for key in ("role", "content"):
            if key not in turn:
                self.refuse(f"{name}.{key}", "is missing; a turn has a role and a content")
        speaker = self._text(turn["role"], f"{name}.role") if "role" in turn else None
        content = self._text(turn["content"], f"{name}.content") if "content" in turn else None
        if speaker is not None and speaker not in _SPEAKERS:
            self.refuse(f"{name}.role", f"is {quote(speaker)}; {nearest(speaker, _SPEAKERS)}")
        elif speaker == "system" and at > 0:
            self.refuse(f"{name}.role", "is 'system' after the first turn; put the system prompt first")
        if self.problems.count > before or content is None:
            return None
        return Message(speaker, content)  # type: ignore[arg-type]

    def _options(self, name: str, known: list[str]) -> dict[str, Any]:
        """The plain values of an object field, with every nested trap refused; empty where absent or wrong."""
        value = self.values.get(name, {})
        if not isinstance(value, dict):
            self.refuse(name, value.what if isinstance(value, Refused) else f"is {kind(value)}; expected an object")
            return {}
        before = self.problems.count
        self._known_only(value, known, f"{name}.", {})
        for key, item in value.items():
            if isinstance(item, list | dict) and self._too_long(f"{name}.{key}", item):
                continue
            # One level of nesting: stop strings, and limits on scores by name.
            parts = item if isinstance(item, list) else [*item, *item.values()] if isinstance(item, dict) else [item]
            for part in parts:
                if isinstance(part, Refused):
                    self.refuse(f"{name}.{key}", part.what)
                elif isinstance(part, str):
                    # Not more: a stop string may be a single newline.
                    problem = _character_problem(part)
                    if problem is not None:
                        self.refuse(f"{name}.{key}", problem)
                elif not isinstance(part, bool | int | float):
                    self.refuse(f"{name}.{key}", f"holds {kind(part)}; expected a plain value")
                elif isinstance(part, int) and part.bit_length() > 63:
                    self.refuse(f"{name}.{key}", "a whole number too large; expected 64 bits at most")
        return {} if self.problems.count > before else value

    def _known_only(
        self, values: Mapping[str, object], known: list[str], prefix: str, others: Mapping[str, str]
    ) -> None:
        for name in values:
            if name not in known:
                # Once the list is full, the search for a near name would cost time and its result would not be shown.
                hint = "" if self.problems.full else others.get(name.strip().lower()) or nearest(name, known)
                self.refuse(prefix + name, f"unknown field; {hint}")


def _text_problem(value: object) -> str | None:
    """Why ``value`` is not a text with something in it, or None when it is."""
    if isinstance(value, Refused):
        return value.what
    if not isinstance(value, str):
        return f"is {kind(value)}; expected a string" + (", or leave the field out" if value is None else "")
    if not value.strip():
        return "is empty; write it, or leave the field out"
    return _character_problem(value)


def _character_problem(value: str) -> str | None:
    """Why ``value`` cannot be encoded and handed on, or None when it can."""
    if "\0" in value:
        return f"holds a NUL at character {value.index(chr(0)) + 1}; remove it"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"holds half of a surrogate pair at character {error.start + 1}; write the whole character"
    return None
