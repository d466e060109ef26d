"""Engines by name: what opens, what it says when it cannot, and that asking for an identity imports nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines import available, engine_info, open_engine
from harness.engines.base import Completion, EngineInfo, Failure, Outcome, Request
from harness.errors import EngineError, EngineMissing, SettingsError
from harness.models.weights import AdapterWeights


class Own:
    """A user's own engine."""

    version = "7"

    def __init__(self, model_path: Path, *, on_progress: Any = None, shout: bool = False) -> None:
        self.info = EngineInfo("own", "7")
        self.shout = shout

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        for request in requests:
            yield Completion(
                request_id=request.id, text="HI" if self.shout else "hi", token_ids=(1,), finish_reason="stop"
            )

    def close(self) -> None:
        pass


def not_an_engine(model_path: Path, **_: Any) -> dict[str, str]:
    return {}


def test_identity_without_import() -> None:
    """A run whose answers are all stored must not pay for torch."""
    script = (
        "import sys; from harness.engines import available, engine_info\n"
        "for name, package in available().items():\n"
        "    if package: print(engine_info(name))\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'vllm', 'transformers', 'peft', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_identity_names_version_and_what_changes_numbers() -> None:
    """Version of the package and the data type are part of it."""
    for name, package in available().items():
        if package is not None:
            info = engine_info(name, dtype="float32")
            assert info.name == name
            assert "float32" in info.version
            assert info != engine_info(name, dtype="bfloat16")


@pytest.mark.parametrize("name", ["vlm", "rays", ""], ids=["typo", "plural", "empty"])
def test_an_unknown_name_lists_the_known(name: str, tmp_path: Path) -> None:
    """No guessing."""
    with pytest.raises(SettingsError, match=r"is unknown; known: vllm, server, ray, transformers"):
        open_engine(name, tmp_path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before any process starts."""
    for name, package in available().items():
        if package is not None:
            with pytest.raises(EngineMissing, match="no model at"):
                open_engine(name, tmp_path / "nowhere")


def test_a_users_own_engine(tmp_path: Path) -> None:
    """module:attribute is called with the model's path and the settings."""
    name = "tests.unit.engines.test_names:Own"
    engine = open_engine(name, tmp_path, shout=True)
    assert engine_info(name) == EngineInfo(name, "7")
    assert [
        o.text
        for o in engine.generate([Request(id=0, prompt_ids=(1,), decoding=Decoding())])
        if isinstance(o, Completion)
    ] == ["HI"]


@pytest.mark.parametrize(
    ("name", "settings", "kind", "text"),
    [
        ("tests.unit.engines.test_names:Nothing", {}, EngineMissing, "cannot be imported"),
        ("no_such_module:Engine", {}, EngineMissing, "cannot be imported"),
        ("tests.unit.engines.test_names:Own", {"whisper": 1}, SettingsError, "does not take these settings.*whisper"),
        ("builtins:str", {}, SettingsError, "does not take these settings"),
        ("tests.unit.engines.test_names:not_an_engine", {}, EngineError, "has no info, generate and close"),
    ],
    ids=["no-attribute", "no-module", "no-setting", "wrong-call", "no-engine"],
)
def test_what_is_wrong_with_an_own_engine_is_said(
    name: str, settings: dict[str, Any], kind: Any, text: str, tmp_path: Path
) -> None:
    """One line, with the engine's name."""
    with pytest.raises(kind, match=text):
        open_engine(name, tmp_path, **settings)


def test_a_script_file_is_an_engine(tmp_path: Path) -> None:
    """Answers, finish reasons, failures and adapters from a JSON file; its content is its identity."""
    path = tmp_path / "script.json"
    path.write_text(
        json.dumps(
            {
                "sea": {"": "blue", "v2": {"text": "deep", "finish_reason": "length"}},
                "sky": {"failure": "no sky"},
            }
        )
    )
    name = f"scripted:{path}"
    engine = open_engine(name, tmp_path, max_model_len=5)
    v2 = AdapterWeights("v2", tmp_path, "d")
    sea, sky = tuple(map(ord, "the sea")), tuple(map(ord, "the sky"))
    found = list(
        engine.generate(
            [
                Request(id=0, prompt_ids=sea, decoding=Decoding()),
                Request(id=1, prompt_ids=sea, decoding=Decoding(), adapter=v2),
                Request(id=2, prompt_ids=sky, decoding=Decoding()),
            ]
        )
    )
    assert isinstance(found[0], Completion)
    assert isinstance(found[1], Completion)
    assert (found[0].text, found[1].text, found[1].finish_reason) == ("blue", "deep", "length")
    assert found[2] == Failure(2, "no sky")
    before = engine_info(name)
    path.write_text("{}")
    assert engine_info(name) != before


@pytest.mark.parametrize(("content", "text"), [("{", "not JSON"), ("[]", "JSON object")], ids=["broken", "a-list"])
def test_a_bad_script_file_is_named(tmp_path: Path, content: str, text: str) -> None:
    """File and reason."""
    path = tmp_path / "script.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=text):
        open_engine(f"scripted:{path}", tmp_path)
