"""A secret of the environment is in nothing that the harness writes or prints, whichever way it came in."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.projects import LOOP, make_project, record

ROOT = Path(__file__).resolve().parents[2]
ROUTES = (
    "answer", "prompt", "standard_answer", "engine_failure", "tag", "run_tag", "trainer_error",
    "command_line", "history_name", "log",
)  # fmt: skip
"""Each has a secret of its own, so that a leak names its way."""
CODE = """
import os
from harness.engines.base import Completion, EngineInfo, Failure
from harness.errors import TrainerError
from tests.support.projects import LOOP

def secret(route):
    return os.environ[route.upper() + "_TOKEN"]

class Engine:
    def __init__(self, model_path, **settings):
        self.info = EngineInfo("leaky", "1")
    def generate(self, requests):
        for request in requests:
            # Ids of the tokenizer in tests.support.projects are characters.
            if "hill" in "".join(chr(i + 30) for i in request.prompt_ids):
                key = secret("engine_failure")
                yield Failure(request.id, f"401 for https://user:{key}@host/ {key}")
            else:
                text = f"My key is {secret('answer')}. " + LOOP
                yield Completion(request_id=request.id, text=text, token_ids=(1, 2, 3), finish_reason="length")
    def close(self):
        pass

class Trainer:
    def __init__(self, folder):
        pass
    def check(self):
        pass
    def train(self, request, on_progress):
        raise TrainerError(f"the hub refused {secret('trainer_error')}; log: {request.output}")
"""


def secret(route: str) -> str:
    return f"{route}-hush/{'x' * 9}+4711"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Everything that a run, a fix and the commands after them wrote and printed, unpacked."""
    root = make_project(
        tmp_path_factory.mktemp("project"),
        cases=[
            record("sea", standard_answer=f"It is {secret('standard_answer')}.", tags=[secret("tag")]),
            record("hill"),
            {"id": "key", "text": f"Whose key is {secret('prompt')}?", "standard_answer": "Nobody's."},
        ],
    )  # fmt: skip
    project = (root / "pyproject.toml").read_text("utf-8")
    project = re.sub('engine = "[^"]*"', 'engine = "leaky:Engine"\ntrainer = "leaky:Trainer"', project)
    (root / "pyproject.toml").write_text(project, "utf-8")
    (root / "leaky.py").write_text(CODE, "utf-8")
    given = {path for path in root.rglob("*") if path.is_file()}
    environment = {
        **os.environ, "PYTHONPATH": f"{ROOT}:{root}", "PYTHONDONTWRITEBYTECODE": "1",
        **{f"{route.upper()}_TOKEN": secret(route) for route in ROUTES},
        "HARNESS_RUN_TAGS": secret("run_tag"),
    }  # fmt: skip
    texts: dict[str, bytes] = {}
    address = f"http://user:{quote(secret('command_line'), safe='')}@127.0.0.1:9"
    record_of_log = {"prompt": f"What is it? {secret('log')}", "response": f"{secret('log')} " + LOOP}
    (root / "log.jsonl").write_text(json.dumps(record_of_log) + "\n", "utf-8")
    given.add(root / "log.jsonl")
    for name, words in {
        "refused": ["pytest", "badcases", f"--base-url={address}"],
        "pytest": ["pytest", "badcases", "-rA", "-vv", "--junitxml=junit.xml"],
        "fix": ["harness", "fix", "--failed"],
        "pairs": ["harness", "pairs", "--failed", "--out", "pairs.json"],
        "triage": ["harness", "triage", "log.jsonl", "--as", "found"],
        "report": ["harness", "report"],
        "history": ["harness", "history", "--tag", secret("history_name")],
        "json": ["harness", "history", "--json"],
    }.items():  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=root, env=environment, capture_output=True, timeout=120, check=False
        )
        texts |= {f"{name}'s output": done.stdout, f"{name}'s errors": done.stderr}
    for path in root.rglob("*"):
        if path.is_file() and path not in given:
            texts |= {f"{path.relative_to(root)}{inner}": content for inner, content in _contents(path)}
    return texts


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file's bytes, and whatever is packed in them."""
    data = path.read_bytes()
    yield "", data
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as archive:
            yield from ((f"/{name}", archive.read(name)) for name in archive.namelist())
    elif path.suffix == ".sqlite":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in database.execute(f'SELECT * FROM "{table}"'):  # the table's own name
                    yield f"/{table}", "\n".join(map(str, row)).encode("utf-8", "surrogatepass")
    else:
        for block in re.findall(rb"H4sI[A-Za-z0-9+/=]{40,}", data):
            yield "/packed", gzip.decompress(base64.b64decode(block))


@pytest.mark.parametrize("route", ROUTES)
def test_a_secret_is_nowhere(written: dict[str, bytes], route: str) -> None:
    """Plain, URL-encoded, in base64, or as JSON writes it: in no file, no table, no line of the terminal."""
    key = secret(route).encode()
    forms = {key, quote(key, safe="").encode(), base64.b64encode(key).rstrip(b"="), key.replace(b"/", b"\\/")}
    assert [name for name, content in written.items() if any(form in content for form in forms)] == []


@pytest.mark.parametrize(
    ("place", "piece"),
    [
        pytest.param("sheet1.xml", LOOP[:30], id="workbook"),
        pytest.param("packed", LOOP[:30], id="page"),
        pytest.param("generations", LOOP[:30], id="database"),
        pytest.param("fix's errors", "the hub refused ***", id="training"),
        pytest.param("found/test.json", "What is it?", id="triage"),
        pytest.param("pairs.json", LOOP[:30], id="pairs"),
    ],
)
def test_what_was_searched_holds_the_texts(written: dict[str, bytes], place: str, piece: str) -> None:
    """The search means something: the texts around the secrets are where they belong."""
    assert any(name.endswith(place) and piece.encode() in content for name, content in written.items())
