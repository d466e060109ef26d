"""The search under ``hf`` semantics returns bit for bit what transformers' own generate returns on the same model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.beam_tables import VOCABULARY, TableModel, Trial, make_trial, run_search

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TRIALS = 1000


class _StableTopK(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
    """``torch.topk`` leaves the order of equal values open; here the first one comes first, as in our tie rule."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not torch.topk:
            return func(*args, **kwargs)
        values, k = args[0], kwargs.get("k", args[1] if len(args) > 1 else None)
        order = torch.sort(values, dim=-1, descending=True, stable=True)
        return order.values[..., :k], order.indices[..., :k]


def _as_transformers() -> Callable[[TableModel], Any]:
    from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
    from transformers.modeling_outputs import CausalLMOutput

    class Config(PretrainedConfig):  # type: ignore[misc, unused-ignore]
        model_type = "table"
        vocab_size = VOCABULARY

    class Table(PreTrainedModel, GenerationMixin):  # type: ignore[misc, unused-ignore]
        config_class = Config
        main_input_name = "input_ids"

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.anchor = torch.nn.Parameter(torch.zeros(1))
            self.prompt_length = 0
            self.logits = torch.zeros(1)

        def prepare_inputs_for_generation(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> Any:
            return {"input_ids": input_ids}

        def forward(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> Any:
            position = (input_ids.shape[1] - self.prompt_length) % len(self.logits)
            return CausalLMOutput(logits=self.logits[position, input_ids[:, -1:]])

    model = Table(Config()).eval()

    def load(table: TableModel) -> Any:
        model.logits = torch.from_numpy(table.logits)
        return model

    return load


@pytest.fixture(scope="module")
def load() -> Callable[[TableModel], Any]:
    return _as_transformers()


def _generate(model: Any, trial: Trial, returned: int = 1) -> tuple[list[tuple[int, ...]], list[float] | None]:
    model.prompt_length = len(trial.prompt)
    config = transformers.GenerationConfig(
        num_beams=trial.width,
        max_new_tokens=trial.max_tokens,
        length_penalty=float(trial.penalty),
        early_stopping=trial.early,
        eos_token_id=list(trial.ends),
        pad_token_id=VOCABULARY + 7,
        num_return_sequences=returned,
        return_dict_in_generate=True,
        output_scores=True,
        use_cache=False,
        do_sample=False,
    )
    ids = torch.tensor([trial.prompt])
    with torch.no_grad(), _StableTopK(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    rows = output.sequences[:, len(trial.prompt) :].tolist()
    scores = None if trial.width == 1 else output.sequences_scores.tolist()
    return [_trim(row, trial.ends) for row in rows], scores


def _trim(row: list[int], ends: tuple[int, ...]) -> tuple[int, ...]:
    end = next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
    return tuple(row[:end])


@pytest.mark.parametrize("block", range(4), ids=lambda block: f"block{block}")
def test_winner_and_score_are_those_of_generate(load: Callable[[TableModel], Any], block: int) -> None:
    """Over 1,000 random models: widths 1-8, penalties 0-2, every early_stopping, several ends, ties included."""
    for seed in range(block, TRIALS, 4):
        trial = make_trial(seed)
        sequences, scores = _generate(load(trial.model), trial)
        found, _ = run_search(trial, "hf")
        assert found[0][1] == sequences[0], f"seed {seed}"
        if scores is not None:
            assert found[0][0] == scores[0], f"seed {seed}"


def test_all_returned_sequences_are_those_of_generate(load: Callable[[TableModel], Any]) -> None:
    """``num_return_sequences`` = width: the whole pool, in order, with its scores."""
    for seed in range(150):
        trial = make_trial(seed, widths=range(2, 9))
        sequences, scores = _generate(load(trial.model), trial, returned=trial.width)
        found, _ = run_search(trial, "hf", n_best=trial.width)
        assert [ids for _, ids in found] == sequences[: len(found)], f"seed {seed}"
        assert scores is not None
        assert [score for score, _ in found] == scores[: len(found)], f"seed {seed}"
