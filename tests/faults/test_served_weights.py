"""A server that computes something else than was recorded is found out, whatever names it uses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import open_engine
from harness.errors import EngineError
from harness.models.prompts import PromptRenderer
from harness.models.target import Target
from harness.models.weights import AdapterWeights
from harness.project.manifest import Adapter
from harness.runs.fingerprints import check_fingerprints
from tests.support.vllm_server import Exchange, FakeServer, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def version(name: str, model: Path) -> Target:
    """A version that is served under its own name."""
    weights = AdapterWeights(name, Path("/adapters") / name, name[-1] * 64)
    return Target(
        adapter=Adapter(name=name, model="table"), model_path=model, model_digest="0" * 64,
        renderer=PromptRenderer(model), weights=weights,
    )  # fmt: skip


def check(server: FakeServer, model: Path, *names: str) -> Sequence[str]:
    with closing(open_engine("server", model, base_url=server.address)) as engine:
        return check_fingerprints(engine, [version(name, model) for name in names], model.parent / "fingerprints")


async def as_the_model(exchange: Exchange) -> None:
    """Answers as shipped, under the adapter's name."""
    asked, exchange.body["model"] = exchange.body["model"], "table"
    events = exchange.events()
    await exchange.head()
    for event in events:
        await exchange.event({**event, "model": asked})


def test_the_first_server_is_believed_and_that_is_told(model: Path) -> None:
    """There is nothing to compare with."""
    with FakeServer(adapters=["v1"]) as server:
        assert check(server, model, "v1") == ("v1",)


def test_the_same_weights_are_recognised_on_another_server(model: Path) -> None:
    """Nothing is believed the second time."""
    with FakeServer(adapters=["v1"]) as server:
        check(server, model, "v1")
    with FakeServer(adapters=["v1"]) as server:
        assert check(server, model, "v1") == ()


def test_the_model_as_shipped_under_an_adapters_name_is_refused(model: Path) -> None:
    """It would be judged as the version."""
    with FakeServer(adapters=["v1"]) as server:
        check(server, model, "v1")
    with FakeServer(as_the_model, adapters=["v1"]) as server, pytest.raises(EngineError, match="'v1' was recorded"):
        check(server, model, "v1")


def test_another_version_under_the_name_is_named(model: Path) -> None:
    """The message says what to look for."""

    async def swapped(exchange: Exchange) -> None:
        asked = exchange.body["model"]
        exchange.body["model"] = {"v1": "v2", "v2": "v1"}.get(asked, asked)
        events = exchange.events()
        await exchange.head()
        for event in events:
            await exchange.event({**event, "model": asked})

    with FakeServer(adapters=["v1", "v2"]) as server:
        check(server, model, "v1", "v2")
    with (
        FakeServer(swapped, adapters=["v1", "v2"]) as server,
        pytest.raises(EngineError, match="nearer to those of v2"),
    ):
        check(server, model, "v1")


def test_a_damaged_record_is_made_anew(model: Path) -> None:
    """And the server is believed, as the first time."""
    with FakeServer(adapters=["v1"]) as server:
        check(server, model, "v1")
        [record] = (model.parent / "fingerprints").glob("*.json")
        record.write_text("{", "utf-8")
        assert check(server, model, "v1") == ("v1",)
