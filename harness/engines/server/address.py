"""Which servers to ask, and with which key: the part of a server engine that comes from settings.

Invariant: the key comes from the environment alone and is sent to these addresses only. An address with a user name or
a password is refused, because addresses are printed and recorded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.errors import SettingsError

__all__ = ["KEY_VARIABLE", "api_key", "read_addresses"]

KEY_VARIABLE = "HARNESS_API_KEY"
"""Environment variable of the servers' API key."""


def read_addresses(text: str) -> tuple[str, ...]:
    """The servers of ``--base-url``, without the final ``/v1``.

    Args:
        text: addresses such as ``http://host:8000/v1``, separated by commas.

    Raises:
        SettingsError: none is given, or one is not an http(s) address without user and query.
    """
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise SettingsError("engine 'server' needs the server's address: --base-url http://HOST:PORT/v1, or base_url =")
    return tuple(dict.fromkeys(_address(part) for part in found))


def api_key(environment: Mapping[str, str] | None = None) -> str:
    """The key from the environment; empty for servers that want none.

    Raises:
        SettingsError: it holds what no HTTP header can.
    """
    key = (os.environ if environment is None else environment).get(KEY_VARIABLE, "").strip()
    if not all(33 <= ord(char) < 127 for char in key):
        raise SettingsError(f"environment variable {KEY_VARIABLE} holds characters that no HTTP header can")
    return key


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"base_url: {_shown(text)}: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise SettingsError(f"base_url: an address holds no user and password; put the key into {KEY_VARIABLE}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"base_url: {_shown(text)} is not an address such as http://HOST:8000/v1")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"


def _shown(text: str) -> str:
    """An address for a message, without what may be a password."""
    head, at, rest = text.rpartition("@")
    return repr(f"{head.partition('://')[0]}://...@{rest}" if at else text)
