"""What servers do wrong is an error of the harness, in time, with words; never an answer and never a failed case."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines import open_engine
from harness.engines.base import Completion, Failure, Outcome, Request
from harness.errors import EngineError
from harness.project.deadlines import Deadlines
from tests.support.vllm_server import Exchange, FakeServer, every, write_model

Behaviour = Callable[[Exchange], Awaitable[None]]
SOON = Deadlines(first_token=1.5, engine_stall=1.5)
POISON = 7
"""A prompt that begins with it meets the fault."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def requests(count: int, method: Any = "greedy", poisoned: int | None = None) -> list[Request]:
    """Requests of six tokens; one of them may be poisoned."""
    decoding = Decoding(method=method, max_tokens=6, beam_width=2)
    return [
        Request(id=i, prompt_ids=(POISON if i == poisoned else 5, 10 + i, 3), decoding=decoding) for i in range(count)
    ]


def ask(model: Path, address: str, asked: list[Request], **options: Any) -> list[Outcome]:
    engine = open_engine("server", model, base_url=address, deadlines=SOON, **{"retries": 1, **options})
    try:
        return sorted(engine.generate(asked), key=lambda outcome: outcome.request_id)
    finally:
        engine.close()


def changed(**values: Any) -> Behaviour:
    """The right answer, with values of each choice replaced."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        for chunk in exchange.events():
            chunk["choices"][0].update(values)
            await exchange.event(chunk)

    return behave


def status(line: str, **headers: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.reply({"error": {"message": f"told {line}"}}, line, **headers)

    return behave


def first_event(change: Callable[[dict[str, Any]], object], *, end: bool = True) -> Behaviour:
    """One event, the right one or what ``change`` makes of it."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        chunk = exchange.events()[0]
        await exchange.event(change(chunk) or chunk)
        if not end:
            await asyncio.sleep(30)

    return behave


def raw(data: bytes, *, kind: str = "text/event-stream", **headers: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.head(kind=kind, **headers)
        await exchange.send(data)

    return behave


async def close_at_once(exchange: Exchange) -> None:
    exchange.writer.close()


async def hang_before_headers(exchange: Exchange) -> None:
    await asyncio.sleep(30)


async def drip(exchange: Exchange) -> None:
    await exchange.head()
    async for _ in every(0.05):
        await exchange.send(b":")


async def chatter(exchange: Exchange) -> None:
    await exchange.head()
    async for _ in every(0.05):
        await exchange.event({"model": exchange.body["model"], "choices": []})


async def too_many_tokens(exchange: Exchange) -> None:
    await exchange.head()
    chunk = exchange.events()[0]
    chunk["choices"][0]["token_ids"] = [3] * (exchange.body["max_tokens"] + 1)
    await exchange.event(chunk)


def logprobs(change: Callable[[dict[str, float]], dict[str, Any]]) -> Behaviour:
    def rows(chunk: dict[str, Any]) -> None:
        top = chunk["choices"][0]["logprobs"]["top_logprobs"]
        top[0] = change(top[0])

    return first_event(rows, end=False)


ONCE_AND_AGAIN = {
    "accept-and-close": (close_at_once, "disconnected"),
    "hang-before-headers": (hang_before_headers, "deadlines.first_token"),
    "hang-in-the-middle": (first_event(lambda chunk: None, end=False), "deadlines.engine_stall"),
    "one-byte-at-a-time": (drip, "deadlines.first_token"),
    "events-without-tokens": (chatter, "deadlines.first_token"),
    "ends-too-early": (first_event(lambda chunk: None), "before the answer did"),
    "done-too-early": (raw(b"data: [DONE]\n\n"), "before the answer did"),
    "wrong-content-length": (raw(b"data: {", content_length="5000"), "connection"),
    "error-in-the-stream": (first_event(lambda chunk: {"error": {"message": "CUDA"}}), "CUDA"),
    "408": (status("408 Request Timeout"), "HTTP 408"),
    "409": (status("409 Conflict"), "HTTP 409"),
    "429": (status("429 Too Many Requests", retry_after="0"), "HTTP 429"),
    "500": (status("500 Internal Server Error"), "HTTP 500"),
    "503": (status("503 Service Unavailable", retry_after="0"), "HTTP 503"),
}
"""Faults after which another attempt may succeed, with what the message says."""

NEVER_AGAIN = {
    "400": (status("400 Bad Request"), "told 400"),
    "401": (status("401 Unauthorized"), "HARNESS_API_KEY"),
    "404": (status("404 Not Found"), "HTTP 404"),
    "redirect": (status("307 Temporary Redirect", location="http://127.0.0.1:9/"), "redirects"),
    "html": (raw(b"<html>", kind="text/html"), "no stream of events"),
    "broken-json": (raw(b'data: {"choices": [\n\n'), "not what a vLLM server replies"),
    "no-utf-8": (raw(b'data: {"model": "\xff"}\n\n'), "not what a vLLM server replies"),
    "lone-surrogate": (raw(b'data: {"model": "\\ud800"}\n\n'), "not what a vLLM server replies"),
    "nested": (raw(b'data: {"error": ' + b"[" * 20000 + b"\n\n"), "not what a vLLM server replies"),
    "text-is-null": (changed(text=None), "not what a vLLM server replies"),
    "long-line": (raw(b"data: " + b" " * (2 << 20)), "bytes"),
    "compressed": (raw(b"\x1f\x8b", content_encoding="gzip"), "compressed"),
    "other-model": (first_event(lambda chunk: {**chunk, "model": "gpt"}), "'gpt' answered"),
    "two-answers": (first_event(lambda chunk: {**chunk, "choices": chunk["choices"] * 2}), "more than one answer"),
    "no-token-ids": (changed(token_ids=None), "token ids"),
    "huge-token-id": (changed(token_ids=[1 << 40]), "token id"),
    "negative-token-id": (changed(token_ids=[-1]), "token id"),
    "too-many-tokens": (too_many_tokens, "at most"),
    "unknown-end": (changed(finish_reason="repetition"), "finish reason 'repetition'"),
}
"""Faults that another attempt would meet as well."""

ROWS = {
    "no-rows": (changed(logprobs=None), "rows of log-probabilities"),
    "short-rows": (logprobs(lambda top: dict([*top.items()][:1])), "--max-logprobs"),
    "positive": (logprobs(lambda top: dict.fromkeys(top, 0.5)), "no log-probability"),
    "words": (logprobs(lambda top: {f"w{i}": v for i, v in enumerate(top.values())}), "no token id"),
    "long-number": (logprobs(lambda top: {f"token_id:{'9' * 6000}": -1.0, **top}), "no token id"),
    "without-its-token": (changed(token_ids=[39]), "its own row"),
    "text": (logprobs(lambda top: dict.fromkeys(top, "high")), "not what a vLLM server replies"),
}
"""Faults in what only a beam search reads."""


@pytest.mark.parametrize("method", ["greedy", "beam"])
@pytest.mark.parametrize(("behaviour", "words"), ONCE_AND_AGAIN.values(), ids=ONCE_AND_AGAIN.keys())
def test_a_fault_that_may_pass_is_tried_again_and_then_named(
    model: Path, behaviour: Behaviour, words: str, method: str
) -> None:
    """As often as the settings say, and never longer than the deadlines."""
    began = time.monotonic()
    with FakeServer(behaviour) as server:
        [outcome] = ask(model, server.address, requests(1, method))
    assert isinstance(outcome, Failure)
    assert words in outcome.message.lower() or words in outcome.message
    # A search whose first stream gave a row before it broke may have a second stream, which is tried as often.
    assert server.completions == 2 or (method == "beam" and server.completions <= 4)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("method", ["greedy", "beam"])
@pytest.mark.parametrize(("behaviour", "words"), NEVER_AGAIN.values(), ids=NEVER_AGAIN.keys())
def test_a_fault_that_cannot_pass_is_not_tried_again(
    model: Path, behaviour: Behaviour, words: str, method: str
) -> None:
    """A wrong request stays wrong, and a server that breaks the protocol does so again."""
    with FakeServer(behaviour) as server:
        [outcome] = ask(model, server.address, requests(1, method))
    assert isinstance(outcome, Failure)
    assert words in outcome.message
    assert server.completions == 1


@pytest.mark.parametrize(("behaviour", "words"), ROWS.values(), ids=ROWS.keys())
def test_rows_that_no_model_gives_end_a_beam_search(model: Path, behaviour: Behaviour, words: str) -> None:
    """An exact search needs every row to be whole."""
    with FakeServer(behaviour) as server:
        [outcome] = ask(model, server.address, requests(1, "beam"))
    assert isinstance(outcome, Failure)
    assert words in outcome.message


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_one_bad_request_of_twenty_spoils_no_other(model: Path, method: str) -> None:
    """The others' answers are those of a server without a fault."""

    async def behave(exchange: Exchange) -> None:
        await (
            status("500 Internal Server Error")(exchange) if exchange.body["prompt"][0] == POISON else exchange.answer()
        )

    with FakeServer() as server:
        right = ask(model, server.address, requests(20, method))
    with FakeServer(behave) as server:
        outcomes = ask(model, server.address, requests(20, method, poisoned=11), retries=0)
    assert [o.request_id for o in outcomes if isinstance(o, Failure)] == [11]
    assert [_content(o) for o in outcomes if o.request_id != 11] == [_content(o) for o in right if o.request_id != 11]


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_server_that_recovers_is_waited_for(model: Path, method: str) -> None:
    """Two faults, then answers."""

    async def behave(exchange: Exchange) -> None:
        await (status("503 Service Unavailable")(exchange) if exchange.number < 3 else exchange.answer())

    with FakeServer(behave) as server:
        [outcome] = ask(model, server.address, requests(1, method), retries=2)
    assert isinstance(outcome, Completion)


def test_a_broken_stream_of_a_beam_search_goes_on_where_it_broke(model: Path) -> None:
    """Rows that have come are not computed again, and the answer is the same."""

    async def behave(exchange: Exchange) -> None:
        if exchange.number > 1:
            await exchange.answer()
            return
        await exchange.head()
        for chunk in exchange.events()[:2]:
            await exchange.event(chunk)

    with FakeServer() as server:
        [right] = ask(model, server.address, requests(1, "beam"))
    with FakeServer(behave) as server:
        [outcome] = ask(model, server.address, requests(1, "beam"))
    assert _content(outcome) == _content(right)


def test_servers_that_answer_nothing_any_more_are_given_up(model: Path) -> None:
    """After twenty requests in a row, and not after thousands."""
    with FakeServer(status("500 Internal Server Error")) as server, pytest.raises(EngineError, match="20 requests"):
        ask(model, server.address, requests(400), retries=0)
    assert server.completions < 120


def test_no_server_is_an_error_before_anything_is_generated(model: Path) -> None:
    """With the address."""
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9: ConnectError"):
        ask(model, "http://127.0.0.1:9/v1", requests(1))


def test_a_second_server_takes_over_from_one_that_dies(model: Path) -> None:
    """Every request is answered."""

    async def die(exchange: Exchange) -> None:
        if exchange.number > 3:
            exchange.writer.close()
        else:
            await exchange.answer()

    with FakeServer(die) as one, FakeServer() as other:
        outcomes = ask(model, f"{one.address},{other.address}", requests(20, "beam"), retries=2, max_num_seqs=8)
    assert all(isinstance(outcome, Completion) for outcome in outcomes)


def test_servers_of_different_versions_are_refused(model: Path) -> None:
    """Their answers would not be comparable."""
    with (
        FakeServer() as one,
        FakeServer(version="0.31.0") as other,
        pytest.raises(EngineError, match="different versions"),
    ):
        ask(model, f"{one.address},{other.address}", requests(1))


def test_the_key_is_sent_to_the_server_and_written_nowhere(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes from the environment, and errors that repeat it do not show it."""
    monkeypatch.setenv("HARNESS_API_KEY", "sk-CANARY-0123456789")
    with FakeServer(key="sk-CANARY-0123456789") as server:
        [outcome] = ask(model, server.address, requests(1))
    assert isinstance(outcome, Completion)
    assert "CANARY" not in caplog.text
    assert "CANARY" not in repr(outcome)


def test_a_server_without_the_right_key_says_which_variable_it_wants(model: Path) -> None:
    """Before anything is generated."""
    with FakeServer(key="sk-CANARY-0123456789") as server, pytest.raises(EngineError, match="HARNESS_API_KEY"):
        ask(model, server.address, requests(1))


def test_a_redirect_is_not_followed_with_the_key(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other server is never asked."""
    monkeypatch.setenv("HARNESS_API_KEY", "sk-CANARY-0123456789")
    with FakeServer() as other:

        async def redirect(exchange: Exchange) -> None:
            await exchange.reply({}, "307 Temporary Redirect", location=f"{other.address}/completions")

        with FakeServer(redirect) as server:
            [outcome] = ask(model, server.address, requests(1))
    assert isinstance(outcome, Failure)
    assert other.requests == []


def test_leaving_early_closes_the_connections(model: Path) -> None:
    """A server goes on with what nobody reads otherwise."""
    with FakeServer(drip) as server:
        opened = open_engine("server", model, base_url=server.address, deadlines=Deadlines())
        outcomes = opened.generate(requests(3))
        began = time.monotonic()
        close = getattr(outcomes, "close")  # noqa: B009 - an iterator has none by its type
        close()
        opened.close()
    assert time.monotonic() - began < 5


def _content(outcome: Outcome) -> str:
    assert isinstance(outcome, Completion)
    return json.dumps([outcome.text, outcome.token_ids, outcome.logprob, outcome.score, outcome.finish_reason])
