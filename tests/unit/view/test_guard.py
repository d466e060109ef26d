"""Nobody but the one who has the address reads or changes anything through the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from harness.project.settings import read_settings
from harness.view.app import create_app
from tests.support.recorded import recorded_project

PORT, TOKEN = 8790, "a-token-of-this-test"
HOST = f"http://127.0.0.1:{PORT}"
CHANGE = {"X-Harness": "1", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_project(tmp_path_factory.mktemp("project"), 8)


@pytest.fixture
def client(project: Path) -> Iterator[TestClient]:
    app = create_app(read_settings(project, environment={}), token=TOKEN, port=PORT)
    with TestClient(app, base_url=HOST, follow_redirects=True) as opened:
        yield opened


@pytest.fixture
def known(client: TestClient) -> TestClient:
    assert client.get(f"/?token={TOKEN}").status_code == 200
    return client


@pytest.mark.parametrize("path", ["/", "/versions", "/live.json", "/run/2026", "/nothing", "/?token=wrong", "/?token="])
def test_without_the_token_every_path_is_closed(client: TestClient, path: str) -> None:
    """Also those that do not exist, so nothing can be learned from the answer."""
    answer = client.get(path)
    assert answer.status_code == 403
    assert "badcase" not in answer.text


def test_the_token_goes_from_the_address_into_a_cookie_of_this_page(client: TestClient) -> None:
    """The cookie is out of reach of scripts and is not sent along from other sites."""
    answer = client.get(f"/versions?token={TOKEN}&x=1", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/versions?x=1"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("path", ["//evil.example/?token=", "/\\evil.example/?token="], ids=["slashes", "backslash"])
def test_the_token_never_leads_to_another_site(client: TestClient, path: str) -> None:
    """A redirect stays on this machine whatever the path is."""
    answer = client.request("GET", f"{HOST}{path}{TOKEN}", follow_redirects=False)
    assert answer.headers.get("location", "/x")[:2].strip("/\\") != ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:80", "127.0.0.1.evil.example:8790", ""])
def test_another_host_name_is_refused(known: TestClient, host: str) -> None:
    """A site that lets its name point to this machine gets nothing (DNS rebinding)."""
    assert known.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Content-Type": "application/json"}, 403),
        ({**CHANGE, "Origin": "http://evil.example"}, 403),
        ({**CHANGE, "Origin": "null"}, 403),
        ({"X-Harness": "1", "Content-Type": "text/plain"}, 415),
        ({**CHANGE, "Content-Length": "99999999"}, 413),
    ],
    ids=["nothing", "no-header", "other-site", "opaque-origin", "simple-form", "too-long"],
)
def test_a_change_must_come_from_the_page_itself(known: TestClient, headers: dict[str, str], status: int) -> None:
    """Neither a form nor a script of another site can send what is asked for."""
    assert known.post("/undo", content="{}", headers=headers).status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_change_nothing(known: TestClient, method: str) -> None:
    """Changes are posted to their own paths."""
    assert known.request(method, "/", headers=CHANGE).status_code in (403, 405, 413)


@pytest.mark.parametrize("path", ["/", "/versions", "/nothing", "/live.json"])
def test_every_answer_forbids_frames_caches_and_foreign_scripts(known: TestClient, path: str) -> None:
    """Errors too."""
    headers = known.get(path).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/run/..%2f..%2fetc%2fpasswd", "/training/..%2f..", "/training/%2e%2e",
        "/version/%2e%2e", "/run/_", "/run/%00", "/run/last'--",
        "/run/%25", "/training/v4.2-20261121%2f..", "/run/x/answer.json?case=../../x&version=..&sample=-1",
    ],
)  # fmt: skip
def test_a_path_leads_to_nothing_outside_the_project(known: TestClient, path: str) -> None:
    """Names are looked up among those that exist; none is made a file name."""
    answer = known.get(path)
    assert answer.status_code in (404, 409)
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{", '{"case": 1, "text": ""}', '{"case": "a"}', '{"case": "a", "text": "b", "path": "c"}', "9" * 5000],
    ids=["empty", "list", "broken", "wrong-type", "missing", "unknown-field", "number"],
)
def test_a_change_that_is_not_understood_is_refused(known: TestClient, body: str) -> None:
    """With one line and no traceback."""
    answer = known.post("/edit/standard-answer", content=body, headers=CHANGE)
    assert answer.status_code == 400
    assert "Traceback" not in answer.text
    assert len(answer.text) <= 300
