"""A server that speaks vLLM's protocol over a model that is a table, and breaks in the ways that it is told to.

It writes its replies byte by byte, since most faults are none that a web framework would make.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

__all__ = ["END", "MODEL", "VOCABULARY", "Exchange", "FakeServer", "logprobs_after", "write_model"]

MODEL = "table"
VOCABULARY = 40
END = 1


def logprobs_after(ids: Sequence[int], model: str = MODEL) -> np.ndarray:
    """The next-token log-probabilities after ``ids``, float32; of another model, others."""
    digest = hashlib.sha256(f"{model}{len(ids)} {ids[-1]}".encode()).digest()
    logits = np.random.default_rng(int.from_bytes(digest[:8], "little")).normal(size=VOCABULARY)
    found: np.ndarray = (logits - np.log(np.exp(logits).sum())).astype(np.float32)
    return found


def write_model(folder: Path) -> Path:
    """The folder of the table's tokenizer: one word for each token."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    folder.mkdir(parents=True, exist_ok=True)
    words = {"<end>" if i == END else f"w{i}": i for i in range(VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>"}))
    (folder / "config.json").write_text(json.dumps({"eos_token_id": END, "max_position_embeddings": 512}))
    return folder


@dataclass
class Exchange:
    """One request, and where its reply is written."""

    body: dict[str, Any]
    number: int
    """Of the requests for a completion, from 1."""
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: str = "200 OK", kind: str = "text/event-stream", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def reply(self, value: object, status: str = "200 OK", **headers: str) -> None:
        await self.head(status, "application/json", **headers)
        await self.send(json.dumps(value).encode())

    async def event(self, value: object) -> None:
        await self.send(b"data: " + json.dumps(value).encode() + b"\n\n")

    def events(self) -> list[dict[str, Any]]:
        """The chunks of the right answer."""
        ids, chunks = list(self.body["prompt"]), []
        for left in range(self.body["max_tokens"], 0, -1):
            row = logprobs_after(ids, self.body["model"])
            token = int(row.argmax())
            ids.append(token)
            ended = token in self.body.get("stop_token_ids", []) and not self.body.get("ignore_eos")
            reason = "stop" if ended else "length" if left == 1 else None
            chunks.append(self._chunk(token, row, reason))
            if ended:
                break
        return chunks

    def _chunk(self, token: int, row: np.ndarray, reason: str | None) -> dict[str, Any]:
        width = self.body.get("logprobs")
        order = np.argsort(-row, kind="stable")
        top = {f"token_id:{i}": float(row[i]) for i in order[: width or 0]}
        choice = {
            "index": 0, "text": f" w{token}", "token_ids": [token], "finish_reason": reason,
            "logprobs": {"top_logprobs": [top]} if width else None,
        }  # fmt: skip
        return {"id": "cmpl-1", "model": self.body["model"], "choices": [choice]}

    async def answer(self) -> None:
        """The right answer."""
        await self.head()
        for chunk in self.events():
            await self.event(chunk)
        await self.send(b"data: [DONE]\n\n")


Behaviour = Callable[[Exchange], Awaitable[None]]


class FakeServer:
    """Serves on a loopback port, in a thread, until the ``with`` block ends."""

    def __init__(
        self, behaviour: Behaviour = Exchange.answer, *, adapters: Sequence[str] = (), key: str = "", limit: int = 512,
        version: str = "0.32.0",
    ) -> None:  # fmt: skip
        """``behaviour`` answers requests for completions; everything else is always right."""
        self.completions = 0
        self.loads: list[dict[str, Any]] = []
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        """Path and headers of everything that was asked."""
        self.address = ""
        self._behaviour = behaviour
        self._adapters = list(adapters)
        self._key, self._limit, self._version = key, limit, version
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def call(self, function: Callable[[], None]) -> None:
        """Call ``function`` in the server's own thread."""
        self._loop.call_soon_threadsafe(function)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None] | None] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            if task is not None:
                task.cancel()
        await asyncio.sleep(0.02)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._exchange(reader, writer)
        self._tasks.discard(task)
        writer.transport.abort() if self._stop.is_set() else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = first.split()[1]
        self.requests.append((path, headers))
        await self._route(path, headers, Exchange(json.loads(body or b"{}"), self.completions, writer))

    async def _route(self, path: str, headers: Mapping[str, str], exchange: Exchange) -> None:
        if path == "/version":
            await exchange.reply({"version": self._version})
        elif self._key and headers.get("authorization") != f"Bearer {self._key}":
            await exchange.reply({"error": "Unauthorized"}, "401 Unauthorized")
        elif path == "/v1/models":
            base = {"id": MODEL, "root": MODEL, "parent": None, "max_model_len": self._limit}
            more = [{"id": name, "root": f"/adapters/{name}", "parent": MODEL} for name in self._adapters]
            await exchange.reply({"object": "list", "data": [base, *more]})
        elif path == "/v1/load_lora_adapter":
            self.loads.append(exchange.body)
            self._adapters.append(exchange.body["lora_name"])
            await exchange.reply("Success")
        elif path == "/v1/completions":
            self.completions += 1
            exchange.number = self.completions
            await self._behaviour(exchange)
        else:
            await exchange.reply({"error": {"message": "no such path"}}, "404 Not Found")


async def every(seconds: float) -> AsyncIterator[None]:
    """Forever, at that interval."""
    while True:
        yield
        await asyncio.sleep(seconds)
