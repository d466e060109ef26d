"""The child's side of :mod:`harness.engines.server.launch`: vLLM's OpenAI server, ended by the kernel with its parent.

``vllm serve`` cannot be used: vLLM 0.32 for CPUs does not find its own distribution there.
"""

from __future__ import annotations

import runpy
import sys

from harness.engines.process_child import die_with

if __name__ == "__main__":
    die_with(int(sys.argv.pop(1)))
    sys.argv[0] = "vllm"
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")
