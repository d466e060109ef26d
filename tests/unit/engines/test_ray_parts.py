"""The parts of the engine ``ray`` that need no cluster: who gets which request, what fits, what a node refuses."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.cases.decoding import Decoding
from harness.engines import engine_info, messages
from harness.engines.base import Request
from harness.engines.lanes import Lane
from harness.engines.on_ray.actor import ReplicaActor
from harness.engines.on_ray.backlog import Backlog
from harness.engines.on_ray.files import adapter_content, adapter_difference, model_contents, model_difference
from harness.engines.on_ray.inner import inner_engine
from harness.engines.on_ray.placement import Node, Placement, place
from harness.errors import EngineError, SettingsError
from harness.models.weights import AdapterWeights
from harness.project.deadlines import Deadlines

OWN = "tests.unit.engines.test_names:Own"


def requests(count: int) -> list[Request]:
    return [Request(id=i, prompt_ids=(1,), decoding=Decoding()) for i in range(count)]


# -- the backlog -------------------------------------------------------------------------------------------------------


def test_requests_are_spread_evenly_and_only_as_many_as_there_is_room_for() -> None:
    """The least busy lane is next; the others wait."""
    backlog = Backlog(requests(10), limit=3, moves=2)
    lanes = [Lane(), Lane()]
    given_out = backlog.assign(lanes)
    assert [len(given) for _, given in given_out] == [3, 3]
    assert backlog.assign(lanes) == []
    assert backlog.answered(lanes[0], given_out[0][1][0].id)
    assert [[r.id for r in given] for lane, given in backlog.assign(lanes) if lane is lanes[0]] == [[6]]


def test_the_last_attempt_runs_alone_and_after_all_others() -> None:
    """A request that breaks lanes takes no other one with it the last time."""
    backlog = Backlog(requests(4), limit=4, moves=1)
    lane = Lane()
    backlog.assign([lane])
    assert backlog.answered(lane, 0)
    assert backlog.lost(lane, "gone") == []
    for number in (1, 2, 3):
        ((_, given),) = backlog.assign([lane])
        assert [request.id for request in given] == [number]
        assert backlog.answered(lane, number)
    assert not backlog.open


def test_each_attempt_runs_in_smaller_company() -> None:
    """All, the square root of all, one: what was only there when a lane was lost costs little."""
    backlog = Backlog(requests(16), limit=16, moves=2)
    lane = Lane()
    for size in (16, 4):
        ((_, given),) = backlog.assign([lane])
        assert len(given) == size
        backlog.lost(lane, "gone")
    for size in (4, 4, 4, 1, 1, 1, 1):
        ((_, given),) = backlog.assign([lane])
        assert len(given) == size
        for request in given:
            assert backlog.answered(lane, request.id)
    assert not backlog.open


def test_an_outcome_of_a_lane_that_lost_the_request_does_not_count() -> None:
    """It comes from elsewhere by then."""
    backlog = Backlog(requests(1), limit=1, moves=1)
    first, second = Lane(), Lane()
    backlog.assign([first])
    backlog.lost(first, "gone")
    backlog.assign([second])
    assert not backlog.answered(first, 0)
    assert backlog.answered(second, 0)
    assert not backlog.answered(second, 0)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 3), st.data())
def test_each_request_gets_one_outcome_whatever_is_lost(
    count: int, limit: int, moves: int, data: st.DataObject
) -> None:
    """Answers and losses in any order: no request is forgotten, answered twice, or moved more often than it may be."""
    backlog = Backlog(requests(count), limit=limit, moves=moves)
    lanes = [Lane() for _ in range(data.draw(st.integers(1, 3)))]
    held: dict[int, list[int]] = {id(lane): [] for lane in lanes}
    attempts = dict.fromkeys(range(count), 0)
    outcomes: list[int] = []
    while backlog.open:
        for lane, given_now in backlog.assign(lanes):
            held[id(lane)] += [request.id for request in given_now]
            for request in given_now:
                attempts[request.id] += 1
        assert all(len(held[id(lane)]) <= limit for lane in lanes)
        lane = data.draw(st.sampled_from([lane for lane in lanes if held[id(lane)]]))
        if data.draw(st.booleans()):
            number = held[id(lane)].pop(data.draw(st.integers(0, len(held[id(lane)]) - 1)))
            assert backlog.answered(lane, number)
            outcomes.append(number)
        else:
            held[id(lane)] = []
            outcomes += [failure.request_id for failure in backlog.lost(lane, "gone")]
    assert sorted(outcomes) == list(range(count))
    assert max(attempts.values()) <= moves + 1


# -- what fits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "replicas", "gpus", "expected"),
    [
        ([(64, 8), (64, 8)], None, 4, (4, 0, 4)),
        ([(64, 8), (64, 6)], None, 4, (3, 0, 4)),
        ([(8, 0), (64, 8)], None, 1, (8, 0, 1)),
        ([(64, 8)], 3, 2, (3, 0, 2)),
        ([(2, 0)], None, 1, (1, 2, 0)),
        ([(8, 0), (8, 0)], 2, 1, (2, 8, 0)),
        ([(8, 0), (8, 0)], 3, 1, (3, 4, 0)),
    ],
    ids=["two nodes", "a smaller node", "a head without GPUs", "chosen", "a CPU", "two CPU nodes", "three on two"],
)
def test_a_cluster_holds_as_many_replicas_as_its_nodes_have_gpus(
    nodes: list[tuple[int, int]], replicas: int | None, gpus: int, expected: tuple[int, int, int]
) -> None:
    """A replica lies on one node; without GPUs its share of the cores is asked for."""
    machines = [Node(id=str(i), cpus=cpus, gpus=on) for i, (cpus, on) in enumerate(nodes)]
    wanted, cpus, on = expected
    assert place(machines, replicas=replicas, gpus=gpus) == Placement(replicas=wanted, cpus=cpus, gpus=on)


@pytest.mark.parametrize(
    ("nodes", "replicas", "gpus", "words"),
    [
        ([(64, 4), (64, 4)], None, 8, "a replica takes 8 GPUs of one node .*, and the largest node .* has 4"),
        ([(2, 0)], 3, 1, "3 replicas need a core each, and the Ray cluster has 2 on 1 nodes"),
        ([], None, 1, "has 0 on 0 nodes"),
    ],
    ids=["too few GPUs", "too few cores", "no node"],
)
def test_what_can_never_fit_is_refused_with_the_numbers(
    nodes: list[tuple[int, int]], replicas: int | None, gpus: int, words: str
) -> None:
    """Ray would wait for ever."""
    machines = [Node(id=str(i), cpus=cpus, gpus=on) for i, (cpus, on) in enumerate(nodes)]
    with pytest.raises(EngineError, match=words):
        place(machines, replicas=replicas, gpus=gpus)


# -- identity ----------------------------------------------------------------------------------------------------------


def test_the_identity_is_that_of_the_engine_inside() -> None:
    """Where it runs, and in how many copies, changes no answer; its own options may."""
    bare = engine_info(OWN)
    elsewhere = {"ray_engine": OWN, "ray_address": "auto", "replicas": 8, "in_flight": 7, "retries": 1}
    assert engine_info("ray", **elsewhere) == bare
    assert engine_info("ray", **elsewhere, shout=True) == engine_info(OWN, shout=True) != bare


@pytest.mark.parametrize("name", ["server", "ray"])
def test_an_engine_that_loads_no_model_is_refused_inside(name: str) -> None:
    """It would only ask another one."""
    with pytest.raises(SettingsError, match="give an engine that loads the model itself"):
        inner_engine({"ray_engine": name})


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"12345678")
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: (model / "config.json").write_text('{"a": 1}'), "another model .*: config.json differ"),
        (lambda model: (model / "model.safetensors").unlink(), "another model .*: model.safetensors differ"),
        (lambda model: (model / "extra.json").write_text(""), "another model .*: extra.json differ"),
        (lambda model: model.rename(model.parent / "gone"), "there is no model at"),
    ],
    ids=["another configuration", "a missing file", "a file more", "no folder"],
)
def test_another_model_at_the_same_path_is_found(model: Path, change: Any, words: str) -> None:
    """A node's copy may be of another version."""
    contents = model_contents(model)
    assert model_difference(model, contents) is None
    change(model)
    problem = model_difference(model, contents)
    assert problem is not None
    assert re.search(words, problem)


def test_another_adapter_at_the_same_path_is_found(tmp_path: Path) -> None:
    """Both files count, whole."""
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"1")
    content = adapter_content(tmp_path)
    assert adapter_difference(tmp_path, content) is None
    (tmp_path / "adapter_model.safetensors").write_bytes(b"2")
    assert "has other files" in (adapter_difference(tmp_path, content) or "")
    (tmp_path / "adapter_config.json").unlink()
    assert "there is no adapter_config.json" in (adapter_difference(tmp_path, content) or "")


# -- the actor, in this process ----------------------------------------------------------------------------------------


def spec(model: Path, **changes: Any) -> dict[str, Any]:
    info = engine_info(OWN)
    return {
        "version": harness.__version__, "engine": OWN, "settings": {}, "model_path": str(model), "log_path": "",
        "identity": {"options": {}, "name": info.name, "version": info.version}, "contents": model_contents(model),
        "deadlines": asdict(Deadlines()), **changes,
    }  # fmt: skip


def events(actor: ReplicaActor, count: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += actor.events()["events"]
    return found


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"version": "0.0.1"}, "EngineError", "the machine that asks has 0.0.1; install the same version"),
        ({"contents": {"config.json": "other"}}, "EngineMissing", "is another model than on the machine that asks"),
        (
            {"identity": {"options": {}, "name": OWN, "version": "8"}},
            "EngineError", "answers would not be comparable: install the same versions",
        ),
        ({"settings": {"whisper": 1}}, "SettingsError", "does not take these settings"),
    ],
    ids=["another harness", "another model", "another engine", "a wrong option"],
)  # fmt: skip
def test_a_node_that_is_not_as_was_meant_answers_nothing(
    model: Path, changes: dict[str, Any], kind: str, words: str
) -> None:
    """The reason goes to the machine that asks, with its class."""
    actor = ReplicaActor(spec(model, **changes))
    (event,) = events(actor, 1)
    assert event["broken"]["class"] == kind
    assert words in event["broken"]["text"]
    actor.close()


def test_an_actor_answers_and_checks_adapters(model: Path, tmp_path: Path) -> None:
    """One outcome for each request; an adapter with other files than were meant is a failure of its requests."""
    adapter = AdapterWeights("v2", tmp_path, "d" * 64)
    asked = [*requests(2), Request(id=5, prompt_ids=(1,), decoding=Decoding(), adapter=adapter)]
    actor = ReplicaActor(spec(model))
    actor.submit(1, [messages.write_value(request) for request in asked], {adapter.digest: "other"})
    ready, *outcomes = events(actor, 4)
    assert ready == {"ready": True}
    assert {event["call"] for event in outcomes} == {1}
    found = {event["outcome"]["value"]["request_id"]: event["outcome"]["kind"] for event in outcomes}
    assert found == {0: "completion", 1: "completion", 5: "failure"}
    actor.close()


def test_an_actor_drops_requests_of_a_call_that_was_cancelled(model: Path) -> None:
    """Also those that it has not begun; the next call is answered."""
    actor = ReplicaActor(spec(model))
    actor.cancel(1)
    actor.submit(1, [messages.write_value(request) for request in requests(3)], {})
    actor.submit(2, [messages.write_value(requests(1)[0])], {})
    assert [event.get("call") for event in events(actor, 2)] == [None, 2]
    actor.close()
