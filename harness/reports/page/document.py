"""The whole page as one document: style sheet and script inside, allowed by their hashes and by nothing else.

The report file carries its data; ``harness view`` lets the script fetch it. Apart from that they are the same page.
Trade-off: without a script the cases are not shown, only the figures above them; a mail program shows those.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from harness.language import catalog, language, tr
from harness.reports.markup import Child, Html, el, join, raw

__all__ = ["case_section", "document", "policy"]

_PARTS = ("base", "diff", "list", "detail", "page")
_LIVE_PARTS = ("base", "diff", "list", "detail", "edit", "live", "page")


def document(title: str, *body: Child, live: Mapping[str, Any] | None = None, data: str | None = None) -> str:
    """A page.

    Args:
        title: of the window.
        body: elements; plain strings are escaped.
        live: where the script of ``harness view`` finds a run's cases, empty for a page without them; None for a report
            file.
        data: the packed cases of a report file.
    """
    config = {"catalog": dict(catalog(language())), "live": live is not None, **(live or {})}
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy(live=live is not None)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("style", raw(style_sheet())),
    )
    parts: list[Child] = [
        *body,
        el("div", id="notes", role="status", hidden=True),
        el("dialog", id="help", aria_label=tr("Keyboard")),
        el("script", raw(_json(config)), type="application/json", id="config"),
        el("script", raw(data), type="application/octet-stream", id="data") if data is not None else None,
        el("script", raw(script(live=live is not None))),
    ]
    lang = "zh-CN" if language() == "zh" else "en"
    return raw("<!doctype html>\n") + el("html", head, el("body", parts), lang=lang) + "\n"


def policy(*, live: bool) -> str:
    """The content security policy: this style sheet and this script, and for ``harness view`` its own server."""
    connect = "connect-src 'self'; " if live else ""
    return (
        f"default-src 'none'; style-src {_hash(style_sheet())}; script-src {_hash(script(live=live))}; {connect}"
        "base-uri 'none'; form-action 'none'"
    )


def case_section() -> Html:
    """The place of the list and of the chosen case; the script fills it."""
    keyboard = tr("Keyboard")
    button = el("button", "?", type="button", id="keys", class_="plain", title=keyboard, aria_label=keyboard)
    panes = (el("div", id="list"), el("div", id="detail", class_="card", tabindex="-1"))
    return join(
        el("noscript", el("p", tr("The cases are shown by a script, which is switched off here."), class_="warn")),
        el(
            "section",
            el("div", el("h2", tr("Cases")), button, class_="title"),
            el("div", id="toolbar"),
            el("div", panes, class_="panes"),
            id="cases",
            hidden=True,
        ),
        el("div", id="printed"),
    )


@cache
def style_sheet() -> str:
    """The style sheet's text."""
    return "\n" + _file("page.css")


@cache
def script(*, live: bool) -> str:
    """The script's text, with or without what needs a server."""
    return '\n"use strict";\n' + "\n".join(_file(f"{name}.js") for name in (_LIVE_PARTS if live else _PARTS))


def _hash(text: str) -> str:
    """The source expression that allows exactly ``text`` in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return resources.files("harness.reports.page").joinpath(name).read_text("utf-8")


def _json(value: Mapping[str, Any]) -> str:
    """JSON that no letter of can end the script element that holds it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
