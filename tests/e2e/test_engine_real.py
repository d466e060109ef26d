"""Both real engines on the real model: what each promises beyond the contract of every engine."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines import open_engine
from harness.engines.base import Completion, Engine, Failure, Request
from harness.engines.canary import prove_adapter
from harness.errors import AdapterError
from harness.metrics.repetition import measure
from harness.models.weights import AdapterWeights
from tests.support.llama import random_lora

pytestmark = pytest.mark.e2e

TEXTS = ["Write a poem about the sea.", "List 20 fruits.", "写一首关于春天的诗。", "How do I cook rice?"]
Prompts = list[tuple[int, ...]]


@pytest.fixture(scope="module")
def prompts(embedded_model: Path) -> Prompts:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_model)
    return [
        tuple(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True
            )["input_ids"]
        )
        for text in TEXTS
    ]


@pytest.fixture(scope="module")
def adapters(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, AdapterWeights]:
    """Random adapters: one without any effect, one with a small one, one with a plain one."""
    made = {}
    for number, (name, std) in enumerate({"zero": 0.0, "small": 0.01, "other": 0.1}.items()):
        path = random_lora(embedded_model, tmp_path_factory.mktemp("adapters") / name, seed=number, std=std)
        made[name] = AdapterWeights(name, path, f"digest of {name}")
    return made


@pytest.fixture(scope="module", params=["vllm", "transformers"])
def engine(
    request: pytest.FixtureRequest, embedded_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    log = tmp_path_factory.mktemp("log") / "engine.log"
    # In bfloat16 the make-up of a batch flips near-ties, and whether two answers are equal says little.
    opened = open_engine(
        request.param, embedded_model, log_path=log, max_model_len=512, max_loras=3, max_lora_rank=8, dtype="float32"
    )
    with closing(opened):
        yield opened


def _run(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    outcomes = {outcome.request_id: outcome for outcome in engine.generate(requests)}
    found = [outcomes[request.id] for request in requests]
    assert all(isinstance(outcome, Completion) for outcome in found), found
    return [outcome for outcome in found if isinstance(outcome, Completion)]


def _requests(prompts: Prompts, decoding: Decoding, **fields: Any) -> list[Request]:
    return [Request(id=number, prompt_ids=ids, decoding=decoding, **fields) for number, ids in enumerate(prompts)]


def test_mixed_decodings_and_adapters_share_one_call(
    engine: Engine, prompts: Prompts, adapters: dict[str, AdapterWeights]
) -> None:
    """Each request gets its own decoding and adapter; the bare model's answers are those it gives alone."""
    greedy = Decoding(method="greedy", max_tokens=24)
    beam = Decoding(beam_width=3, max_tokens=16)
    mixed = [
        Request(id=4 * number + place, prompt_ids=ids, decoding=decoding, adapter=adapter)
        for number, ids in enumerate(prompts)
        for place, (decoding, adapter) in enumerate(
            [(greedy, None), (greedy, adapters["small"]), (greedy, adapters["other"]), (beam, adapters["other"])]
        )
    ]
    found = _run(engine, mixed)
    alone = _run(engine, _requests(prompts, greedy))
    same = [a.token_ids == b.token_ids for a, b in zip(found[::4], alone, strict=True)]
    assert sum(same) >= len(same) - 1, "but for one near-tie that batching may flip"
    assert any(a.token_ids != b.token_ids for a, b in zip(found[::4], found[2::4], strict=True))
    assert any(a.token_ids != b.token_ids for a, b in zip(found[1::4], found[2::4], strict=True))
    assert all(c.finish_reason in ("stop", "length") for c in found)


def test_an_adapter_without_effect_is_told_from_one_with(
    engine: Engine, prompts: Prompts, adapters: dict[str, AdapterWeights]
) -> None:
    """The canary on real numbers: a LoRA of zeros is refused, a small random one passes."""
    assert prove_adapter(engine, prompts, adapters["small"]).effect > 1e-3
    with pytest.raises(AdapterError, match="zero has no provable effect"):
        prove_adapter(engine, prompts, adapters["zero"])


def test_a_seed_means_an_answer(engine: Engine, prompts: Prompts) -> None:
    """Equal seeds give equal answers, whatever else is in the batch; other samples differ."""
    decoding = Decoding(method="sample", temperature=1.0, top_p=0.9, seed=5, samples=2, max_tokens=24)
    requests = [Request(id=sample, prompt_ids=prompts[0], decoding=decoding, sample=sample) for sample in range(2)]
    first, second = _run(engine, requests)
    again = _run(engine, [replace(requests[1], id=9)])
    assert first.token_ids != second.token_ids
    assert again[0].token_ids == second.token_ids


def test_many_long_prompts_are_sampled_at_once(engine: Engine, prompts: Prompts) -> None:
    """More prompt tokens than a step of vLLM takes: it breaks on a CPU where it computes a seeded prompt in parts."""
    long = [(number + 100, *(ids * 40)[:470]) for number, ids in enumerate(prompts * 3)]
    sampled = Decoding(method="sample", max_tokens=2, temperature=0.7, seed=1)
    assert [len(found.token_ids) for found in _run(engine, _requests(long, sampled))] == [2] * 12


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_stop_strings_end_the_answer_and_are_not_part_of_it(engine: Engine, prompts: Prompts, method: Any) -> None:
    """The answer ends by itself before the second item of the list."""
    (found,) = _run(
        engine, [Request(id=0, prompt_ids=prompts[1], decoding=Decoding(method=method, max_tokens=64, stop=("\n2",)))]
    )
    assert found.finish_reason == "stop"
    assert "\n2" not in found.text
    assert "1" in found.text


def test_what_an_engine_cannot_do_fails_alone(engine: Engine, prompts: Prompts, tmp_path: Path) -> None:
    """A field, a length or an adapter that cannot be obeyed fails that request and no other."""
    none = AdapterWeights("gone", tmp_path / "gone", "no digest")
    wrong = (
        Decoding(no_repeat_ngram=3, max_tokens=4)
        if engine.info.name == "vllm"
        else Decoding(semantics="vllm", max_tokens=4)
    )
    fine = Decoding(method="greedy", max_tokens=4)
    outcomes = {
        outcome.request_id: outcome
        for outcome in engine.generate(
            [
                Request(id=0, prompt_ids=prompts[0], decoding=wrong),
                Request(id=1, prompt_ids=prompts[0], decoding=Decoding(max_tokens=4096)),
                Request(id=2, prompt_ids=prompts[0], decoding=fine, adapter=none),
                Request(id=3, prompt_ids=prompts[0], decoding=fine),
            ]
        )
    }
    messages = [o.message for o in (outcomes[0], outcomes[1], outcomes[2]) if isinstance(o, Failure)]
    assert len(messages) == 3
    assert "4096" in messages[1]
    assert "gone" in messages[2]
    assert isinstance(outcomes[3], Completion)


def test_a_cancelled_call_leaves_the_engine_usable(engine: Engine, prompts: Prompts) -> None:
    """Closing the iterator stops the work; the next call is answered."""
    outcomes = engine.generate(
        [
            Request(id=0, prompt_ids=prompts[0], decoding=Decoding(method="greedy", max_tokens=2)),
            Request(id=1, prompt_ids=prompts[1], decoding=Decoding(max_tokens=400)),
        ]
    )
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert len(_run(engine, _requests(prompts, Decoding(method="greedy", max_tokens=2)))) == len(prompts)


@pytest.fixture(scope="module")
def reference(embedded_model: Path) -> Callable[[Sequence[int], Sequence[int]], float]:
    """Teacher-forced log-probability of an answer, float32: the common judge."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(embedded_model, dtype=torch.float32).eval()

    def logprob(prompt: Sequence[int], answer: Sequence[int]) -> float:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
        logprobs = torch.log_softmax(logits, dim=-1)
        return float(logprobs.gather(-1, torch.tensor(answer)[:, None]).sum())

    return logprob


def test_the_search_on_vllm_is_as_good_as_that_of_transformers(
    embedded_model: Path, prompts: Prompts, reference: Callable[[Sequence[int], Sequence[int]], float]
) -> None:
    """In float32 both engines find nearly the same winners, and one scorer finds neither's better."""
    decoding = Decoding(max_tokens=48)
    scores: dict[str, list[float]] = {}
    answers: dict[str, list[Completion]] = {}
    for name in ("vllm", "transformers"):
        with closing(open_engine(name, embedded_model, max_model_len=512, dtype="float32")) as engine:
            found = _run(engine, _requests(prompts, decoding))
        answers[name] = found
        scores[name] = [reference(ids, c.token_ids) / len(c.token_ids) for ids, c in zip(prompts, found, strict=True)]
    gaps = [a - b for a, b in zip(scores["vllm"], scores["transformers"], strict=True)]
    assert statistics.fmean(gaps) == pytest.approx(0.0, abs=0.02), gaps
    assert sum(a.token_ids == b.token_ids for a, b in zip(answers["vllm"], answers["transformers"], strict=True)) >= 2
    for ids, completion in zip(prompts, answers["vllm"], strict=True):
        assert completion.score is not None
        assert completion.score == pytest.approx(
            reference(ids, completion.token_ids) / len(completion.token_ids), abs=0.05
        )


def test_the_bare_model_is_bare_beside_adapters(
    embedded_model: Path, prompts: Prompts, adapters: dict[str, AdapterWeights]
) -> None:
    """An engine with every adapter slot in use answers without one as an engine that knows no adapters."""
    decoding = Decoding(beam_width=1, max_tokens=8)
    with closing(open_engine("vllm", embedded_model, max_model_len=512)) as engine:
        alone = _run(engine, _requests(prompts, decoding))
    with closing(open_engine("vllm", embedded_model, max_model_len=512, max_loras=2, max_lora_rank=8)) as engine:
        for name in ("small", "other"):
            _run(engine, _requests(prompts, decoding, adapter=adapters[name]))
        beside = _run(engine, _requests(prompts, decoding))
        third = list(engine.generate(_requests(prompts[:1], decoding, adapter=adapters["zero"])))
    assert [c.logprob for c in beside] == pytest.approx([c.logprob for c in alone], abs=0.05)
    assert third == [Failure(0, "the engine was started for 2 adapters and has had them; raise max_loras")]


def test_the_early_fail_cuts_only_what_fails_in_full(embedded_model: Path, prompts: Prompts) -> None:
    """Real repeaters: what was cut holds the run in full too, what was not cut is the same answer."""
    units = 60.0
    decoding = Decoding(max_tokens=256)
    with closing(open_engine("vllm", embedded_model, max_model_len=512)) as engine:
        full = _run(engine, _requests(prompts, decoding))
        cut = _run(engine, _requests(prompts, decoding, loop_units=units))
    loops = [scores.values["loop_units"] for scores in measure([c.text for c in full])]
    assert any(c.finish_reason == "loop" for c in cut)
    for early, whole, run in zip(cut, full, loops, strict=True):
        if early.finish_reason == "loop":
            assert run >= units
            assert len(early.token_ids) < len(whole.token_ids)
        else:
            assert run < units or whole.finish_reason == early.finish_reason


def test_beam_search_on_an_llm_of_ones_own_is_vllms(embedded_model: Path) -> None:
    """The same sequences in the same order, with the same sums, in a process that a user would start."""
    script = f"""
import os
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
from vllm import LLM
from vllm.sampling_params import BeamSearchParams
from harness.engines.beam import beam_search
llm = LLM({str(embedded_model)!r}, dtype="float32", max_model_len=256, max_logprobs=-1, enforce_eager=True,
          kv_cache_memory_bytes=1 << 30)
prompts = ["The capital of France is", "List of fruits: apple, pear,"]
params = BeamSearchParams(beam_width=3, max_tokens=8)
ours = beam_search(llm, prompts, params)
theirs = llm.beam_search([{{"prompt": text}} for text in prompts], params)
for one, other in zip(ours, theirs, strict=True):
    assert [s.tokens for s in one.sequences] == [s.tokens for s in other.sequences]
    assert [s.text for s in one.sequences] == [s.text for s in other.sequences]
    assert max(abs(a.cum_logprob - b.cum_logprob) for a, b in zip(one.sequences, other.sequences)) < 1e-3
print("equal")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout.endswith("equal\n"), done.stderr[-2000:]
