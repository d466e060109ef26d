"""Answers that come from a server are those of the model behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines import engine_info, open_engine
from harness.engines.base import Completion, Failure, Outcome, Request
from harness.engines.beam import BeamRules, BeamSearch, make_row
from harness.engines.server import read_addresses
from harness.errors import EngineError, SettingsError
from harness.models.weights import AdapterWeights
from tests.support.vllm_server import END, MODEL, Exchange, FakeServer, logprobs_after, write_model

ADAPTER = AdapterWeights("v2", Path("/adapters/v2"), "d" * 64)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def ask(folder: Path, address: str, asked: list[Request], **options: Any) -> list[Any]:
    engine = open_engine("server", folder, base_url=address, **options)
    try:
        return sorted(engine.generate(asked), key=lambda outcome: outcome.request_id)
    finally:
        engine.close()


def request(number: int = 0, adapter: AdapterWeights | None = None, **decoding: Any) -> Request:
    prompt = (5, 10 + number % 20, 3, *([4] * (number // 20)))
    return Request(id=number, prompt_ids=prompt, decoding=Decoding(**decoding), adapter=adapter)


def searched(asked: Request) -> BeamSearch:
    """The same search without a server."""
    decoding = asked.decoding
    search = BeamSearch(
        BeamRules(
            width=decoding.beam_width, max_tokens=decoding.max_tokens, prompt_length=len(asked.prompt_ids),
            eos_ids=frozenset({END}), semantics=decoding.semantics, length_penalty=decoding.length_penalty,
            early_stopping=decoding.early_stopping,
        )
    )  # fmt: skip
    while not search.done:
        rows = [logprobs_after([*asked.prompt_ids, *h.tokens()]) for h in search.live]
        search.step([make_row(((i, float(p)) for i, p in enumerate(r)), search.rules.row_width) for r in rows])
    return search


@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("semantics", ["hf", "vllm"])
def test_a_beam_search_over_http_is_the_search_itself(model: Path, width: int, semantics: Any) -> None:
    """Token for token, and its score to the last bit."""
    asked = [request(i, beam_width=width, max_tokens=12, semantics=semantics) for i in range(6)]
    with FakeServer() as server:
        outcomes = ask(model, server.address, asked)
    for outcome, one in zip(outcomes, asked, strict=True):
        best = searched(one).best
        assert best is not None
        assert (outcome.token_ids, outcome.score) == (best.hypothesis.tokens(), best.score)


def test_a_greedy_answer_is_the_likeliest_token_at_every_step(model: Path) -> None:
    """It ends at the model's end token."""
    asked = request(method="greedy", max_tokens=30)
    with FakeServer() as server:
        [outcome] = ask(model, server.address, [asked])
    ids = list(asked.prompt_ids)
    while len(ids) < 33 and ids[-1] != END:
        ids.append(int(logprobs_after(ids).argmax()))
    assert outcome.token_ids == tuple(ids[3:])


def test_what_a_request_leaves_open_is_not_left_to_the_server(model: Path) -> None:
    """A server takes what is not said from the model's generation config."""
    bodies: list[dict[str, Any]] = []

    async def behave(exchange: Exchange) -> None:
        bodies.append(exchange.body)
        await exchange.answer()

    with FakeServer(behave) as server:
        ask(model, server.address, [request(method="greedy", max_tokens=2), request(1, beam_width=2, max_tokens=2)])
    for body in bodies:
        assert {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty"} <= body.keys()


@pytest.mark.parametrize("forks", [False, True], ids=["plain", "forks"])
def test_a_fork_names_its_parent_only_where_the_server_copies_blocks(model: Path, forks: bool) -> None:
    """Every parent is a stream that was opened before; elsewhere another connector would read these parameters."""
    bodies: list[dict[str, Any]] = []

    async def behave(exchange: Exchange) -> None:
        bodies.append(exchange.body)
        await exchange.answer()

    with FakeServer(behave) as server:
        [outcome] = ask(model, server.address, [request(beam_width=4, max_tokens=12)], forks=forks)
    assert isinstance(outcome, Completion)
    if not forks:
        assert not any({"request_id", "kv_transfer_params"} & body.keys() for body in bodies)
        return
    opened = {f"cmpl-{body['request_id']}-0": body["prompt"] for body in bodies}
    named = [(body["prompt"], body["kv_transfer_params"].get("fork_of")) for body in bodies]
    assert len(opened) == len(bodies)
    assert [parent for _, parent in named if parent is None] == [None], "the first stream alone has no parent"
    assert all(prompt[: len(opened[parent])] == opened[parent] for prompt, parent in named if parent is not None)


def test_no_more_sequences_are_under_way_than_the_server_may_hold(model: Path) -> None:
    """The others wait here, and every one is answered."""
    running, most = 0, 0

    async def behave(exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        await exchange.answer()
        running -= 1

    with FakeServer(behave) as server:
        outcomes = ask(model, server.address, [request(i, method="greedy", max_tokens=3) for i in range(60)],
                       max_num_seqs=4)  # fmt: skip
    assert [o.request_id for o in outcomes if isinstance(o, Completion)] == [*range(60)]
    assert most <= 4


def test_requests_are_spread_over_the_servers(model: Path) -> None:
    """Half of them each, more or less."""
    asked = [request(i, method="greedy", max_tokens=3) for i in range(40)]
    with FakeServer() as one, FakeServer() as other:
        outcomes = ask(model, f"{one.address},{other.address}", asked, max_num_seqs=4)
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    assert min(one.completions, other.completions) >= 10


def test_an_adapter_is_asked_for_by_the_name_that_it_is_served_under(model: Path) -> None:
    """The answer is the adapter's."""
    with FakeServer(adapters=["v2"]) as server:
        plain, tuned = ask(
            model, server.address, [request(method="greedy", max_tokens=3), request(20, ADAPTER, max_tokens=3)]
        )
    assert isinstance(plain, Completion)
    assert isinstance(tuned, Completion)
    assert tuned.token_ids != plain.token_ids


def test_an_adapter_that_is_not_served_is_not_loaded_without_being_asked(model: Path) -> None:
    """The error says both ways out."""
    with FakeServer() as server:
        [outcome] = ask(model, server.address, [request(0, ADAPTER, max_tokens=3)])
    assert isinstance(outcome, Failure)
    assert "--lora-modules v2=" in outcome.message
    assert "load_adapters" in outcome.message
    assert server.loads == []


def test_an_adapter_is_loaded_once_where_that_was_asked_for(model: Path) -> None:
    """Its served name holds its content, so that two versions never share a cache."""
    with FakeServer() as server:
        outcomes = ask(model, server.address, [request(i, ADAPTER, max_tokens=2) for i in range(5)], load_adapters=True)
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    assert server.loads == [{"lora_name": f"v2-{'d' * 16}", "lora_path": "/adapters/v2"}]


def test_a_prompt_that_the_server_has_no_room_for_is_not_sent(model: Path) -> None:
    """Its limit counts, and not the model's own."""
    with FakeServer(limit=16) as server:
        [outcome] = ask(model, server.address, [request(method="greedy", max_tokens=30)])
    assert isinstance(outcome, Failure)
    assert "more than the context of 16" in outcome.message
    assert server.completions == 0


@pytest.mark.parametrize(
    ("decoding", "words"),
    [
        pytest.param({"no_repeat_ngram": 3, "method": "greedy"}, "no_repeat_ngram", id="n-grams"),
        pytest.param({"repetition_penalty": 1.2}, "repetition_penalty under beam search", id="penalties"),
        pytest.param({"beam_width": 100}, "max_num_seqs", id="width"),
    ],
)
def test_decoding_that_a_server_cannot_do_is_refused(model: Path, decoding: dict[str, Any], words: str) -> None:
    """It is never decoded in another way."""
    with FakeServer() as server:
        [outcome] = ask(model, server.address, [request(max_tokens=4, **decoding)])
    assert isinstance(outcome, Failure)
    assert words in outcome.message


def test_the_servers_own_beam_search_is_used_where_the_settings_say_so(model: Path) -> None:
    """It is another engine for the cache, and knows vLLM's semantics only."""

    async def behave(exchange: Exchange) -> None:
        assert exchange.body["use_beam_search"] is True
        choice = {"index": 0, "text": " w9", "token_ids": [9], "finish_reason": "stop"}
        await exchange.reply({"model": MODEL, "choices": [choice]})

    asked = [request(semantics="vllm", max_tokens=3), request(1, semantics="hf", max_tokens=3)]
    with FakeServer(behave) as server:
        own, other = ask(model, server.address, asked, beam_search="server")
        declared = engine_info("server", base_url=server.address, beam_search="server")
        assert declared != engine_info("server", base_url=server.address)
    assert isinstance(own, Completion)
    assert own.token_ids == (9,)
    assert isinstance(other, Failure)
    assert "semantics 'vllm'" in other.message


def test_the_address_is_no_part_of_an_engines_identity(model: Path) -> None:
    """A server that moves gives the same answers."""
    with FakeServer() as one, FakeServer() as other:
        assert engine_info("server", base_url=one.address) == engine_info("server", base_url=other.address)


def test_options_that_start_vllm_are_left_to_the_server(model: Path) -> None:
    """A project has them for its own engine, and they are no part of a server's identity."""
    starts = {"dtype": "bfloat16", "tensor_parallel_size": 8, "pipeline_parallel_size": 2, "quantization": "fp8",
              "max_model_len": 64, "max_loras": 3, "kv_cache_gib": 4.0, "llm_options": {"seed": 1}}  # fmt: skip
    with FakeServer() as server:
        [outcome] = ask(model, server.address, [request(max_tokens=2)], **starts)
        bare = engine_info("server", base_url=server.address)
        assert engine_info("server", base_url=server.address, **starts) == bare
    assert isinstance(outcome, Completion)


def test_an_engine_on_servers_has_the_identity_that_answers_are_stored_under(model: Path) -> None:
    """With every option that may change an answer."""
    with FakeServer() as server:
        options = {"base_url": server.address, "beam_search": "server"}
        assert open_engine("server", model, **options).info == engine_info("server", **options)  # type: ignore[arg-type]


def test_a_server_of_several_models_wants_the_models_name(model: Path) -> None:
    """A guess could take the wrong one."""
    with FakeServer() as server, pytest.raises(EngineError, match="it serves the models 'table'"):
        ask(model, server.address, [request(max_tokens=2)], model="other")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("http://one:8000/v1", ("http://one:8000",), id="with-v1"),
        pytest.param("http://one:8000/", ("http://one:8000",), id="without"),
        pytest.param("https://host/llm/v1/", ("https://host/llm",), id="path"),
        pytest.param(" http://a:1 , http://b:2,http://a:1", ("http://a:1", "http://b:2"), id="several"),
        pytest.param("http://[::1]:8000/v1", ("http://[::1]:8000",), id="ipv6"),
    ],
)
def test_addresses_are_read_with_and_without_v1(text: str, expected: tuple[str, ...]) -> None:
    """As vLLM and OpenAI's client write them."""
    assert read_addresses(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ",", "one:8000", "ftp://one", "file:///etc/passwd", "http://", "http://one:99999", "http://one/?a=b"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Before anything is asked."""
    with pytest.raises(SettingsError):
        read_addresses(text)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    """Addresses are printed and recorded."""
    with pytest.raises(SettingsError) as caught:
        read_addresses("http://user:hunter2@host:8000/v1")
    assert "hunter2" not in str(caught.value)


def test_outcomes_come_while_others_are_under_way(model: Path) -> None:
    """A suite shows its first results early."""
    gate = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        if exchange.number > 1:
            await gate.wait()
        await exchange.answer()

    with FakeServer(behave) as server:
        engine = open_engine("server", model, base_url=server.address)
        outcomes = iter(engine.generate([request(i, method="greedy", max_tokens=2) for i in range(3)]))
        first: Outcome = next(outcomes)
        server.call(gate.set)
        assert {first.request_id, *(o.request_id for o in outcomes)} == {0, 1, 2}
