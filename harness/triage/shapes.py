"""Which fields of a log record are the prompt and the answer, and what they hold.

A field is a dotted path: ``response.choices.0.message.content``. A whole key may hold dots as well, as the column
``response.content`` of a table does. A text that holds JSON is read on the way, since exports of databases write it so.
Logs differ in their shapes, and rarely within a file. So :func:`detect` looks at the first records and takes the fields
that give an answer most often. The known shapes are OpenAI's chat completions and batches, Anthropic's messages, vLLM's
and LiteLLM's logs, Langfuse's exports, LLaMA-Factory's predictions, ShareGPT's conversations, and plain prompt and
response.

Not supported: calls of tools and pictures in a conversation, since a case holds text only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cases.model import Message
from harness.engines.base import FinishReason
from harness.errors import UsageError

__all__ = ["LogFields", "answer_of", "conversation_of", "detect", "dig", "finish_of", "read_object", "text_paths"]

RESPONSES = (
    "response.body.choices.0.message.content", "response.choices.0.message.content",
    "response_body.choices.0.message.content", "body.response.choices.0.message.content",
    "output.choices.0.message.content", "completion.choices.0.message.content", "choices.0.message.content",
    "response.choices.0.text", "choices.0.text", "response.content", "response.message.content",
    "response.output_text", "output.content", "output.text", "output.message.content", "outputs.0.text",
    "generated_text", "response", "output", "completion", "answer", "reply", "predict", "prediction", "outputs",
    "assistant", "model_output", "result", "messages", "conversations", "request.messages",
)  # fmt: skip
"""Fields of an answer, the more specific ones first."""
PROMPTS = (
    "request.body.messages", "request.messages", "body.messages", "request_body.messages", "input.messages", "messages",
    "conversations", "request.prompt", "body.prompt", "kwargs.messages", "input.prompt", "prompt", "instruction",
    "question", "query", "input", "inputs", "text", "user", "request",
)  # fmt: skip
FINISHES = ("finish_reason", "stop_reason", "response.finish_reason", "response.stop_reason", "output.finish_reason")
_LENGTH = {"length", "max_tokens", "max_length", "MAX_TOKENS"}
_STOP = {"stop", "end_turn", "eos", "eos_token", "stop_sequence", "STOP"}
_ROLES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "gpt": "assistant", "ai": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
_CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
_HEADERS = re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\s*(.*?)(?:<\|eot_id\|>|\Z)", re.DOTALL)
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFields:
    """The fields of one file."""

    prompt: str
    response: str
    finish: str = ""
    """Empty: the records do not say how an answer ended."""


def read_object(text: str | bytes) -> Any:
    """The JSON value of a text; numbers that only Python writes (NaN) are accepted.

    Raises:
        ValueError: not JSON, or nested too deep.
    """
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def dig(record: Any, path: str) -> Any:
    """The value under a dotted path; None where there is none."""
    value = record
    rest = path
    while rest:
        if isinstance(value, str) and value[:1] in ("{", "["):
            try:
                value = read_object(value)
            except ValueError:
                return None
        if isinstance(value, dict):
            if rest in value:
                return value[rest]
            key, _, rest = rest.partition(".")
            value = value.get(key)
        elif isinstance(value, list):
            key, _, rest = rest.partition(".")
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        else:
            return None
    return value


def answer_of(value: Any, depth: int = 0) -> str | None:
    """The answer in a field: a text, a message, parts of one, a conversation's last turn; None where there is none."""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        for key in ("content", "text", "value", "message", "choices", "generated_text", "output", "response"):
            if key in value:
                return answer_of(value[key], depth + 1)
        return None
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        if "role" in value[-1] or "from" in value[-1]:
            return answer_of(value[-1], depth + 1) if _role(value[-1]) == "assistant" else None
        texts = [item["text"] for item in value if isinstance(item.get("text"), str)]
        return "".join(texts) if texts else answer_of(value[0], depth + 1)
    return None


def conversation_of(record: Any, fields: LogFields) -> tuple[Message, ...] | str:
    """The turns before the answer, a user turn last; or why they cannot be a case."""
    value = dig(record, fields.prompt)
    turns = _turns(value, 0)
    if isinstance(turns, str):
        return turns
    parent, _, name = fields.prompt.rpartition(".")
    beside = dig(record, parent) if parent else record
    if isinstance(beside, dict):
        more = beside.get("input")
        if name == "instruction" and isinstance(more, str) and more.strip():
            turns = [*turns[:-1], Message("user", f"{turns[-1].content}\n{more}")]
        system = beside.get("system")
        if isinstance(system, str) and system.strip() and turns and turns[0].role != "system":
            turns = [Message("system", system), *turns]
    while turns and turns[-1].role == "assistant":
        turns = turns[:-1]
    if not turns or turns[-1].role != "user":
        return "no user turn before the answer"
    if any(turn.role == "system" for turn in turns[1:]):
        return "a system turn after the first turn"
    return tuple(turns)


def finish_of(value: Any) -> FinishReason | None:
    """``length`` or ``stop`` in the words of several servers; None for any other."""
    if not isinstance(value, str):
        return None
    return "length" if value in _LENGTH else "stop" if value in _STOP else None


def detect(records: Sequence[Any], where: str, prompt: str = "", response: str = "", finish: str = "") -> LogFields:
    """The fields of these records; given ones are taken as they are.

    Raises:
        UsageError: no known field holds an answer, or none a prompt; names the fields that there are.
    """
    chosen = response or _best(records, RESPONSES, lambda record, path: answer_of(dig(record, path)) is not None)
    if not chosen:
        raise UsageError(f"{where}: no known field holds an answer; give it with --response FIELD; {_seen(records)}")
    asked = prompt or _best(
        records,
        PROMPTS,
        lambda record, path: (
            isinstance(conversation_of(record, LogFields(prompt=path, response=chosen)), tuple)
            and (path != chosen or isinstance(dig(record, path), list))
        ),
    )
    if not asked:
        raise UsageError(f"{where}: no known field holds a prompt; give it with --prompt FIELD; {_seen(records)}")
    parents = [chosen.rpartition(".")[0], chosen.rpartition(".")[0].rpartition(".")[0]]
    near = [f"{parent}.{name}" for parent in parents if parent for name in ("finish_reason", "stop_reason")]
    ended = finish or _best(records, (*near, *FINISHES), lambda record, path: isinstance(dig(record, path), str))
    return LogFields(prompt=asked, response=chosen, finish=ended)


def text_paths(record: Any, prefix: str = "", depth: int = 0) -> Iterable[str]:
    """The dotted paths of a record's texts, for a message."""
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in items:
        path = f"{prefix}{key}"
        if isinstance(value, str):
            yield path
        elif depth < _MAX_DEPTH:
            yield from text_paths(value, f"{path}.", depth + 1)


def _best(records: Sequence[Any], paths: Iterable[str], holds: Any) -> str:
    """The path that holds in most records, the first of equals; empty where none does."""
    counts = [(sum(bool(holds(record, path)) for record in records), path) for path in paths]
    most = max((count for count, _ in counts), default=0)
    return next((path for count, path in counts if count == most), "") if most else ""


def _seen(records: Sequence[Any]) -> str:
    names = dict.fromkeys(path for record in records[:20] for path in text_paths(record))
    shown = ", ".join(repr(name[:60]) for name in list(names)[:12])
    return f"fields with text: {shown}" if shown else "the first records hold no text field"


def _role(turn: dict[str, Any]) -> str | None:
    role = turn.get("role", turn.get("from"))
    return _ROLES.get(role) if isinstance(role, str) else None


def _turns(value: Any, depth: int) -> list[Message] | str:
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        for key in ("messages", "prompt", "content", "text", "value"):
            if key in value:
                return _turns(value[key], depth + 1)
    if not isinstance(value, list) or not value:
        return "no prompt"
    turns = []
    for turn in value:
        role = _role(turn) if isinstance(turn, dict) else None
        if role is None:
            return "turns of tools, or of unknown roles"
        content = turn.get("content", turn.get("value"))
        if isinstance(content, list):
            if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
                return "pictures or other parts that are not text"
            content = "".join(part["text"] for part in content)
        if not isinstance(content, str) or not content.strip():
            return "a turn without text"
        turns.append(Message(role, content))  # type: ignore[arg-type]
    return turns


def _parsed(text: str) -> list[Message] | str:
    """The turns of a prompt that a chat template has rendered already, or the text as one turn."""
    if not text.strip():
        return "no prompt"
    for pattern in (_CHATML, _HEADERS):
        parts = pattern.findall(text) if "<|" in text else []
        if parts:
            rendered = [Message(_ROLES[role], body.strip("\n")) for role, body in parts if role in _ROLES]  # type: ignore[arg-type]
            return [turn for turn in rendered if turn.content.strip()]
    if text[0] in "[{":
        try:
            value = read_object(text)
        except ValueError:
            value = None
        turns = _turns(value, 1) if isinstance(value, list | dict) else ""
        if not isinstance(turns, str):
            return turns
    return [Message("user", text)]
