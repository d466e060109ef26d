"""A file that a project reads may hold anything: every reader answers with one error of its own."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines import open_engine
from harness.engines.model_folder import end_ids
from harness.errors import HarnessError
from harness.fix.training import kept_recipe
from harness.models.adapters.folder import check
from harness.pairs import import_pairs
from harness.project.manifest import read_manifest
from harness.project.settings import find_root, read_settings
from tests.support.adapters import lora
from trainers.attempt import trainer_state
from trainers.recipe import named_recipe

Reader = Callable[[Path], object]


READERS: dict[str, tuple[str, Reader]] = {
    "adapters_manifest.toml": (
        "adapters_manifest.toml",
        lambda folder: read_manifest(folder / "adapters_manifest.toml"),
    ),
    "pyproject.toml": ("pyproject.toml", lambda folder: read_settings(find_root(folder), environment={})),
    "recipe": ("mine.toml", lambda folder: named_recipe(str(folder / "mine.toml"))),
    "kept recipe": ("recipe.json", kept_recipe),
    "adapter_config.json": ("adapter_config.json", check),
    "pairs": ("pairs.json", lambda folder: import_pairs(folder / "pairs.json")),
    "generation_config.json": ("generation_config.json", lambda folder: end_ids(folder, 1)),
    "trainer_state.json": ("trainer_state.json", trainer_state),
    "script": ("script.json", lambda folder: open_engine(f"scripted:{folder / 'script.json'}", folder)),
}
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "binary": b"\xff\xfe\x00\x01",
    "NUL": b"\0",
    "deep list": b"[" * 100_000,
    "deep table": b"a = " + b"{a=" * 5_000,
    "deep keys": b"[" + b"a." * 5_000 + b"a]",
    "long number": b"a = " + b"9" * 10_000,
    "long JSON number": b"9" * 10_000,
    "number": b"7",
    "list": b"[1, [2]]",
    "null": b"null",
    "infinity": b'{"r": 1, "lora_alpha": 1, "peft_type": "LORA", "rank_pattern": Infinity}',
    "tool is a number": b"tool = 5",
    "harness is a number": b"[tool]\nharness = 5",
    "tables are lists": b"[[tool.harness]]\n[[models]]\n[[adapters]]",
    "names are numbers": b"[models]\n1 = 2\n[adapters]\n3 = 4",
    "surrogate": b'{"text": "\\ud800", "eos_token_id": ["\\ud800"]}',
}


def answers(reader: Reader, folder: Path) -> None:
    """The reader returns, or raises an error of the harness."""
    try:
        reader(folder)
    except HarnessError as error:
        assert str(error).strip()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_gives_no_traceback(tmp_path: Path, name: str, content: bytes) -> None:
    """``[tool] harness = 5`` and ``rank_pattern: Infinity`` were tracebacks."""
    file, reader = READERS[name]
    lora(tmp_path) if file == "adapter_config.json" else None
    (tmp_path / file).write_bytes(content)
    answers(reader, tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_a_fifo_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """A manifest that was a FIFO hung for ever."""
    file, reader = READERS[name]
    lora(tmp_path) if file == "adapter_config.json" else None
    (tmp_path / file).unlink(missing_ok=True)
    os.mkfifo(tmp_path / file)
    thread = threading.Thread(target=answers, args=(reader, tmp_path), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("name", READERS)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_an_answer(name: str, content: bytes) -> None:
    """Whatever lies there."""
    file, reader = READERS[name]
    with TemporaryDirectory() as folder:
        lora(Path(folder)) if file == "adapter_config.json" else None
        (Path(folder) / file).write_bytes(content)
        answers(reader, Path(folder))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS: dict[str, tuple[str, ...]] = {
    "kept recipe": ("name", "lora_rank", "lora_targets", "environment", "gpus", "quantization", "pref_loss"),
    "adapter_config.json": (
        "peft_type",
        "r",
        "lora_alpha",
        "rank_pattern",
        "alpha_pattern",
        "init_lora_weights",
        "bias",
    ),
    "pairs": ("instruction", "chosen", "rejected", "history", "system", "origin", "case_id"),
    "generation_config.json": ("eos_token_id",),
    "script": ("sea", "text", "failure"),
}


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
def test_any_value_of_a_known_field_gives_an_answer(name: str, data: st.DataObject) -> None:
    """Fields of the right name and the wrong kind."""
    file, reader = READERS[name]
    record = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[name], VALUES)))
    content: Any = [record] if name == "pairs" else record
    with TemporaryDirectory() as folder:
        lora(Path(folder)) if file == "adapter_config.json" else None
        (Path(folder) / file).write_text(json.dumps(content), "utf-8")
        answers(reader, Path(folder))


def test_a_mistyped_variable_is_not_ignored(tmp_path: Path) -> None:
    """HARNESS_MAX_REPETITON was ignored, and the gate was open."""
    with pytest.raises(HarnessError, match="HARNESS_MAX_REPETITON is unknown; did you mean HARNESS_MAX_REPETITION"):
        read_settings(tmp_path, environment={"HARNESS_MAX_REPETITON": "0.1"})
    read_settings(tmp_path, environment={"HARNESS_OF_ANOTHER_PROGRAM": "1"})
