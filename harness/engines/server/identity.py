"""Which engine a server is, for the key of stored answers: asked of the server itself, before anything is generated.

A server says its version and the name of its model, but not the digest of the weights, the precision or the
quantisation. What these change shows in log-probabilities, which every run compares with recorded ones
(harness/engines/fingerprint.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.engines.base import EngineInfo
from harness.engines.server.address import api_key, read_addresses
from harness.engines.server.replica import Patience, Replica
from harness.engines.server.replies import Fault, Garbled, read_version
from harness.errors import EngineError

__all__ = ["server_info"]

_CONNECT = 10.0


def server_info(
    *, base_url: str = "", connect_timeout: float = _CONNECT, key: str | None = None, **_: object
) -> EngineInfo:
    """The identity of the servers at ``base_url``.

    Raises:
        SettingsError: an address is wrong.
        EngineError: a server does not answer, or they are of different versions.
    """
    addresses = read_addresses(base_url)
    versions = asyncio.run(_versions(addresses, api_key() if key is None else key, connect_timeout))
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{address}: {version}" for address, version in versions.items())
        raise EngineError(f"the servers are of different versions ({told}); their answers would not be comparable")
    return EngineInfo("server", f"vllm {next(iter(versions.values()))}")


async def _versions(addresses: Sequence[str], key: str, connect: float) -> dict[str, str]:
    versions = {}
    for address in addresses:
        replica = Replica(address, key, Patience(connect=connect, first_token=connect, stall=connect))
        try:
            version = read_version(await replica.get("/version"))
            if not version.isprintable() or len(version) > 100:
                raise Garbled("its version is no version")
            versions[address] = version
        except Fault as fault:
            raise EngineError(f"server {address}: {fault}") from fault
        finally:
            await replica.close()
    return versions
