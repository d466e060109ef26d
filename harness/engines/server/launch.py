"""Starts vLLM's own OpenAI server on this machine: loopback, with a key, ended with its parent.

The key goes through the environment, since a command line can be read by every user of the machine. Adapters are loaded
at run time from checked folders, which vLLM allows only where it is told to; the key and the loopback address are what
keeps others from doing so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from harness.engines.process import last_words
from harness.engines.vllm_options import command_line
from harness.errors import EngineError

__all__ = ["LaunchedServer"]

_HOST = "127.0.0.1"
_PATIENCE = 20.0
"""Seconds that a server gets to end by itself."""


class LaunchedServer:
    """vLLM's server in a child process."""

    def __init__(self, options: Mapping[str, Any], *, name: str, port: int, key: str, log_path: Path) -> None:
        """Start it; it loads while the caller goes on.

        Args:
            options: keyword arguments of vLLM's ``LLM``.
            name: under which the model is served.
            port: a free one on the loopback interface.
            key: that callers must send.
            log_path: where its output goes.

        Raises:
            EngineError: the process cannot be started.
        """
        self.address = f"http://{_HOST}:{port}"
        self._log_path = log_path
        words = command_line({**options, "served_model_name": name, "host": _HOST, "port": port})
        command = [
            sys.executable, "-m", "harness.engines.server.child", *words,
            "--disable-uvicorn-access-log", "--generation-config", "vllm",
        ]  # fmt: skip
        here = str(Path(__file__).resolve().parents[3])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "VLLM_API_KEY": key,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "WARNING"),
        }
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            with log_path.open("ab") as log:
                self._child = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
                )
        except OSError as error:
            raise EngineError(f"cannot start vLLM's server: {error.strerror or error}") from error

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_until_ready(self, seconds: float) -> None:
        """Return when it takes requests.

        Args:
            seconds: that it gets; 0 is no limit.

        Raises:
            EngineError: it ended, or was not ready in time.
        """
        began = time.monotonic()
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.address}/health", timeout=5.0, trust_env=False).status_code == 200:
                    return
            if (code := self._child.poll()) is not None:
                raise EngineError(f"vLLM's server ended with code {code}{self._words()}")
            if 0 < seconds < time.monotonic() - began:
                raise EngineError(
                    f"vLLM's server was not ready within {seconds:g} seconds (deadlines.engine_start){self._words()}"
                )
            time.sleep(0.5)

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        return self._child.wait()

    def close(self) -> None:
        """End it and everything that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_PATIENCE)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()

    def _words(self) -> str:
        words = last_words(self._log_path)
        return f"{f': {words}' if words else ''}; its log: {self._log_path}"
