"""Small projects for tests: a manifest, case files, a tiny tokenizer, and a script instead of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOOP = "The sea is calm. " + "The waves roll in again and again tonight. " * 20
CLEAN = "The sea is calm tonight, and a small boat comes home before the rain begins."
TEST_FILE = '''\
"""Every bad case in this folder."""

from harness import BadCase


def test_badcase(badcase: BadCase) -> None:
    badcase.check()
'''
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make_project(
    root: Path,
    cases: Sequence[Mapping[str, Any]] | None = None,
    script: Mapping[str, Any] | None = None,
    settings: str = "",
) -> Path:
    """A project at ``root`` whose engine is a script; returns ``root``.

    Args:
        root: an existing folder.
        cases: records of badcases/badcase1/test.json.
        script: pieces of prompts to answers, see the scripted engine.
        settings: more lines under [tool.harness].
    """
    if cases is None:
        cases = [record("sea"), record("hill"), record("calm", role="guard")]
    if script is None:
        script = {"sea": LOOP, "hill": CLEAN, "calm": CLEAN}
    make_model(root / "model")
    folder = root / "badcases" / "badcase1"
    folder.mkdir(parents=True)
    (folder / "test.json").write_text(json.dumps(list(cases)), encoding="utf-8")
    (root / "badcases" / "test_badcases.py").write_text(TEST_FILE)
    (root / "adapters_manifest.toml").write_text(
        '[models."tiny"]\npath = "model"\n\n[adapters."v4.0"]\nmodel = "tiny"\n\n[adapters."v3.9"]\nmodel = "tiny"\n'
    )
    (root / "script.json").write_text(json.dumps(script), encoding="utf-8")
    engine = f"scripted:{root / 'script.json'}"
    (root / "pyproject.toml").write_text(
        f'[tool.harness]\nadapter = "v4.0"\nengine = "{engine}"\n{settings}\n[tool.pytest.ini_options]\nstrict = true\n'
    )
    return root


def record(name: str, **fields: Any) -> dict[str, Any]:
    """A case whose prompt holds ``name``."""
    text = f"Write a few lines about the {name}."
    return {"id": name, "text": text, "standard_answer": f"A {name}, and evening light upon it.", **fields}


def make_model(folder: Path) -> Path:
    """A folder that looks like a model: a character tokenizer with a chat template, and no weights."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    characters = [chr(i) for i in range(32, 127)] + ["\n"]
    vocabulary = {c: i for i, c in enumerate(["<end>", "<unk>", *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "pad_token": "<end>",
        "unk_token": "<unk>", "chat_template": TEMPLATE,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder
