"""One server over HTTP: requests with deadlines and limits of size, and every way to fail told apart.

A fault is :class:`~harness.engines.server.replies.Unreachable` where another attempt may succeed (no connection, 408,
409, 425, 429, 5xx, silence, a broken stream), else ``Refused`` or ``Garbled``. Redirects are not followed and proxies
of the environment are not used, so the key reaches no other address. Replies are asked for and read uncompressed.

A sign of life is a token: a server that sends anything else goes on to be silent.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from harness.engines.server.replies import Chunk, Fault, Garbled, Refused, Unreachable, error_text, read_chunk

__all__ = ["Patience", "Replica", "pause"]

_AGAIN = frozenset({408, 409, 425, 429})
_MAX_BODY = 8 << 20
"""Bytes of a reply that is not streamed."""
_MAX_LINE = 1 << 20
"""Bytes of one event; a row of 1,000 log-probabilities has 40,000."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts, doubled each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is waited for, seconds; 0 is no limit."""

    connect: float
    first_token: float
    """From the request to its first token, or to the whole reply where it is not streamed."""
    stall: float
    """Without a token, after the first."""


def pause(attempt: int, fault: Fault) -> float:
    """Seconds to wait before attempt ``attempt + 1`` (1 is the first): exponential with full jitter, or as asked."""
    backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (attempt - 1)) * random.random()  # noqa: S311 - no secret
    return max(backoff, min(fault.retry_after or 0.0, _LONGEST_PAUSE))


class Replica:
    """A server of one base model and some adapters."""

    def __init__(self, address: str, key: str, patience: Patience) -> None:
        """A client of the server at ``address``; connects on first use, in the event loop of its first use."""
        self.address = address
        self._patience = patience
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._client = httpx.AsyncClient(
            base_url=address, headers=headers, follow_redirects=False, trust_env=False,
            verify=ssl.create_default_context(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            # The time to the first byte and between bytes is measured in tokens, below.
            timeout=httpx.Timeout(None, connect=patience.connect or None, write=30.0),
        )  # fmt: skip

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(self, path: str) -> bytes:
        """The body of a small reply.

        Raises:
            Fault: there is none.
        """
        seconds = 3 * self._patience.connect
        try:
            async with asyncio.timeout(seconds or None), self._asked("GET", path, None) as response:
                return await self._body(response)
        except TimeoutError as error:
            raise Unreachable(f"no reply within {seconds:g} seconds") from error

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The body of a reply that comes at once, or not within the time to a first token.

        Raises:
            Fault: there is none.
        """
        try:
            async with asyncio.timeout(self._patience.first_token or None), self._asked("POST", path, body) as response:
                return await self._body(response)
        except TimeoutError as error:
            raise Unreachable(
                f"no reply within {self._patience.first_token:g} seconds (deadlines.first_token)"
            ) from error

    async def stream(self, body: dict[str, Any], *, rows: int) -> AsyncGenerator[Chunk, None]:
        """The chunks of one streamed completion, until its finish reason.

        Args:
            body: the request.
            rows: log-probabilities that each token must have.

        Raises:
            Fault: it did not come to its end.
        """
        left = body["max_tokens"]
        async with self._watched() as deadline, self._asked("POST", "/v1/completions", body) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise Garbled("the server sends no stream of events; is it vLLM's OpenAI server?")
            async for event in _events(response):
                chunk = read_chunk(event, model=body["model"], rows=rows, most=left)
                if chunk is None:
                    continue
                left -= len(chunk.token_ids)
                if chunk.token_ids:
                    seconds = self._patience.stall
                    deadline.reschedule(asyncio.get_running_loop().time() + seconds if seconds else None)
                yield chunk
                if chunk.finish_reason is not None:
                    return
        raise Unreachable("the stream ended before the answer did")

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[asyncio.Timeout]:
        try:
            async with asyncio.timeout(self._patience.first_token or None) as deadline:
                yield deadline
        except TimeoutError as error:
            raise Unreachable(
                f"no first token within {self._patience.first_token:g} seconds (deadlines.first_token), or no other "
                f"for {self._patience.stall:g} (deadlines.engine_stall)"
            ) from error

    @asynccontextmanager
    async def _asked(self, method: str, path: str, body: dict[str, Any] | None) -> AsyncIterator[httpx.Response]:
        try:
            async with self._client.stream(method, path, json=body) as response:
                if response.status_code != 200:
                    raise await self._status(response)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise Garbled("the reply is compressed although that was not asked for")
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"{type(error).__name__}: {error or 'the connection broke'}") from error
        except httpx.HTTPError as error:
            raise Garbled(f"{type(error).__name__}: {error}") from error

    async def _status(self, response: httpx.Response) -> Fault:
        code = response.status_code
        text = f"HTTP {code}: {error_text(await self._body(response, 1 << 16))}"
        if code in _AGAIN or code >= 500:
            fault: Fault = Unreachable(text)
            after = response.headers.get("retry-after", "")
            fault.retry_after = float(after) if after.isdecimal() and len(after) < 6 else None
            return fault
        if code in (401, 403):
            return Refused(f"{text}; put the server's key into the environment variable HARNESS_API_KEY")
        if 300 <= code < 400:
            return Refused(f"HTTP {code}: it redirects to another address, which is not followed; give that address")
        return Refused(text)

    async def _body(self, response: httpx.Response, most: int = _MAX_BODY) -> bytes:
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > most:
                raise Garbled(f"a reply of more than {most} bytes")
        return bytes(body)


async def _events(response: httpx.Response) -> AsyncIterator[bytes]:
    """The data of server-sent events, one line each, as vLLM sends them; ends at ``[DONE]``."""
    buffer = bytearray()
    async for part in response.aiter_raw():
        buffer += part
        *lines, rest = buffer.split(b"\n")
        buffer = bytearray(rest)
        if len(buffer) > _MAX_LINE or any(len(line) > _MAX_LINE for line in lines):
            raise Garbled(f"an event of more than {_MAX_LINE} bytes")
        for line in lines:
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield bytes(data)
