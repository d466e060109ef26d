"""The scheduler's side of harness/engines/vllm_fork.py: from which block a fork copies, and when it must not."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

BLOCK = 4
PROMPT = (1, 2, 3, 4, 5, 6)
"""One full block, and two tokens of the next."""


@dataclass
class Asked:
    """What the connector reads of one of vLLM's requests."""

    request_id: str
    all_token_ids: list[int]
    kv_transfer_params: dict[str, Any] | None = None
    num_computed_tokens: int = 0
    lora_request: str | None = None
    cache_salt: str | None = None
    num_output_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        return len(self.all_token_ids)


@dataclass
class Engine:
    """A connector, and the blocks that vLLM's cache manager has given to requests."""

    connector: Any
    blocks: dict[str, list[int]] = field(default_factory=dict)

    def begin(self, request: Asked, blocks: Sequence[int] = ()) -> Asked:
        self.connector.on_new_request(request)
        if blocks:
            self.blocks[request.request_id] = list(blocks)
            request.num_computed_tokens = request.num_tokens
        return request

    def end(self, request: Asked) -> bool:
        """Whether its blocks are kept back."""
        kept, _ = self.connector.request_finished(request, self.blocks.pop(request.request_id, []))
        return bool(kept)

    def matched(self, request: Asked) -> int:
        """Tokens that the connector brings in after those of full blocks."""
        return int(self.connector.get_num_new_matched_tokens(request, len(PROMPT) // BLOCK * BLOCK)[0])

    def schedule(self, request: Asked, blocks: Sequence[int]) -> None:
        given = SimpleNamespace(get_block_ids=lambda: [list(blocks)])
        self.connector.update_state_after_alloc(request, given, self.matched(request))
        self.blocks[request.request_id] = list(blocks)

    def step(self) -> tuple[list[tuple[int, int]], list[str]]:
        """Copies of this step, and ended requests that are let go."""
        work = self.connector.build_connector_meta(None)
        return work.copies, work.released


@pytest.fixture
def engine() -> Engine:
    with warnings.catch_warnings():
        # Of vLLM's and torch's own imports.
        warnings.simplefilter("ignore")
        from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorRole

        from harness.engines.vllm_fork import ForkConnector

    config = SimpleNamespace(cache_config=SimpleNamespace(block_size=BLOCK), kv_transfer_config=SimpleNamespace())
    made = Engine(ForkConnector(config, KVConnectorRole.SCHEDULER, None))
    made.connector.bind_kv_cache_manager(
        SimpleNamespace(
            get_block_ids=lambda name: [made.blocks[name]] if name in made.blocks else (),
            block_pool=None, coordinator=None,
        )
    )  # fmt: skip
    return made


def fork(name: str = "child-bbbbbbbb", tokens: Sequence[int] = (*PROMPT, 9), **facts: Any) -> Asked:
    return Asked(name, list(tokens), {"fork_of": "parent"}, **facts)


def parent(**facts: Any) -> Asked:
    return Asked("parent-aaaaaaaa", [*PROMPT, 7, 8], **facts)


def test_a_fork_copies_the_block_that_its_running_parent_is_filling(engine: Engine) -> None:
    """The caller's own name is enough; vLLM's suffix is not known outside."""
    engine.begin(parent(), blocks=(10, 11))
    child = engine.begin(fork())
    assert engine.matched(child) == 2
    engine.schedule(child, (10, 20))
    assert engine.step() == ([(11, 20)], [])


@pytest.mark.parametrize(
    ("of_parent", "of_child"),
    [
        pytest.param({}, {"tokens": (1, 2, 3, 4, 5, 0, 9)}, id="other-tokens"),
        pytest.param({"lora_request": "a"}, {"lora_request": "b"}, id="other-adapter"),
        pytest.param({"cache_salt": "a"}, {}, id="other-salt"),
        pytest.param({}, {"tokens": (*PROMPT, 7, 8, 9, 9)}, id="parent-is-shorter"),
    ],
)
def test_nothing_is_copied_from_a_request_that_computed_something_else(
    engine: Engine, of_parent: dict[str, Any], of_child: dict[str, Any]
) -> None:
    """Whoever can send requests to a server can also name any parent."""
    engine.begin(parent(**of_parent), blocks=(10, 11))
    assert engine.matched(engine.begin(fork(**of_child))) == 0


def test_a_preempted_parent_has_no_block_to_copy(engine: Engine) -> None:
    """Its new blocks are filled in the same step in which the copy would be made."""
    before = engine.begin(parent(), blocks=(10, 11))
    child = engine.begin(fork())
    before.num_computed_tokens = 0
    assert engine.matched(child) == 0


def test_an_ended_parent_is_kept_until_its_last_fork_is_scheduled(engine: Engine) -> None:
    """In a process the fork is always there before its parent's end."""
    before = engine.begin(parent(), blocks=(10, 11))
    first, second = engine.begin(fork("first-bbbbbbbb")), engine.begin(fork("second-cccccccc"))
    assert engine.end(before)
    engine.schedule(first, (10, 20))
    assert engine.step() == ([(11, 20)], [])
    engine.schedule(second, (10, 21))
    assert engine.step() == ([(11, 21)], ["parent-aaaaaaaa"])


def test_a_fork_may_come_some_steps_after_the_end_of_its_parent(engine: Engine) -> None:
    """Over HTTP the order of a new request and of the end of an old one is not known."""
    before = engine.begin(parent(kv_transfer_params={"keep_steps": 3}), blocks=(10, 11))
    assert engine.end(before)
    assert engine.step() == ([], [])
    child = engine.begin(fork())
    engine.schedule(child, (10, 20))
    assert engine.step() == ([(11, 20)], [])
    assert engine.step() == ([], ["parent-aaaaaaaa"])


def test_a_kept_parent_without_a_fork_is_let_go_after_its_steps(engine: Engine) -> None:
    """And the scheduler is told that blocks will come back, so that it preempts nobody meanwhile."""
    before = engine.begin(parent(kv_transfer_params={"keep_steps": 2}), blocks=(10, 11))
    engine.end(before)
    assert engine.connector.has_pending_block_frees()
    assert [engine.step()[1] for _ in range(3)] == [[], ["parent-aaaaaaaa"], []]
    assert not engine.connector.has_pending_block_frees()
    assert engine.matched(engine.begin(fork())) == 0


@pytest.mark.parametrize("steps", [0, -1, 1_000_000, "3", None, True])
def test_nobody_keeps_blocks_by_a_strange_wish(engine: Engine, steps: object) -> None:
    """Blocks that are kept are taken from everybody else."""
    before = engine.begin(parent(kv_transfer_params={"keep_steps": steps}), blocks=(10, 11))
    assert not engine.end(before) or engine.step()[1] == ["parent-aaaaaaaa"]


def test_a_fork_that_is_dropped_before_its_turn_frees_its_parent(engine: Engine) -> None:
    """A client may leave at any time."""
    before = engine.begin(parent(), blocks=(10, 11))
    child = engine.begin(fork())
    engine.end(before)
    assert not engine.end(child)
    assert engine.step() == ([], ["parent-aaaaaaaa"])


def test_nothing_is_remembered_of_requests_that_have_ended(engine: Engine) -> None:
    """A server runs for weeks."""
    seen: list[weakref.ref[Asked]] = []
    for number in range(20):
        before = engine.begin(Asked(f"p{number}-aaaaaaaa", list(PROMPT), {"keep_steps": 1}), blocks=(10, 11))
        child = engine.begin(Asked(f"c{number}-bbbbbbbb", [*PROMPT, 9], {"fork_of": f"p{number}"}))
        seen += [weakref.ref(before), weakref.ref(child)]
        engine.schedule(child, (10, 20))
        engine.end(before)
        engine.end(child)
        engine.step()
    del before, child
    assert [ref() for ref in seen] == [None] * len(seen)
