"""The language of what people read: English, or Chinese.

English sentences are the keys, as with gettext, so the code reads as what it says. A catalog is a JSON file beside this
module, because the page's script uses the same one. A sentence without a translation stays English. Values are put in
with ``str.format``; they are never translated. The language is chosen once, by the setting ``language`` or the locale.

Not supported: translated errors, option help and stored reasons. They are searched for, quoted in issues and matched by
tools, and one wording serves that best.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

__all__ = ["LANGUAGES", "catalog", "language", "locale_language", "set_language", "tr"]

LANGUAGES = ("en", "zh")

_language: ContextVar[str] = ContextVar("language", default="en")


def tr(sentence: str, /, **values: object) -> str:
    """``sentence`` in the language of this process, with ``{name}`` replaced by the values."""
    text = catalog(_language.get()).get(sentence, sentence)
    return text.format(**values) if values else text


def language() -> str:
    """The language in force: ``en`` or ``zh``."""
    return _language.get()


def set_language(name: str) -> None:
    """Choose the language; ``""`` takes the locale's.

    Raises:
        ValueError: an unknown language; the setting's own check names it first.
    """
    chosen = name or locale_language(os.environ)
    if chosen not in LANGUAGES:
        raise ValueError(f"language {chosen!r}; known: {', '.join(LANGUAGES)}")
    _language.set(chosen)


def locale_language(environment: Mapping[str, str]) -> str:
    """The language of the locale (``LC_ALL``, ``LC_MESSAGES``, ``LANG``, in the order of POSIX); ``en`` if unknown."""
    value = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := environment.get(n))), "")
    return "zh" if value.lower().startswith("zh") else "en"


@cache
def catalog(name: str) -> Mapping[str, str]:
    """Translations of a language by English sentence; empty for English."""
    if name == "en":
        return {}
    text = (files(__package__) / f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
