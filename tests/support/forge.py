"""A scripted server that keeps comments as GitHub and GitLab do, on this machine."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Forge", "running_forge"]

_GITHUB = re.compile(r"/repos/team/models/issues/(?:7/comments|comments/(\d+))")
_GITLAB = re.compile(r"/projects/42/merge_requests/7/notes(?:/(\d+))?")
_ITEM_METHOD = {"github": "PATCH", "gitlab": "PUT"}


class Forge(ThreadingHTTPServer):
    """One request with its comments."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.token = "token-of-the-job"
        self.status = 0
        """Answers every request with this status; 0: none."""
        self.locked: set[int] = set()
        """Ids of comments that this token may not change."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def github(self) -> dict[str, str]:
        """The variables of a job of GitHub Actions for a pull request."""
        return {"GITHUB_REPOSITORY": "team/models", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_API_URL": self.url,
                "GITHUB_TOKEN": self.token}  # fmt: skip

    @property
    def gitlab(self) -> dict[str, str]:
        """The variables of a job of GitLab CI for a merge request."""
        return {"CI_API_V4_URL": self.url, "CI_PROJECT_ID": "42", "CI_PROJECT_PATH": "team/models",
                "CI_MERGE_REQUEST_IID": "7", "GITLAB_TOKEN": self.token}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: Forge

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        self.server.asked.append((self.command, self.path))
        status, reply = self._reply(data)
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps(reply).encode())

    def _reply(self, data: Any) -> tuple[int, Any]:
        forge, place = self.server, urlsplit(self.path)
        if forge.status:
            return forge.status, {"message": "no"}
        github, gitlab = _GITHUB.fullmatch(place.path), _GITLAB.fullmatch(place.path)
        match = github or gitlab
        if match is None:
            return 404, {"message": "Not Found"}
        given = self.headers.get("Authorization") if github else self.headers.get("PRIVATE-TOKEN")
        if given != (f"Bearer {forge.token}" if github else forge.token):
            return 401, {"message": "Bad credentials"}
        if match[1] is None and self.command == "GET":
            query = parse_qs(place.query)
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, forge.comments[(page - 1) * size : page * size]
        if match[1] is None and self.command == "POST":
            forge.comments.append({"id": len(forge.comments) + 1, **data})
            return 201, forge.comments[-1]
        if match[1] and self.command == _ITEM_METHOD["github" if github else "gitlab"]:
            if int(match[1]) in forge.locked:
                return 403, {"message": "Forbidden"}
            forge.comments[int(match[1]) - 1].update(data)
            return 200, forge.comments[int(match[1]) - 1]
        return 405, None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def running_forge() -> Iterator[Forge]:
    """A server that answers until the block ends."""
    with Forge() as forge:
        thread = threading.Thread(target=forge.serve_forever, daemon=True)
        thread.start()
        yield forge
        forge.shutdown()
        thread.join()
