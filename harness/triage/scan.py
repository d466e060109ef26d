"""One part of a log, from its bytes to its groups of repeaters.

Most time of a naive scan would go into decoding fields that nobody asked for and scoring answers that are sound. So
of a JSON line only the answer and its finish reason are decoded (msgspec, by a type that is made of the fields' paths),
the prefilter rejects most answers, and only a repeater's line is decoded whole. The verdict is that of ``harness
score`` without a standard answer.

At most one batch of records is held at a time. A record that is not understood is counted by its reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter
from typing import Any

from harness.cases.model import Message
from harness.engines.base import FinishReason
from harness.judging.lines import score_lines
from harness.judging.results import Status
from harness.safe.escape import for_utf8
from harness.safe.redact import redact
from harness.triage.groups import MIN_SEVERITY, Example, Groups
from harness.triage.prefilter import MIN_CHARACTERS, suspects
from harness.triage.shapes import LogFields, answer_of, conversation_of, dig, finish_of, read_object
from harness.triage.sources import SHOWN, Notes, Part, read_part

__all__ = ["ScanResult", "scan_part"]

BATCH = 400_000
"""Characters of answers that are tested together."""
BATCH_RECORDS = 4_096
MAX_ANSWER = 200_000
"""Characters of an answer that are looked at: half of them at its beginning, half at its end."""
MAX_PROMPT = 100_000
EXCERPT = 600
"""Characters of an answer's beginning, and of its end, that are kept."""
_Batch = list[tuple[int, str, FinishReason | None, Any]]


@dataclass(slots=True, kw_only=True)
class ScanResult:
    """What a scan has found."""

    groups: Groups
    records: int = 0
    answers: int = 0
    characters: int = 0
    """Of all answers."""
    suspects: int = 0
    repeaters: int = 0
    empty: int = 0
    cut_off: int = 0
    without_answer: int = 0
    """Records without the answer's field."""
    long_answers: int = 0
    """Answers of which only the beginning and the end were looked at."""
    too_long: int = 0
    """Records that were passed over."""
    broken: int = 0
    broken_at: list[tuple[str, int, str]] = field(default_factory=list)
    """File, place and reason of the first ones."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Repeaters that cannot become cases, by reason."""
    redacted: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    finished: bool = True

    def merge(self, other: ScanResult, base: int) -> None:
        """Add another part's; ``base`` is the number of lines before it in its file."""
        for name in (
            "records", "answers", "characters", "suspects", "repeaters", "empty", "cut_off", "without_answer",
            "long_answers", "too_long", "broken",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        more = [(file, place + base, why) for file, place, why in other.broken_at]
        self.broken_at = [*self.broken_at, *more][:SHOWN]
        self.unusable += other.unusable
        self.redacted += other.redacted
        if base:
            for group in other.groups.ranked():
                group.examples = [replace(example, place=example.place + base) for example in group.examples]
        self.groups.merge(other.groups)
        self.finished = self.finished and other.finished


def scan_part(
    part: Part,
    fields: LogFields,
    *,
    per_group: int,
    redacted: bool,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = lambda _: None,
) -> ScanResult:
    """Find the repeaters of a part; what was found so far when it is interrupted or ``stop`` says so.

    Args:
        part: what to read.
        fields: where prompts and answers are.
        per_group: examples that are kept of each group.
        redacted: whether personal data and keys are replaced.
        stop: asked after every batch.
        advance: told the number of records after every batch.
    """
    scan = _Scan(part, fields, per_group, redacted)
    try:
        scan.run(stop, advance)
    except KeyboardInterrupt:
        scan.found.finished = False
    return scan.close()


class _Scan:
    """The state of one scan."""

    def __init__(self, part: Part, fields: LogFields, per_group: int, redacted: bool) -> None:
        self.found = ScanResult(groups=Groups(per_group))
        self._part = part
        self._fields = fields
        self._redact = redacted
        self._notes = Notes()
        self._batch: _Batch = []
        self._size = 0

    def run(self, stop: Callable[[], bool], advance: Callable[[int], None]) -> None:
        """Read, test and score to the end."""
        read = _reader(self._fields)
        fields = [path for path in (self._fields.prompt, self._fields.response, self._fields.finish) if path]
        with closing(read_part(self._part, self._notes, [*fields, "input", "system"])) as rows:
            for place, raw in rows:
                self.found.records += 1
                try:
                    text, finish = read(raw)
                except ValueError as error:
                    self._notes.wrong(place, f"not JSON: {error}")
                    continue
                if text is None:
                    self.found.without_answer += 1
                    continue
                self._take(place, text, finish, raw)
                if self._size >= BATCH or len(self._batch) >= BATCH_RECORDS:
                    self._flush()
                    advance(self.found.records)
                    if stop():
                        self.found.finished = False
                        return
        self._flush()

    def close(self) -> ScanResult:
        """The result, with what could not be read."""
        found, notes = self.found, self._notes
        found.lines = notes.lines
        found.broken, found.too_long = notes.broken, notes.too_long
        found.broken_at = [(str(self._part.file.path), place, why) for place, why in notes.examples]
        return found

    def _take(self, place: int, text: str, finish: FinishReason | None, raw: Any) -> None:
        found = self.found
        found.answers += 1
        found.characters += len(text)
        found.cut_off += finish == "length"
        if len(text) < MIN_CHARACTERS:
            found.empty += not text.strip()
            return
        if len(text) > MAX_ANSWER:
            found.long_answers += 1
            text = text[: MAX_ANSWER // 2] + text[-MAX_ANSWER // 2 :]
        self._batch.append((place, text, finish, raw))
        self._size += len(text)

    def _flush(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        flags = suspects([text for _, text, _, _ in batch])
        chosen = [row for row, flag in zip(batch, flags, strict=True) if flag]
        self.found.suspects += len(chosen)
        lines = [
            json.dumps({"id": at, "text": text, "finish_reason": finish}, ensure_ascii=False).encode("utf-8", "replace")
            for at, (_, text, finish, _) in enumerate(chosen)
        ]
        for line, (place, text, finish, raw) in zip(score_lines(lines), chosen, strict=True):
            if line.verdict.status is Status.ERROR:
                self._notes.wrong(place, line.verdict.reasons[0].text)
            elif line.verdict.repeater:
                self.found.repeaters += 1
                rules = tuple(reason.rule for reason in line.verdict.reasons if reason.repetition)
                severity = max(MIN_SEVERITY, line.scores.values["repetition"])
                self._repeater(place, text, finish, raw, rules, severity)

    def _repeater(
        self, place: int, text: str, finish: FinishReason | None, raw: Any, rules: tuple[str, ...], severity: float
    ) -> None:
        record = read_object(raw) if isinstance(raw, bytes) else raw
        turns = conversation_of(record, self._fields)
        if not isinstance(turns, str) and sum(len(turn.content) for turn in turns) > MAX_PROMPT:
            turns = f"a prompt over {MAX_PROMPT:,} characters"
        if isinstance(turns, str):
            self.found.unusable[turns] += 1
            return

        def example() -> Example:
            answer = text if len(text) <= 2 * EXCERPT else f"{text[:EXCERPT]} ... {text[-EXCERPT:]}"
            return Example(
                place=place,
                file=str(self._part.file.path),
                messages=tuple(Message(turn.role, self._clean(turn.content)) for turn in turns),
                answer=self._clean(answer),
                severity=severity,
                rules=rules,
                finish=finish,
            )

        self.found.groups.add(for_utf8(turns[-1].content), severity, rules, example)

    def _clean(self, text: str) -> str:
        """What a case file may hold, without personal data."""
        safe = for_utf8(text).replace("\0", "\\x00")
        return redact(safe, self.found.redacted) if self._redact else safe


_Read = Callable[[Any], tuple[str | None, FinishReason | None]]


def _reader(fields: LogFields) -> _Read:
    """A function from a raw record to its answer and how it ended."""

    def slow(raw: Any) -> tuple[str | None, FinishReason | None]:
        record = read_object(raw) if isinstance(raw, bytes) else raw
        ended = finish_of(dig(record, fields.finish)) if fields.finish else None
        return answer_of(dig(record, fields.response)), ended

    import msgspec

    paths = [fields.response, *([fields.finish] if fields.finish else [])]
    tree: dict[str, Any] = {}
    for path in paths:
        if not _plant(tree, path.split(".")):
            return slow
    decode = msgspec.json.Decoder(_type(tree)).decode
    response, finish = _getter(fields.response), _getter(fields.finish) if fields.finish else None

    def fast(raw: Any) -> tuple[str | None, FinishReason | None]:
        if type(raw) is not bytes:
            return slow(raw)
        try:
            record = decode(raw)
            value = response(record)
            ended = finish_of(finish(record)) if finish is not None else None
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, IndexError, TypeError, RecursionError):
            return slow(raw)
        if type(value) is str:
            return value, ended
        return (answer_of(value), ended) if value is not None else slow(raw)

    return fast


def _plant(tree: dict[str, Any], keys: list[str]) -> bool:
    """Add a path to the tree of wanted fields; False where it runs through another one's end."""
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if tree is None:
            return False
    if tree.get(keys[-1], None) is not None or any(key.isdecimal() != keys[-1].isdecimal() for key in tree):
        return False
    tree[keys[-1]] = None
    return True


def _type(tree: dict[str, Any] | None) -> Any:
    """A type that decodes these fields and passes over all others."""
    import msgspec

    if tree is None:
        return Any
    if all(key.isdecimal() for key in tree):
        (child,) = tree.values() if len(tree) == 1 else (None,)
        return list[_type(child)]  # type: ignore[misc]
    names = {_attribute(key): key for key in tree}
    members = [(attribute, _type(tree[key]) | None if tree[key] else Any, None) for attribute, key in names.items()]
    return msgspec.defstruct("Wanted", members, rename=names, gc=False)


def _attribute(key: str) -> str:
    return f"f_{key.encode().hex()}"


def _getter(path: str) -> Callable[[Any], Any]:
    """Reads a path of a decoded record; what is missing on the way raises AttributeError or TypeError."""
    keys = path.split(".")
    if not any(key.isdecimal() for key in keys):
        # In C, as most paths are.
        return attrgetter(".".join(map(_attribute, keys)))
    steps = [itemgetter(int(key)) if key.isdecimal() else attrgetter(_attribute(key)) for key in keys]

    def get(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return get
