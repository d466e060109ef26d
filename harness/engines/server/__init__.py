"""An engine that runs elsewhere: vLLM's OpenAI-compatible server, one or several, asked over HTTP."""

from harness.engines.server.address import KEY_VARIABLE, api_key, read_addresses
from harness.engines.server.engine import ServerEngine
from harness.engines.server.identity import server_info

__all__ = ["KEY_VARIABLE", "ServerEngine", "api_key", "read_addresses", "server_info"]
