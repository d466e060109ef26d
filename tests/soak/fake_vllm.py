"""A package of the name vllm that serves nothing: what ``harness serve`` starts in its place.

It stands first in PYTHONPATH, so the harness starts it as it starts the real one: with its words, its key, its log and
a process of its own, which holds a further one as vLLM's engine does. It answers ``/health`` and no prompt.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from tests.soak.places import PATH

__all__ = ["vllm_path"]

_SERVER = """
import http.server, os, subprocess, sys, time

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass

engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
time.sleep(0.3)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""


@cache
def _folder() -> Path:
    place = Path(tempfile.mkdtemp(prefix="soak-vllm-"))
    package = place / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "api_server.py").write_text(_SERVER, "utf-8")
    facts = place / "vllm-0.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.0\n", "utf-8")
    return place


def vllm_path() -> dict[str, str]:
    """The environment in which this package is vLLM."""
    return {"PYTHONPATH": os.pathsep.join([str(_folder()), PATH])}
