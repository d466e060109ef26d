"""The engine ``ray`` with the real model: two actors with a real engine inside answer as that engine does alone."""

from __future__ import annotations

from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines import engine_info, open_engine
from harness.engines.base import Completion, Engine, Request
from harness.engines.canary import prove_adapter
from harness.engines.growing import Joinable
from harness.models.weights import AdapterWeights
from tests.support.llama import random_lora

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'badcase-harness[ray]'"),
]

PROMPTS = (tuple(range(20, 40)), tuple(range(300, 330)), (504, 1227, 282, 347), tuple(range(700, 712)))
DECODINGS = (Decoding(method="greedy", max_tokens=24), Decoding(beam_width=3, max_tokens=16))
# One request at a time, so that no batch changes a number.
OPTIONS: dict[str, Any] = {
    "dtype": "float32", "batch_size": 1, "max_model_len": 256, "max_loras": 1, "max_lora_rank": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def adapter(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> AdapterWeights:
    """A random adapter with a plain effect."""
    path = random_lora(embedded_model, tmp_path_factory.mktemp("adapters") / "other", seed=1, std=0.1)
    return AdapterWeights("other", path, "d" * 64)


def answers(engine: Engine, adapter: AdapterWeights) -> list[Completion]:
    asked = [
        Request(id=number, prompt_ids=ids, decoding=decoding, adapter=chosen)
        for number, (ids, decoding, chosen) in enumerate(
            (ids, decoding, chosen) for ids in PROMPTS for decoding in DECODINGS for chosen in (None, adapter)
        )
    ]
    outcomes = sorted(engine.generate(asked), key=lambda outcome: outcome.request_id)
    assert all(isinstance(outcome, Completion) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Completion)]


def test_requests_join_the_batch_of_a_running_vllm(embedded_model: Path) -> None:
    """Each has its outcome in the call that it joined, or is given back; the answers are those of a call of its own."""
    asked = [
        Request(id=number, prompt_ids=ids, decoding=Decoding(method="greedy", max_tokens=tokens))
        for number, (ids, tokens) in enumerate(zip(PROMPTS, (4, 96, 12, 12), strict=True))
    ]
    with closing(open_engine("vllm", embedded_model, dtype="float32", max_model_len=256)) as engine:
        assert isinstance(engine, Joinable)
        alone = {outcome.request_id: outcome for outcome in engine.generate(asked)}
        outcomes = engine.generate(asked[:2])
        found = {(first := next(outcomes)).request_id: first}
        assert engine.add(asked[2:])
        found |= {outcome.request_id: outcome for outcome in outcomes}
        assert engine.left_over() == []
    assert found.keys() == alone.keys()
    texts = [[outcome.text for outcome in (a, b) if isinstance(outcome, Completion)] for a, b in
             ((alone[number], found[number]) for number in range(4))]  # fmt: skip
    assert sum(one == other for one, other in texts) >= 3, "but for one near-tie that batching may flip"


def test_two_replicas_answer_as_the_engine_inside_does(embedded_model: Path, adapter: AdapterWeights) -> None:
    """Token for token, with and without an adapter, under the same identity; the adapter's effect is proved on Ray."""
    with closing(open_engine("transformers", embedded_model, **OPTIONS)) as engine:
        alone = answers(engine, adapter)
    inside = {"ray_engine": "transformers", "replicas": 2, "in_flight": 2, **OPTIONS}
    with closing(open_engine("ray", embedded_model, **inside)) as engine:
        assert engine.info == engine_info("transformers", **OPTIONS)
        assert prove_adapter(engine, PROMPTS, adapter).effect > 1e-3
        on_ray = answers(engine, adapter)
    assert [answer.token_ids for answer in on_ray] == [answer.token_ids for answer in alone]
    assert [answer.text for answer in on_ray] == [answer.text for answer in alone]
