"""A metric of a project's own cannot change what the harness measures, and gives nothing away."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from harness.errors import MetricError
from harness.metrics import register_metric, score
from harness.metrics.custom import built_in_names, forget_metrics
from harness.metrics.judge import JudgeMetric
from tests.faults.conftest import Make
from tests.support.builders import case

KEY = "sk-CANARY-0123456789abcdef"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    forget_metrics()


@pytest.mark.parametrize("name", ["rep8", "repetition", "loop_coverage", "similarity", "missing_patterns", "seq_rep4"])
def test_the_name_of_a_built_in_score_is_refused(name: str) -> None:
    """``rep8`` registered as 0 made a loop pass."""
    with pytest.raises(MetricError, match=f"metric '{name}': is the name of a built-in score"):
        register_metric(name, lambda answer, case: {name: 0.0})


def test_every_built_in_score_is_reserved() -> None:
    """A score that is added later is reserved without anybody thinking of it."""
    assert set(score("The sea, the sea.", case(), tokens=(1, 2)).values) <= built_in_names()


class Server:
    """A server on loopback that answers a request with what ``reply`` sends."""

    def __init__(self, reply: Callable[[socket.socket, bytes], None]) -> None:
        self._reply = reply
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with closing(connection), suppress(OSError):
                    self._reply(connection, connection.recv(65536))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket, bytes], None]], Server]]:
    """Start a server that lives as long as the test."""
    servers: list[Server] = []

    def start(reply: Callable[[socket.socket, bytes], None]) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def drip_body(connection: socket.socket, _: bytes) -> None:
    """A byte at a time, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def drip_head(connection: socket.socket, _: bytes) -> None:
    """The same, before the body begins."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.05)


def silent(_: socket.socket, __: bytes) -> None:
    """Nothing at all."""
    time.sleep(10)


@pytest.mark.parametrize("reply", [drip_body, drip_head, silent])
def test_the_time_limit_is_for_the_whole_answer(
    serve: Callable[..., Server], reply: Callable[[socket.socket, bytes], None]
) -> None:
    """A server that sent a byte every half second was waited for for ever."""
    judge = JudgeMetric(url=serve(reply).url, model="m", timeout=0.5)
    began = time.monotonic()
    with pytest.raises(MetricError, match="judge m"):
        judge("The sea.", case())
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "key", [f"{KEY}\n", f"{KEY}\r\nX-Other: 1", f"{KEY} {KEY}", f"{KEY}\x00", "schlüssel-0123456789"]
)
def test_a_key_with_a_sign_that_no_key_has_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """A line end in it would start a header of its own."""
    if "\x00" not in key:
        monkeypatch.setenv("HARNESS_JUDGE_KEY", key)
    else:
        monkeypatch.setattr("os.environ", {"HARNESS_JUDGE_KEY": key})
    with pytest.raises(MetricError, match="HARNESS_JUDGE_KEY holds") as caught:
        JudgeMetric(url="http://127.0.0.1:9/v1", model="m")("x", case())
    assert "CANARY" not in str(caught.value)


def test_a_key_in_the_address_is_refused() -> None:
    """Addresses are printed and stored."""
    with pytest.raises(MetricError, match="set HARNESS_JUDGE_KEY in the environment") as caught:
        JudgeMetric(url=f"http://user:{KEY}@127.0.0.1:9/v1", model="m")("x", case())
    assert "CANARY" not in str(caught.value)


def echo(connection: socket.socket, request: bytes) -> None:
    """The request's key, in every form that an error page may give it."""
    said = KEY if KEY.encode() in request else "no key was sent"
    text = f"bad key {said} ({base64.b64encode(said.encode()).decode()}) http://user:{said}@host/"
    body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_the_key_is_in_nothing_that_is_written(
    project: Make, pytester: pytest.Pytester, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that repeats the key in its error put it into terminal, database, HTML and JSON."""
    root = project()
    (root / "badcases" / "conftest.py").write_text(
        "from harness.metrics import register_metric\nfrom harness.metrics.judge import JudgeMetric\n\n"
        f"register_metric('judge', JudgeMetric(url={serve(echo).url!r}, model='m'))\n"
    )
    monkeypatch.setenv("HARNESS_JUDGE_KEY", KEY)
    done = pytester.runpytest_subprocess("badcases", "-rA", "-vv", f"--junitxml={root / 'junit.xml'}")
    assert done.ret == 3
    assert "bad key ***" in str(done.stdout)
    hidden = [KEY.encode(), base64.b64encode(KEY.encode()).rstrip(b"=")]
    written = [path for path in root.rglob("*") if path.is_file() and path.stat().st_size]
    assert root / "reports" / "harness.sqlite" in written
    texts = {str(path): _content(path) for path in written} | {"terminal": f"{done.stdout}{done.stderr}".encode()}
    assert [name for name, content in texts.items() if any(form in content for form in hidden)] == []


def _content(path: Path) -> bytes:
    """A file's bytes; of an archive, those of its members."""
    if path.suffix != ".xlsx":
        return path.read_bytes()
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())
