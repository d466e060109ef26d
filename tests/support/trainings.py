"""A tiny model with a real tokenizer and chat template, and a fake trainer's Python: what tests of training need.

The model is a random two-layer Llama of 40 thousand weights: LLaMA-Factory, DeepSpeed and torchrun do with it exactly
what they do with a real one, in seconds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from harness.cases.model import Message
from harness.models.adapters.folder import CONFIG, WEIGHTS
from harness.models.adapters.tensors import write_tensors
from harness.pairs import Pair

__all__ = ["CHATML", "fake_python", "left_weights", "pairs", "sparse_model", "tiny_model"]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HIDDEN, _LAYERS, _HEADS, _INNER = 32, 2, 4, 64


def tiny_model(folder: Path, *, seed: int = 0, spoilt: bool = False, missing: int = 0) -> Path:
    """A model folder that transformers, peft and LLaMA-Factory load.

    ``spoilt`` puts NaN into its weights; ``missing`` leaves out the rows of so many last tokens of the vocabulary.
    """
    vocabulary = _tokenizer(folder) - missing
    draw = np.random.default_rng(seed)
    shapes = {"model.embed_tokens": (vocabulary, _HIDDEN), "lm_head": (vocabulary, _HIDDEN)}
    for layer in range(_LAYERS):
        shapes |= {f"model.layers.{layer}.self_attn.{n}_proj": (_HIDDEN, _HIDDEN) for n in "qkvo"}
        shapes |= {f"model.layers.{layer}.mlp.{n}_proj": (_INNER, _HIDDEN) for n in ("gate", "up")}
        shapes[f"model.layers.{layer}.mlp.down_proj"] = (_HIDDEN, _INNER)
    tensors = {f"{n}.weight": (0.05 * draw.standard_normal(s)).astype(np.float32) for n, s in shapes.items()}
    norms = ["model.norm", *(f"model.layers.{i}.{n}" for i in range(_LAYERS) for n in _NORMS)]
    tensors |= {f"{n}.weight": np.ones(_HIDDEN, np.float32) for n in norms}
    if spoilt:
        tensors["model.norm.weight"] = np.full(_HIDDEN, np.nan, np.float32)
    write_tensors(folder / "model.safetensors", tensors)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary, "dtype": "float32",
        "hidden_size": _HIDDEN, "intermediate_size": _INNER, "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS, "num_key_value_heads": _HEADS, "max_position_embeddings": 512,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "hidden_act": "silu",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def left_weights(folder: Path) -> Path:
    """An adapter of :func:`tiny_model` that a training could leave, for :func:`fake_python`'s ``leave()``."""
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    ones = {
        f"{module}.lora_A.weight": np.ones((2, _HIDDEN), np.float32),
        f"{module}.lora_B.weight": np.ones((_HIDDEN, 2), np.float32),
    }
    write_tensors(folder / WEIGHTS, ones)
    (folder / CONFIG).write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 4}', "utf-8")
    return folder


_NORMS = ("input_layernorm", "post_attention_layernorm")


def _tokenizer(folder: Path) -> int:
    """Bytes as tokens and three special ones; returns the size of the vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({token: i for i, token in enumerate([*special, *alphabet])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(special)
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
        "pad_token": "<|pad|>", "clean_up_tokenization_spaces": False, "model_max_length": 512,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (folder / "chat_template.jinja").write_text(CHATML, "utf-8")
    return made.get_vocab_size()


def pairs(count: int = 6, length: int = 12) -> tuple[Pair, ...]:
    """Preference pairs: a clean answer against a loop that was cut off."""
    return tuple(
        Pair(
            case_id=f"badcase1/{i}",
            messages=(Message("user", f"Tell me {i}"),),
            chosen=f"It is {i}, and that is all.",
            rejected=f"{i} " * length,
            origin="own",
        )
        for i in range(count)
    )


def fake_python(path: Path, body: str) -> Path:
    """An executable in the place of the trainer's Python: it gets entry.py's words and runs ``body`` instead.

    ``job`` is the job's content, ``say(**values)`` writes a line of progress, ``leave()`` what a good training leaves.
    """
    path.write_text(
        f"""#!{sys.executable}
import json, os, pathlib, shutil, signal, sys, time
if sys.argv[1:2] == ["-c"]:
    # Which of the packages are missing: none.
    print("[]")
    sys.exit()
job = json.loads(pathlib.Path([w for w in sys.argv if w.endswith("job.json")][-1]).read_text())
output = pathlib.Path(job["arguments"]["output_dir"])
def say(**values):
    with open(job["progress"], "a") as file:
        file.write(json.dumps(dict(time=time.time(), rank=0) | values) + "\\n")
def leave(steps=2, wanted=2, adapter=True):
    output.mkdir(parents=True, exist_ok=True)
    if adapter:
        shutil.copytree({str(path.parent / "adapter")!r}, output, dirs_exist_ok=True)
    (output / "trainer_state.json").write_text(json.dumps(dict(global_step=steps, max_steps=wanted)))
{body}
""",
        "utf-8",
    )
    path.chmod(0o755)
    return path


def sparse_model(folder: Path, **config: object) -> Path:
    """A dense model of the Llama kind whose weights are holes in a file: a header and no data, of any size.

    Args:
        folder: of the model; made where it does not exist.
        config: what config.json says; ``vocab_size``, ``hidden_size`` and the like.
    """
    c: dict[str, int] = {k: v for k, v in config.items() if isinstance(v, int)}
    hidden, inner, layers = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"]
    head = hidden // c["num_attention_heads"]
    keys = c["num_key_value_heads"] * head
    blocks = {
        "q_proj": (hidden, hidden),
        "k_proj": (keys, hidden),
        "v_proj": (keys, hidden),
        "o_proj": (hidden, hidden),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens": (c["vocab_size"], hidden), "model.norm": (hidden,)}
    if not config.get("tie_word_embeddings"):
        shapes["lm_head"] = (c["vocab_size"], hidden)
    for layer in range(layers):
        shapes |= {f"model.layers.{layer}.self_attn.{name}": shape for name, shape in blocks.items()}
        shapes |= {f"model.layers.{layer}.mlp.{name}_proj": (inner, hidden) for name in ("gate", "up")}
        shapes[f"model.layers.{layer}.mlp.down_proj"] = (hidden, inner)
        shapes |= {f"model.layers.{layer}.{name}": (hidden,) for name in _NORMS}
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape, dtype=np.int64))
        header[f"{name}.weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    (folder / "config.json").write_text(json.dumps({"dtype": "bfloat16", **config}), "utf-8")
    return folder
