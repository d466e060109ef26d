"""HTML made of elements, so that no string becomes markup by accident.

Every child and every attribute value that is a plain ``str`` is escaped; only the result of :func:`el` is trusted. A
forgotten escape is impossible, and joining trusted markup with ``+`` gives an untrusted string. Trade-off: no
templates; a page of this size is readable as Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from harness.safe.escape import for_html

__all__ = ["Child", "Html", "el", "join", "raw", "table"]

_VOID = frozenset({"br", "circle", "input", "line", "meta", "polyline", "rect"})


class Html(str):
    """Markup that is safe to write as it is."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"
"""A string (escaped unless it is :class:`Html`), nothing, or several."""


def el(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """One element.

    Args:
        tag: its name, a literal of the calling code.
        children: strings are escaped, :class:`Html` is taken as it is, None is left out; iterables are flattened.
        attributes: ``class_`` stands for ``class``, other underscores for hyphens; True is written bare, False and
            None are left out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in _VOID:
        # The slash is nothing to HTML and everything to SVG.
        return Html(f"<{tag}{written}/>")
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """Concatenate children; plain strings are escaped."""
    return Html("".join(_flat(children)))


def raw(text: str) -> Html:
    """Mark text of the calling code as safe: a style sheet, a doctype. Never use it for input."""
    return Html(text)


def table(columns: Sequence[str], rows: Sequence[Html], numbers_from: int = 1) -> Html:
    """A table in a card; columns from ``numbers_from`` on are aligned to the right."""
    head = [
        el("th" if name else "td", name, class_="num" if n >= numbers_from else None) for n, name in enumerate(columns)
    ]
    whole = el("table", el("thead", el("tr", head)), el("tbody", rows))
    return el("div", el("div", whole, class_="scroll", tabindex="0"), class_="card")


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str):
            yield for_html(child)
        else:
            yield from _flat(child)


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{for_html(str(value))}"'
