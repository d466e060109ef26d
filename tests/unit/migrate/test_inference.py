"""Scripts that generate are read by their syntax tree: model, adapters, decoding, system prompt; nothing runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cases.decoding import Decoding
from harness.migrate.inference import Inference, read_inference


def read(source: str) -> Inference:
    return read_inference(source, "Inference.py")


@pytest.mark.parametrize(
    "source",
    [
        "LLM('/m/q')",
        "vllm.LLM(model='/m/q', tensor_parallel_size=8)",
        "M = '/m/q'\nllm = LLM(M)",
        "def main(model='/m/q'):\n    return LLM(model=model)",
        "p.add_argument('--model-path', default='/m/q')\nargs = p.parse_args()\nLLM(args.model_path)",
        "B = '/m'\nLLM(f'{B}/q')",
        "import os\nLLM(os.path.join('/m', 'q'))",
        "from pathlib import Path\nLLM(str(Path('/m') / 'q'))",
        "LLM('/m' + '/q')",
        "LLM(os.environ.get('MODEL', '/m/q'))",
        "class C:\n    def __init__(self):\n        self.path = '/m/q'\n        self.llm = LLM(model=self.path)",
        "AutoModelForCausalLM.from_pretrained('/m/q', device_map='auto')",
    ],
    ids=["constant", "keyword", "name", "argument", "argparse", "f-string", "join", "path", "sum", "environment",
         "attribute", "transformers"],
)  # fmt: skip
def test_the_model_is_found_however_it_is_written(source: str) -> None:
    """What is written in the script, without what this machine would add to it."""
    assert read(source).models == ("/m/q",)


@pytest.mark.parametrize(
    "source",
    [
        "LoRARequest('v3.9', 1, '/a/v3.9')\nLoRARequest('v4.0', 2, lora_path='/a/v4.0')",
        "for i, p in enumerate(['/a/v3.9', '/a/v4.0']):\n    LoRARequest('x', i, p)",
        "V = ['v3.9', 'v4.0']\nfor v in tqdm(V):\n    LoRARequest(v, 1, f'/a/{v}')",
        "ADAPTERS = ['/a/v3.9', '/a/v4.0']",
        "lora_paths = '/a/v3.9,/a/v4.0'.split(',')",
        "PeftModel.from_pretrained(m, '/a/v3.9')\nPeftModel.from_pretrained(m, '/a/v4.0')",
        "[LoRARequest('x', 1, p) for p in ('/a/v3.9', '/a/v4.0')]",
    ],
    ids=["requests", "loop", "names", "variable", "split", "peft", "comprehension"],
)
def test_all_adapters_are_found(source: str) -> None:
    """One script often generates with several versions."""
    assert read(source).adapters == ("/a/v3.9", "/a/v4.0")


@pytest.mark.parametrize(
    ("source", "decoding"),
    [
        ("BeamSearchParams(beam_width=4, max_tokens=1024)", {"method": "beam", "beam_width": 4, "max_tokens": 1024}),
        ("SamplingParams(use_beam_search=True, best_of=5, temperature=0, max_tokens=9)",
         {"method": "beam", "beam_width": 5, "max_tokens": 9, "temperature": 0.0}),
        ("SamplingParams(temperature=0, max_tokens=512)", {"method": "greedy", "max_tokens": 512}),
        ("SamplingParams(temperature=0.7, top_p=0.9, top_k=-1, n=3, seed=1, max_tokens=8)",
         {"method": "sample", "temperature": 0.7, "top_p": 0.9, "top_k": 0, "samples": 3, "seed": 1}),
        ("SamplingParams(max_tokens=8)", {"method": "sample", "temperature": 1.0}),
        ("SamplingParams(temperature=0)", {"max_tokens": 16}),
        ("SamplingParams(temperature=0, max_tokens=8, stop='###')", {"stop": ("###",)}),
        ("k = dict(a=1)\nP = {'temperature': 0, 'max_tokens': 77}\nSamplingParams(**P)", {"max_tokens": 77}),
        ("W = 6\nBeamSearchParams(beam_width=W, max_tokens=2 and 8)", {"beam_width": 6}),
        ("m.generate(**x, max_new_tokens=64, num_beams=5, no_repeat_ngram_size=4)",
         {"method": "beam", "beam_width": 5, "max_tokens": 64, "semantics": "hf", "no_repeat_ngram": 4}),
        ("m.generate(x, max_new_tokens=64, do_sample=True, temperature=0.5)", {"method": "sample", "temperature": 0.5}),
        ("m.generate(x, max_new_tokens=64)", {"method": "greedy", "max_tokens": 64}),
    ],
    ids=["beam", "old beam", "greedy", "sampling", "default temperature", "default length", "stop", "spread", "name",
         "transformers", "transformers sampling", "transformers greedy"],
)  # fmt: skip
def test_the_decoding_is_that_of_the_script(source: str, decoding: dict[str, Any]) -> None:
    """With the library's defaults for what it does not say; vLLM's beam search counts the prompt."""
    made = Decoding.from_mapping(read(source).decoding)
    assert {name: getattr(made, name) for name in decoding} == decoding
    if "BeamSearch" in source or "use_beam" in source:
        assert made.semantics == "vllm"


@pytest.mark.parametrize(
    "source",
    [
        "m = [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': t}]",
        "SYSTEM_PROMPT = 'Be brief.'",
        "S = 'Be brief.'\nm = [dict(), {'role': 'system', 'content': S}]",
    ],
    ids=["message", "variable", "name"],
)
def test_the_system_prompt_is_found(source: str) -> None:
    """It decides the answers, and so it is part of the cases."""
    assert read(source).system == "Be brief."


def test_options_of_the_engine_are_found() -> None:
    """Those that the harness takes; others are named."""
    found = read("LLM('/m', tensor_parallel_size=8, dtype='bfloat16', kv_cache_dtype='fp8', enable_lora=True)")
    assert found.engine_options == {"tensor_parallel_size": 8, "dtype": "bfloat16"}
    assert found.problems == (
        "Inference.py, line 1: kv_cache_dtype = 'fp8' of the engine is not taken; see [tool.harness.engine_options]",
    )


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("LLM(sys.argv[1])", "the model is sys.argv[1], which is known only when the script runs"),
        ("LLM(input())", "the model is input()"),
        ("LoRARequest('x', 1, get())", "the adapter is get()"),
        ("SamplingParams(temperature=t(), max_tokens=1)", "temperature = t() is known only when the script runs"),
        ("SamplingParams(frequency_penalty=1.0, max_tokens=1)", "frequency_penalty = 1.0 has nothing like it"),
        ("SamplingParams(temperature=-1, max_tokens=1)", "its decoding is not taken"),
        ("SamplingParams(max_tokens=1)\nSamplingParams(max_tokens=2)", "decodes in 2 ways; the first is taken"),
        ("SYSTEM = 'a'\nsystem_prompt = 'b'", "has several system prompts"),
        ("A = '/a'\nA = '/b'\nLLM(A)", "the model has several values: /a, /b"),
        ("print 'x'", "is not Python 3"),
        ("x = '\0'", "Inference.py: "),
    ],
    ids=["argument", "input", "adapter", "call", "unknown", "refused", "two ways", "two prompts", "two models",
         "python 2", "nul"],
)  # fmt: skip
def test_what_is_not_understood_is_named(source: str, says: str) -> None:
    """With its line, where it has one."""
    assert says in "\n".join(read(source).problems)


def test_nothing_of_a_script_runs(tmp_path: Path) -> None:
    """Neither at its top nor in an argument."""
    mark = tmp_path / "ran"
    read(f"open({str(mark)!r}, 'w')\nLLM(open({str(mark)!r}, 'w').name)")
    assert not mark.exists()


@pytest.mark.parametrize(
    "source",
    [
        "(" * 5_000,
        "x = " + "+".join(["'a'"] * 20_000) + "\nLLM(x)",
        "A = A0\n" + "\n".join(f"A{i} = A{i + 1} + A{i + 1}" for i in range(500)) + "\nLLM(A)",
        "a = a\nLLM(a)",
        "x = [" + "LLM(x)," * 20_000 + "]",
        "SamplingParams(max_tokens=1)\n" * 20_000,
        "x = 'a'\n" + "x = x + x\n" * 100 + "LLM(x)",
        "-" * 3_000 + "1",
    ],
    ids=["brackets", "sum", "chain", "itself", "calls", "decodings", "doubling", "signs"],
)
def test_a_hostile_script_is_read_in_bounded_time(source: str) -> None:
    """Deep nesting and names that lead to themselves cost no minutes and end nothing."""
    began = time.process_time()
    read(source)
    assert time.process_time() - began < 10


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([
            "LLM(", "LoRARequest(", "SamplingParams(", "BeamSearchParams(", "x", "=", "'a/b'", ")", ",", "\n", "[", "]",
            "for x in ", ":", " ", "f'{x}'", "+", "**", "{", "}", "'role'", "'system'", "max_tokens", "temperature",
            "None", "-1", "1e999", ".generate(", "self.", "args.x", "lambda: ", "*",
        ]),
        max_size=40,
    ).map("".join)
    | st.text()
)  # fmt: skip
def test_no_text_is_an_error(source: str) -> None:
    """Whatever the text, there is an answer, and its decoding is one."""
    found = read(source)
    Decoding.from_mapping(found.decoding)
    assert all(isinstance(path, str) for path in (*found.models, *found.adapters))
