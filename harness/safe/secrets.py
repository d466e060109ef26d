"""Keeps keys out of everything that is written: terminal, reports, database, JSON.

A key reaches a text in ways that nobody plans: a server repeats it in an error, an address holds it, a library puts a
header into an exception. So no place that makes a text has to think of it. The functions that make text safe for an
output (:mod:`harness.safe.escape`) and the records (:mod:`harness.safe.records`) replace every known secret.

Known are the values of environment variables whose names say so (``..._KEY``, ``..._TOKEN``, ``..._SECRET``,
``..._PASSWORD``), and what :func:`keep_secret` was called with. Each is found plain, URL-encoded and in base64.

Trade-off: values under eight characters are not replaced, since they occur by chance. Logs of child processes are
written by these processes.
"""

from __future__ import annotations

import base64
import os
import re
from functools import cache
from urllib.parse import quote

__all__ = ["keep_secret", "names_secret", "scrub"]

_MASK = "***"
_MIN_LENGTH = 8
_NAMES = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD)$")
_USER_IN_URL = re.compile(r"(?<=://)[^\s/@'\"]+@")
_secrets: set[str] = set()


def keep_secret(value: str) -> None:
    """Replace ``value`` in every text that is written from now on."""
    if len(value) >= _MIN_LENGTH and value not in _secrets:
        _secrets.add(value)
        _forms.cache_clear()


def names_secret(name: str) -> bool:
    """Whether an environment variable of that name holds a key."""
    return _NAMES.search(name.upper()) is not None


def scrub(text: str) -> str:
    """``text`` with every known secret, and the user part of every URL, as ``***``."""
    for form in _forms():
        if form in text:
            text = text.replace(form, _MASK)
    return _USER_IN_URL.sub(f"{_MASK}@", text) if "://" in text and "@" in text else text


@cache
def _forms() -> tuple[str, ...]:
    """Every form of every secret, the longest first."""
    named = {v for k, v in os.environ.items() if names_secret(k) and len(v.strip()) >= _MIN_LENGTH}
    forms: set[str] = set()
    for secret in {part for value in (*named, *_secrets) for part in (value, value.strip())}:
        raw = secret.encode("utf-8", "surrogateescape")
        forms |= {secret, quote(raw, safe=""), base64.b64encode(raw).decode().rstrip("=")}
        # As JSON and Python's repr write it.
        forms |= {secret.replace("\n", "\\n").replace("\r", "\\r")}
    return tuple(sorted(forms, key=len, reverse=True))
