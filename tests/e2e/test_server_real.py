"""A real vLLM server, started by ``harness serve``: found, asked, and gone when it was ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cases.decoding import Decoding
from harness.engines import open_engine
from harness.engines.base import Completion, Engine, Outcome, Request
from harness.engines.canary import prove_adapter
from harness.engines.server import ServerEngine
from harness.models.weights import AdapterWeights
from tests.support.llama import random_lora

pytestmark = pytest.mark.e2e

PROMPTS = (tuple(range(20, 40)), tuple(range(300, 330)), (504, 1227, 282, 347), tuple(range(700, 712)))


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running ``harness serve``."""

    cache: Path
    """Where other commands find it."""
    address: str
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def served(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root, cache = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cache")
    (root / "adapters_manifest.toml").write_text(f'[models.small]\npath = "{embedded_model}"\n')
    (root / "pyproject.toml").write_text('[tool.harness.engine_options]\ndtype = "float32"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "serve", "--json", "--max-model-len", "512", "--max-loras", "2",
         "--max-lora-rank", "8"],
        cwd=root, env={**os.environ, "HARNESS_CACHE_DIR": str(cache)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, "harness serve ended before it served"
        text += line
    yield Served(cache=cache, address=json.loads(text)["address"], process=process)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    process.stdout.close()


@pytest.fixture
def engine(served: Served, embedded_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(served.cache))
    opened = open_engine("vllm", embedded_model, max_model_len=512, max_loras=2, max_lora_rank=8, dtype="float32")
    with closing(opened):
        assert isinstance(opened, ServerEngine)
        yield opened


@pytest.fixture(scope="module")
def adapter(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> AdapterWeights:
    """A random adapter with an effect."""
    path = random_lora(
        embedded_model, tmp_path_factory.mktemp("adapters") / "small", seed=3, std=0.05, dtype="float32",
        targets=("q_proj", "v_proj"),
    )  # fmt: skip
    return AdapterWeights("small", path, "5" * 64)


def _requests(decoding: Decoding, adapter: AdapterWeights | None = None) -> list[Request]:
    return [Request(id=i, prompt_ids=ids, decoding=decoding, adapter=adapter) for i, ids in enumerate(PROMPTS)]


def _answers(outcomes: list[Outcome]) -> list[tuple[int, ...]]:
    found = sorted(outcomes, key=lambda outcome: outcome.request_id)
    return [outcome.token_ids for outcome in found if isinstance(outcome, Completion)]


def test_answers_over_http_are_those_of_the_engine_in_a_process(engine: Engine, embedded_model: Path) -> None:
    """Beam search, greedy and seeded samples alike, since precision and options are the same."""
    decodings = [
        Decoding(beam_width=3, max_tokens=12, early_fail=False),
        Decoding(method="greedy", max_tokens=12),
        Decoding(method="sample", temperature=0.8, max_tokens=12, seed=5),
    ]
    asked = [request for decoding in decodings for request in _requests(decoding)]
    asked = [Request(id=i, prompt_ids=r.prompt_ids, decoding=r.decoding) for i, r in enumerate(asked)]
    served = _answers(list(engine.generate(asked)))
    # Other options than the server's, so that an engine of its own is started.
    with closing(open_engine("vllm", embedded_model, max_model_len=513, dtype="float32")) as own:
        assert not isinstance(own, ServerEngine)
        alone = _answers(list(own.generate(asked)))
    same = [a == b for a, b in zip(served, alone, strict=True)]
    assert sum(same) >= len(same) - 1, "but for one near-tie that batching may flip"


def test_an_adapter_is_loaded_while_the_server_runs(engine: Engine, adapter: AdapterWeights) -> None:
    """And the canary proves that it acts."""
    assert prove_adapter(engine, PROMPTS, adapter).effect > 1e-3


def test_leaving_early_frees_the_server_for_the_next_call(engine: Engine) -> None:
    """What nobody waits for any more is aborted there."""
    outcomes = iter(engine.generate(_requests(Decoding(beam_width=4, max_tokens=300, early_fail=False))))
    time.sleep(1)
    outcomes.close()  # type: ignore[attr-defined]
    answers = _answers(list(engine.generate(_requests(Decoding(method="greedy", max_tokens=2)))))
    assert len(answers) == len(PROMPTS)


def test_without_the_key_the_server_says_nothing(served: Served) -> None:
    """Whoever has another account on the machine finds the port, and not the key."""
    import httpx

    assert httpx.get(f"{served.address}/v1/models", trust_env=False).status_code == 401


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children with their parent on Linux only")
def test_a_killed_serve_leaves_no_process_behind(served: Served) -> None:
    """``kill -9`` included; this is the last test of the file, because it ends the server."""
    family = _descendants(served.process.pid)
    assert len(family) >= 2
    served.process.kill()
    deadline = time.monotonic() + 60
    while (left := [pid for pid in family if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def _descendants(pid: int) -> list[int]:
    tasks = Path("/proc") / str(pid) / "task"
    children = [int(n) for task in tasks.iterdir() for n in (task / "children").read_text().split()]
    return [*children, *(deeper for child in children for deeper in _descendants(child))]


def _runs(pid: int) -> bool:
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
