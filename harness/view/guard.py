"""Who may ask the page, and the headers that every answer carries.

The page shows production prompts and changes files, and any web site can make a browser send requests to this machine.
So three things are asked of every request: the token that was printed at the start (once in the address, then in a
cookie), a ``Host`` of this machine (against DNS rebinding), and for every change a header and an ``Origin`` that no
other site can send (against request forgery).

Not supported: several users, other machines. Use ``ssh -L`` to look from elsewhere.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

MAX_BODY = 2 * 1024 * 1024
"""Bytes of a change; an answer of a model is far smaller."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'"


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._cookie = f"harness-{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Why a request is not answered by the application; None when it is."""
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self._hosts:
            return PlainTextResponse("This page answers on 127.0.0.1 and localhost only.", status_code=421)
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is not None and scope["method"] == "GET":
            return self._welcome(scope, given, [(n, v) for n, v in query if n != "token"])
        if not self._knows(self._cookie_of(headers)):
            return PlainTextResponse("Open the address that harness view printed; it holds the token.", status_code=403)
        if scope["method"] not in ("GET", "HEAD"):
            return self._change_refusal(headers)
        return None

    def _welcome(self, scope: Scope, given: str, rest: list[tuple[str, str]]) -> Response:
        """Keep the token in a cookie and take it out of the address, where it could be copied along."""
        if not self._knows(given):
            return PlainTextResponse("Wrong token; open the address that harness view printed.", status_code=403)
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), status_code=303)
        answer.set_cookie(self._cookie, given, httponly=True, samesite="strict", path="/")
        return answer

    def _change_refusal(self, headers: Headers) -> Response | None:
        origin = headers.get("origin", "")
        if headers.get("x-harness") != "1" or (origin and origin.removeprefix("http://") not in self._hosts):
            return PlainTextResponse("A change must come from this page.", status_code=403)
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            return PlainTextResponse("A change is JSON.", status_code=415)
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            return PlainTextResponse("A change has at most 2 MiB, and says its length.", status_code=413)
        return None

    def _cookie_of(self, headers: Headers) -> str:
        cookie: SimpleCookie = SimpleCookie()
        try:
            cookie.load(headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookie[self._cookie].value if self._cookie in cookie else ""

    def _knows(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", _POLICY)
        await send(message)

    return wrapped
