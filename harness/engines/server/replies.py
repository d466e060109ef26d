"""What a vLLM server replies, checked: its word is untrusted input, and everything else in this package relies on it.

A reply that is not what was asked for is a :class:`Garbled` fault and never an answer. Checked are token ids, the
number of tokens, log-probabilities (finite, not above zero, enough of them), the model's name, and the end's reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

__all__ = [
    "Chunk",
    "Fault",
    "Garbled",
    "Logprob",
    "Refused",
    "ServedModel",
    "Unreachable",
    "error_text",
    "read_chunk",
    "read_models",
    "read_searched",
    "read_version",
]  # fmt: skip

_PREFIX = "token_id:"
_MAX_TOKEN = 1 << 24
"""No vocabulary is larger; a tokenizer need not survive a larger id."""
_ROUNDING = 1e-3
"""Nats by which a log-probability may be above zero."""
T = TypeVar("T")


class Fault(Exception):
    """A server did not do what it was asked for; the text says what."""

    retry_after: float | None = None
    """Seconds that the server asks to wait."""


class Unreachable(Fault):
    """No connection, a broken one, a time-out, or a server that is overloaded: another attempt may succeed."""


class Refused(Fault):
    """The server says that the request is wrong: another attempt cannot succeed."""


class Garbled(Fault):
    """The reply is not what the protocol says, or not what was asked for."""


@dataclass(frozen=True, slots=True)
class Logprob:
    """One entry of a row, under vLLM's own name for it."""

    logprob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of one answer, with the attributes of vLLM's ``CompletionOutput`` (delta)."""

    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[dict[int, Logprob], ...]
    """A row for each token; empty where none were asked for."""
    finish_reason: str | None


class ServedModel(msgspec.Struct, frozen=True):
    """An entry of ``/v1/models``; an adapter's has a parent."""

    id: str
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[ServedModel]


class _Version(msgspec.Struct):
    version: str


class _Logprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    text: str = ""
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    model: str = ""
    choices: list[_Choice] = []
    error: Any = None


def read_models(body: bytes) -> tuple[ServedModel, ...]:
    """The models and adapters of ``/v1/models``."""
    return tuple(_decoded(body, _Models, "its list of models").data)


def read_version(body: bytes) -> str:
    """The server's version."""
    return _decoded(body, _Version, "its version").version


def read_chunk(body: bytes, *, model: str, rows: int, most: int) -> Chunk | None:
    """One event of a streamed completion; None for an event without a choice.

    Args:
        body: the event's JSON.
        model: the name that was asked for.
        rows: entries of log-probabilities that each token must have; 0 for none.
        most: tokens that the answer may still have.

    Raises:
        Garbled: it is something else.
        Unreachable: the server reports an error of its own.
    """
    reply = _decoded(body, _Completion, "an answer")
    if reply.error is not None:
        raise Unreachable(f"the server broke off: {error_text(body)}")
    if reply.model != model:
        raise Garbled(f"model {model!r} was asked for, {reply.model!r} answered")
    if not reply.choices:
        return None
    if len(reply.choices) > 1 or reply.choices[0].index != 0:
        raise Garbled("more than one answer came for one request")
    choice = reply.choices[0]
    tokens = _tokens(choice, most)
    return Chunk(
        token_ids=tokens, text=choice.text, logprobs=_rows(choice, tokens, rows) if rows else (),
        finish_reason=choice.finish_reason,
    )  # fmt: skip


def read_searched(body: bytes, *, model: str, most: int) -> Chunk:
    """The best answer of a beam search that the server did itself.

    Raises:
        Garbled: it is something else.
    """
    reply = _decoded(body, _Completion, "an answer")
    if reply.model != model:
        raise Garbled(f"model {model!r} was asked for, {reply.model!r} answered")
    best = next((choice for choice in reply.choices if choice.index == 0), None)
    if best is None:
        raise Garbled("the reply holds no answer")
    if best.finish_reason not in ("stop", "length"):
        raise Garbled(f"an answer ended with the unknown finish reason {best.finish_reason!r}")
    return Chunk(token_ids=_tokens(best, most), text=best.text, logprobs=(), finish_reason=best.finish_reason)


def error_text(body: bytes) -> str:
    """What an error reply says, in one line of at most 300 characters."""
    try:
        reply = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reply = body.decode("utf-8", "replace")
    if isinstance(reply, dict):
        reply = reply.get("error", reply.get("detail", reply.get("message", reply)))
    if isinstance(reply, dict):
        reply = reply.get("message", reply)
    text = " ".join(str(reply).split())
    return text if len(text) <= 300 else text[:300] + "..."


def _decoded(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"{what} is not what a vLLM server replies: {error}") from error


def _tokens(choice: _Choice, most: int) -> tuple[int, ...]:
    if choice.token_ids is None:
        raise Garbled("the reply holds no token ids; the server must be a vLLM that knows return_token_ids")
    if len(choice.token_ids) > most:
        raise Garbled(f"{len(choice.token_ids)} tokens came where at most {most} were asked for")
    if not all(0 <= token < _MAX_TOKEN for token in choice.token_ids):
        raise Garbled("a token id is outside of every vocabulary")
    return tuple(choice.token_ids)


def _rows(choice: _Choice, tokens: tuple[int, ...], width: int) -> tuple[dict[int, Logprob], ...]:
    tops = choice.logprobs.top_logprobs if choice.logprobs is not None else None
    if tokens and (tops is None or len(tops) != len(tokens)):
        raise Garbled(f"{len(tokens)} tokens came with {len(tops or ())} rows of log-probabilities")
    return tuple(_row(top or {}, token, width) for top, token in zip(tops or (), tokens, strict=False))


def _row(top: dict[str, float], token: int, width: int) -> dict[int, Logprob]:
    row: dict[int, Logprob] = {}
    for name, value in top.items():
        number = name.removeprefix(_PREFIX)
        if number == name or not number.isdecimal() or len(number) > 8 or int(number) >= _MAX_TOKEN:
            raise Garbled(f"{name[:40]!r} is no token id; the server must know return_tokens_as_token_ids")
        if not math.isfinite(value) or value > _ROUNDING:
            raise Garbled(f"{value} is no log-probability")
        row[int(number)] = Logprob(min(value, 0.0))
    if len(row) < width:
        raise Garbled(f"a row has {len(row)} log-probabilities of {width}; start the server with --max-logprobs -1")
    if token not in row:
        raise Garbled("a token is not among the log-probabilities of its own row")
    return row
