"""A stand-in for the hub on this machine: takes a repository's files as huggingface_hub sends them, and keeps them."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["Hub"]


class Hub:
    """Runs while its ``with`` block does; ``files`` holds what was committed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.repositories: list[dict[str, Any]] = []
        self.objects: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say({"siblings": [], "id": "me/model", "sha": "0" * 40, "private": True, "tags": []})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path == "/api/repos/create":
                hub.repositories.append(json.loads(body))
                self._say({"url": f"{hub.address}/me/model", "name": "me/model", "id": "1"})
            elif "/preupload/" in self.path:
                names = [f["path"] for f in json.loads(body)["files"]]
                mode = {n: "lfs" if n.endswith(".safetensors") else "regular" for n in names}
                self._say({"files": [{"path": n, "uploadMode": mode[n], "shouldIgnore": False} for n in names]})
            elif self.path.endswith("/objects/batch"):
                wanted = json.loads(body)["objects"]
                self._say(
                    {"transfer": "basic", "objects": [self._object(o) for o in wanted]}, "application/vnd.git-lfs+json"
                )
            elif "/commit/" in self.path:
                for line in body.splitlines():
                    self._commit(json.loads(line))
                address = f"{hub.address}/me/model/commit/{'0' * 40}"
                self._say({"success": True, "commitUrl": address, "commitOid": "0" * 40})
            else:
                self._say({})

        def do_PUT(self) -> None:
            hub.objects[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["content-length"]))
            self._say({})

        def _object(self, wanted: dict[str, Any]) -> dict[str, Any]:
            upload = {"href": f"{hub.address}/put/{wanted['oid']}"}
            return {**wanted, "authenticated": True, "actions": {"upload": upload}}

        def _commit(self, line: dict[str, Any]) -> None:
            value = line["value"]
            if line["key"] == "file":
                hub.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                hub.files[value["path"]] = hub.objects[value["oid"]]

        def _say(self, value: dict[str, Any], kind: str = "application/json") -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
