"""One engine serves several models, and never answers with other weights than were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Engine, EngineInfo, Outcome, Request
from harness.engines.kept_engine import KeptEngine
from harness.errors import EngineError

REQUEST = Request(id=0, prompt_ids=(1, 2), decoding=Decoding(method="greedy", max_tokens=4))


@dataclass
class Numbers:
    """An engine whose log-probabilities are those of the weights that it holds."""

    weights: float
    loads: str = "well"
    info: EngineInfo = field(default_factory=lambda: EngineInfo("numbers", "1"))
    closed: bool = False

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        for request in requests:
            yield Completion(
                request_id=request.id, text="a", token_ids=(1,), finish_reason="stop", logprob=-self.weights
            )

    def load_weights(self, model_path: Path) -> None:
        if self.loads == "breaks":
            raise EngineError("no")
        if self.loads == "well":
            self.weights = float((model_path / "weights").read_text())

    def close(self) -> None:
        self.closed = True


class Fixed(Numbers):
    """An engine that takes no other weights."""

    load_weights = None  # type: ignore[assignment]


@dataclass
class Opener:
    """Opens engines and remembers them."""

    kind: type[Numbers] = Numbers
    loads: str = "well"
    opened: list[Numbers] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, name: str, model_path: Path, **options: Any) -> Engine:
        self.options.append(options)
        self.opened.append(self.kind(float((model_path / "weights").read_text()), self.loads))
        return self.opened[-1]


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Two models that differ in their weights only."""
    for name, weights in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "weights").write_text(weights)
    return tmp_path / "one", tmp_path / "two"


def logprob(engine: Engine) -> float | None:
    (outcome,) = engine.generate([REQUEST])
    assert isinstance(outcome, Completion)
    return outcome.logprob


def test_the_next_models_weights_are_loaded_into_the_running_engine(models: tuple[Path, Path]) -> None:
    """Two models, one start, each model's own numbers."""
    opener = Opener()
    with KeptEngine(opener) as kept:
        for _ in range(2):
            assert logprob(kept("vllm", models[0], max_loras=0)) == -1
            assert logprob(kept("vllm", models[1], max_loras=0)) == -2
    assert len(opener.opened) == 1
    assert opener.opened[0].closed


@pytest.mark.parametrize("loads", ["silently not", "breaks"])
def test_an_engine_that_does_not_load_is_replaced(models: tuple[Path, Path], loads: str) -> None:
    """Numbers that stay the same are no proof of other weights."""
    opener = Opener(loads=loads)
    with KeptEngine(opener) as kept:
        kept("vllm", models[0], max_loras=0)
        assert logprob(kept("vllm", models[1], max_loras=0)) == -2
    assert [engine.closed for engine in opener.opened] == [True, True]


def test_an_engine_without_the_ability_is_replaced(models: tuple[Path, Path]) -> None:
    """An engine of your own needs no more methods than before."""
    opener = Opener(kind=Fixed)
    with KeptEngine(opener) as kept:
        kept("own", models[0], max_loras=0)
        assert logprob(kept("own", models[1], max_loras=0)) == -2
    assert len(opener.opened) == 2


@pytest.mark.parametrize(
    "options", [{"max_loras": 1}, {"max_loras": 0, "dtype": "float32"}], ids=["adapters", "another type"]
)
def test_other_options_need_another_engine(models: tuple[Path, Path], options: dict[str, Any]) -> None:
    """Only weights are exchanged, never what an engine was opened with."""
    opener = Opener()
    with KeptEngine(opener) as kept:
        kept("vllm", models[0], max_loras=0)
        kept("vllm", models[1], **options)
    assert len(opener.opened) == 2


def test_models_that_differ_in_more_than_weights_need_another_engine(models: tuple[Path, Path]) -> None:
    """Another configuration or tokenizer is another model."""
    (models[1] / "tokenizer.json").write_text("{}")
    opener = Opener()
    with KeptEngine(opener) as kept:
        kept("vllm", models[0], max_loras=0)
        kept("vllm", models[1], max_loras=0)
    assert len(opener.opened) == 2


def test_the_same_model_is_served_by_the_same_engine(models: tuple[Path, Path]) -> None:
    """Closing what was lent ends nothing; a shorter context fits into a longer one."""
    opener = Opener()
    with KeptEngine(opener, room={"max_model_len": 300}) as kept:
        engine = kept("vllm", models[0], max_loras=0, max_model_len=200)
        engine.close()
        kept("vllm", models[0], max_loras=0, max_model_len=280)
    assert len(opener.opened) == 1
    assert opener.options[0]["max_model_len"] == 300


def test_room_for_adapters_is_made_once(models: tuple[Path, Path]) -> None:
    """Calls that need less share the engine; an option that a caller does not give stays away."""
    opener = Opener()
    with KeptEngine(opener, room={"max_loras": 9, "max_lora_rank": 16}) as kept:
        kept("vllm", models[0], max_loras=0, max_lora_rank=0)
        kept("vllm", models[0], max_loras=8, max_lora_rank=8)
        kept("own", models[0])
    given = [{name: value for name, value in options.items() if "lora" in name} for options in opener.options]
    assert given == [{"max_loras": 9, "max_lora_rank": 16}, {}]


class Elsewhere(Numbers):
    """An engine on other machines."""

    holds_this_machine = False


@pytest.mark.parametrize(("kind", "closed"), [(Numbers, True), (Elsewhere, False)], ids=["here", "elsewhere"])
def test_an_engine_gives_way_to_a_training_unless_it_lies_elsewhere(
    models: tuple[Path, Path], kind: type[Numbers], closed: bool
) -> None:
    """The training needs the memory of this machine alone."""
    opener = Opener(kind=kind)
    with KeptEngine(opener) as kept:
        kept("vllm", models[0], max_loras=0)
        kept.give_way()
        assert opener.opened[0].closed is closed
        assert logprob(kept("vllm", models[0], max_loras=0)) == -1
    assert len(opener.opened) == 1 + closed
    assert all(engine.closed for engine in opener.opened)
