"""The child's side of :mod:`harness.engines.server.launch`: vLLM's server, ended with everything that it started.

vLLM's engine runs in processes of its own, which stay when the server is killed. So a thread waits until stdin closes,
which it does also after ``kill -9`` of the parent, and then ends the whole process group. ``vllm serve`` cannot be
used: vLLM 0.32 for CPUs does not find its own distribution there.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True, name="end-with-parent").start()
    sys.argv[0] = "vllm"
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")
