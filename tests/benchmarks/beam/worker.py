"""One engine of the benchmark in a process of its own: takes a line of JSON per measurement, answers with one.

Engines stay alive side by side, so that the benchmark can take turns between them: what else the machine does then hits
all of them alike.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

WIDTH = 5
Prompts = list[tuple[int, ...]]
Parts = dict[str, Callable[[Prompts, Any], dict[str, Any]]]


def ours(model: Path, longest: int, loop_units: float) -> Parts:
    """Our engine: the floor, the search with the early FAIL off and on, and vLLM's own search at block size 32."""
    from harness.cases.decoding import Decoding
    from harness.engines.base import Completion, Request
    from harness.engines.vllm_engine import VllmEngine

    engine = VllmEngine(model, max_model_len=longest)
    llm = engine._llm

    def search(prompts: Prompts, tokens: int, units: float | None) -> dict[str, Any]:
        decoding = Decoding(beam_width=WIDTH, max_tokens=tokens)
        requests = [Request(id=i, prompt_ids=ids, decoding=decoding, loop_units=units) for i, ids in enumerate(prompts)]
        done = sorted((o for o in engine.generate(requests) if isinstance(o, Completion)), key=lambda o: o.request_id)
        assert len(done) == len(prompts)
        return {
            "ids": [o.token_ids for o in done],
            "texts": [o.text for o in done],
            "cut": [i for i, o in enumerate(done) if o.finish_reason == "loop"],
        }

    return {
        "floor": lambda prompts, tokens: _floor(llm, prompts, tokens),
        "ours": lambda prompts, tokens: search(prompts, tokens, None),
        "ours-again": lambda prompts, tokens: _reversed(search, prompts, tokens),
        "ours-cut": lambda prompts, tokens: search(prompts, tokens, loop_units),
        "vllm-block32": lambda prompts, tokens: _vllm_beam(llm, prompts, tokens),
    }


def loras(model: Path, longest: int, loop_units: float) -> Parts:
    """The floor and our search once more, every second prompt on one of two random LoRAs, the others on the other."""
    from harness.cases.decoding import Decoding
    from harness.engines.base import Completion, Request
    from harness.engines.vllm_engine import VllmEngine
    from harness.models.weights import AdapterWeights

    place = Path(tempfile.mkdtemp(prefix="bench-beam-lora-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    adapters = [AdapterWeights(str(seed), _random_lora(model, place / str(seed), seed), str(seed)) for seed in range(2)]
    engine = VllmEngine(model, max_model_len=longest, max_loras=2, max_lora_rank=8)

    def search(prompts: Prompts, tokens: int) -> dict[str, Any]:
        decoding = Decoding(beam_width=WIDTH, max_tokens=tokens, early_fail=False)
        requests = [
            Request(id=i, prompt_ids=ids, decoding=decoding, adapter=adapters[i % 2]) for i, ids in enumerate(prompts)
        ]
        assert all(isinstance(o, Completion) for o in engine.generate(requests))
        return {}

    def floor(prompts: Prompts, tokens: int) -> dict[str, Any]:
        return _floor(engine._llm, prompts, tokens, [engine._lora(adapters[i % 2]) for i in range(len(prompts))])

    return {"floor-lora": floor, "ours-lora": search}


def _random_lora(model: Path, place: Path, seed: int) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    whole = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    tuned = get_peft_model(whole, LoraConfig(r=8, target_modules="all-linear"))
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            weights.data.normal_(0.0, 0.01)
    tuned.save_pretrained(place)
    return place


def vllm_defaults(model: Path, longest: int, loop_units: float) -> Parts:
    """vLLM as it comes: its own search at its default block size."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM

    llm = LLM(str(model), max_model_len=longest, enforce_eager=True, kv_cache_memory_bytes=2 * 2**30)
    return {"vllm-default": lambda prompts, tokens: _vllm_beam(llm, prompts, tokens)}


def transformers(model: Path, longest: int, loop_units: float) -> Parts:
    """transformers: its own generate on its best batch and type, and teacher-forced scores of anybody's answers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(model)
    models = {name: AutoModelForCausalLM.from_pretrained(model, dtype=name).eval() for name in ("bfloat16", "float32")}
    end = int(tokenizer.eos_token_id)
    for loaded in models.values():
        # Its own defaults would fill in what a call leaves out.
        loaded.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end)
    best: list[tuple[str, int]] = []

    def search(prompts: Prompts, tokens: int) -> dict[str, Any]:
        if not best:
            ways = [(name, size) for name in models for size in (len(prompts), 8)]
            seconds = {way: _timed(partial(run, prompts, 16, *way)) for way in ways}
            best.append(min(ways, key=lambda way: seconds[way]))
        began = time.perf_counter()
        ids = run(prompts, tokens, *best[0])
        return {"ids": ids, "best": best[0], "seconds": time.perf_counter() - began}

    def again(prompts: Prompts, tokens: int) -> dict[str, Any]:
        """The same in other batches: what its own numerical noise does to its answers."""
        return {"ids": run(prompts, tokens, best[0][0], 6)}

    def run(prompts: Prompts, tokens: int, name: str, size: int) -> list[list[int]]:
        # Prompts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        found: dict[int, list[int]] = {}
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            wide = max(len(prompts[i]) for i in batch)
            rows = [[end] * (wide - len(prompts[i])) + list(prompts[i]) for i in batch]
            mask = [[0] * (wide - len(prompts[i])) + [1] * len(prompts[i]) for i in batch]
            with torch.inference_mode():
                output = models[name].generate(
                    input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask), num_beams=WIDTH,
                    max_new_tokens=tokens, do_sample=False,
                )  # fmt: skip
            for i, ids in zip(batch, output[:, wide:].tolist(), strict=True):
                found[i] = ids[: ids.index(end) + 1] if end in ids else ids
        return [found[i] for i in range(len(prompts))]

    def scores(prompts: Prompts, answers: list[list[int]]) -> list[float]:
        """Mean log-probability a token, nats, in float32."""
        found = []
        for prompt, answer in zip(prompts, answers, strict=True):
            ids = torch.tensor([[*prompt, *answer]])
            with torch.inference_mode():
                logits = models["float32"](input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
            chosen = logits.gather(-1, ids[0, -len(answer) :, None])[:, 0]
            found.append(float((chosen - logits.logsumexp(-1)).mean()))
        return found

    return {
        "transformers": search,
        "transformers-again": again,
        # The place of the token count is taken by the answers to score.
        "scores": lambda prompts, answers: {"scores": scores(prompts, answers)},
    }


def _reversed(search: Callable[..., dict[str, Any]], prompts: Prompts, tokens: int) -> dict[str, Any]:
    """Our search with the prompts in the opposite order, so in other batches."""
    return {"ids": search(prompts[::-1], tokens, None)["ids"][::-1]}


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _floor(llm: Any, prompts: Prompts, tokens: int, adapters: list[Any] | None = None) -> dict[str, Any]:
    """As many rows a step as a search of this width, with the log-probabilities that it needs, and nothing else."""
    from vllm import SamplingParams

    params = SamplingParams(n=WIDTH, temperature=1.0, ignore_eos=True, logprobs=2 * WIDTH, max_tokens=tokens, seed=0)
    llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], params, use_tqdm=False, lora_request=adapters)
    return {}


def _vllm_beam(llm: Any, prompts: Prompts, tokens: int) -> dict[str, Any]:
    from vllm.sampling_params import BeamSearchParams

    llm.beam_search(
        [{"prompt_token_ids": list(ids)} for ids in prompts], BeamSearchParams(beam_width=WIDTH, max_tokens=tokens)
    )
    return {}


def main() -> int:
    """Serve the engine that the first argument names."""
    name, model, longest, units, answers = sys.argv[1:]
    pipe = os.fdopen(int(answers), "w")
    parts = {"ours": ours, "loras": loras, "vllm-default": vllm_defaults, "transformers": transformers}[name](
        Path(model), int(longest), float(units)
    )
    print(json.dumps({"ready": sorted(parts)}), file=pipe, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        prompts = [tuple(ids) for ids in order["prompts"]]
        began = time.perf_counter()
        found = parts[order["part"]](prompts, order["tokens"])
        print(json.dumps({"seconds": time.perf_counter() - began, **found}), file=pipe, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
