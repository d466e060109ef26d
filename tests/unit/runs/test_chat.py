"""A conversation: whole answers in pieces, remembered; another voice on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Failure, Request
from harness.engines.scripted import Answer, ScriptedEngine
from harness.errors import EngineError
from harness.models.prompts import PromptRenderer
from harness.models.weights import AdapterWeights
from harness.runs.chat import Chat, Voice
from tests.support.trainings import tiny_model

GREEDY = Decoding(method="greedy", max_tokens=256, early_fail=False)


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> PromptRenderer:
    """Bytes as tokens."""
    return PromptRenderer(tiny_model(tmp_path_factory.mktemp("chat") / "model"))


def sliced(renderer: PromptRenderer, answer: str) -> ScriptedEngine:
    """Gives ``answer`` as a model would: as many ids as are asked for, from where the prompt ends."""
    whole = (*renderer.answer_ids(answer), renderer.end_of_turn)
    starts: list[int] = []

    def say(request: Request) -> Answer:
        starts.append(len(request.prompt_ids))
        done = starts[-1] - starts[0]
        ids = whole[done : done + request.decoding.max_tokens]
        reason = "stop" if done + len(ids) == len(whole) else "length"
        return Completion(
            request_id=0,
            text=renderer.tokenizer.decode(ids, skip_special_tokens=True),
            token_ids=ids,
            finish_reason=reason,  # type: ignore[arg-type]
        )

    return ScriptedEngine(say)


@pytest.mark.parametrize(
    "answer", ["short", "a longer answer that needs several slices of tokens", "关关雎鸠，在河之洲。窈窕淑女"]
)
def test_an_answer_comes_in_pieces_and_whole(renderer: PromptRenderer, answer: str) -> None:
    """Also where a slice ends inside a character."""
    chat = Chat(sliced(renderer, answer), renderer, Voice("v1", None), decoding=GREEDY)
    pieces = list(chat.ask("Hello"))
    assert "".join(pieces) == answer
    assert "\ufffd" not in "".join(pieces)
    assert [m.content for m in chat.history] == ["Hello", answer]
    assert not chat.cut_off


def test_an_answer_ends_at_its_limit(renderer: PromptRenderer) -> None:
    """max_tokens counts over all slices."""
    chat = Chat(
        sliced(renderer, "x" * 500),
        renderer,
        Voice("v1", None),
        decoding=Decoding(method="greedy", max_tokens=30, early_fail=False),
    )
    assert "".join(chat.ask("Hello")) == "x" * 30
    assert chat.cut_off


def test_the_history_is_part_of_the_next_prompt(renderer: PromptRenderer) -> None:
    """Rendered by the model's own template, with the system prompt first."""
    engine = ScriptedEngine(lambda _: "fine")
    chat = Chat(engine, renderer, Voice("v1", None), decoding=GREEDY, system="Be brief.")
    list(chat.ask("One"))
    list(chat.ask("Two"))
    text = renderer.tokenizer.decode(engine.requests[-1].prompt_ids)
    assert [w for w in ("Be brief.", "One", "fine", "Two") if w in text] == ["Be brief.", "One", "fine", "Two"]


def test_the_parent_answers_the_same_question(renderer: PromptRenderer) -> None:
    """On its own weights, after the same history, and nothing is remembered of it."""
    weights = AdapterWeights("v1", Path("/w"), "d")
    engine = ScriptedEngine(lambda request: "adapted" if request.adapter else "plain")
    chat = Chat(engine, renderer, Voice("v1", weights), decoding=GREEDY)
    assert "".join(chat.ask("Hello")) == "adapted"
    assert chat.again(Voice("v0", None)) == "plain"
    assert engine.requests[0].prompt_ids == engine.requests[1].prompt_ids
    assert chat.history[-1].content == "adapted"


def test_a_question_without_an_answer_is_not_remembered(renderer: PromptRenderer) -> None:
    """The engine's failure is no turn of the conversation."""
    chat = Chat(ScriptedEngine(lambda r: Failure(r.id, "too long")), renderer, Voice("v1", None), decoding=GREEDY)
    with pytest.raises(EngineError, match="too long"):
        list(chat.ask("Hello"))
    assert chat.history == []


def test_slices_of_a_sampled_answer_have_seeds_of_their_own(renderer: PromptRenderer) -> None:
    """Or every slice would draw the same numbers."""
    engine = sliced(renderer, "y" * 100)
    chat = Chat(
        engine,
        renderer,
        Voice("v1", None),
        decoding=Decoding(method="sample", max_tokens=256, temperature=1.0, early_fail=False),
    )
    list(chat.ask("Hello"))
    seeds = [r.decoding.seed for r in engine.requests]
    assert len(set(seeds)) == len(seeds) > 1
