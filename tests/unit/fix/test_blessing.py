"""A person blesses on evidence, refuses with a reason, and never blesses what is not what the manifest says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import AdapterError, ManifestError, UsageError
from harness.fix.blessing import bless, refuse, version_problem
from harness.judging.results import Reason, Status, Verdict
from harness.models.adapters.folder import check
from harness.models.adapters.tensors import write_tensors
from harness.models.adapters.tokenizer import tokenizer_digest
from harness.project.manifest import read_manifest
from harness.project.settings import Settings, read_settings
from harness.store import Store
from tests.support.adapters import lora
from tests.support.builders import case, result

ERROR = Verdict(Status.ERROR, (Reason(rule="engine", text="it broke"),))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A project whose version v5.0 is a LoRA of one layer."""
    model = tmp_path / "model"
    write_tensors(model / "model.safetensors", {"model.layers.0.self_attn.q_proj.weight": np.ones((4, 4), np.float32)})
    (model / "config.json").write_text('{"model_type": "llama"}')
    written(tmp_path, lora(tmp_path / "adapters" / "v5.0"))
    (tmp_path / "pyproject.toml").write_text('[tool.harness]\nadapter = "v4.0"\n')
    return read_settings(tmp_path, environment={})


def written(root: Path, adapter: Path, more: str = "") -> None:
    """Write the manifest anew."""
    (root / "adapters_manifest.toml").write_text(
        '[models.tiny]\npath = "model"\n\n[adapters."v4.0"]\nmodel = "tiny"\n\n'
        f'[adapters."v5.0"]\nmodel = "tiny"\nparent = "v4.0"\npath = "adapters/v5.0"\n'
        f'sha256 = "{check(adapter).digest}"\nstatus = "candidate"\n{more}'
    )


def evaluated(settings: Settings, cases: int = 1, verdict: Verdict | None = None) -> str:
    """Record a run of the suite on v5.0; returns its id."""
    contents = {"v5.0": read_manifest(settings.manifest_path).contents("v5.0")}
    facts = {"complete": True, "suite": {"cases": cases}, "contents": contents, "adapters": ["v5.0"]}
    with Store(settings.database) as store:
        run = store.begin_run(1, facts)
        store.save_result(run.id, 0, result(case(), adapter="v5.0", verdict=verdict))
        store.finish_run(run.id, "finished", facts)
    return run.id


def problem(settings: Settings) -> str | None:
    manifest = read_manifest(settings.manifest_path)
    return version_problem(manifest.adapter("v5.0"), settings, manifest)


def test_a_version_is_blessed_on_a_run_of_the_whole_suite(settings: Settings) -> None:
    """The manifest keeps the id of the run."""
    run = evaluated(settings)
    assert bless("v5.0", settings, read_manifest(settings.manifest_path)) == run
    adapter = read_manifest(settings.manifest_path).adapter("v5.0")
    assert adapter.status == "blessed"
    assert f'evidence = "{run}"' in settings.manifest_path.read_text()


@pytest.mark.parametrize(
    ("cases", "verdict"), [(2, None), (1, ERROR)], ids=["of a part of the suite", "with a case in error"]
)
def test_a_run_that_is_no_evidence_blesses_nothing(settings: Settings, cases: int, verdict: Verdict | None) -> None:
    """The message says what to run, and the manifest stays as it was."""
    evaluated(settings, cases, verdict)
    before = settings.manifest_path.read_bytes()
    with pytest.raises(UsageError, match=r"pytest badcases --adapter v5\.0"):
        bless("v5.0", settings, read_manifest(settings.manifest_path))
    assert settings.manifest_path.read_bytes() == before


def test_files_that_were_changed_are_not_blessed(settings: Settings) -> None:
    """However good the run on the earlier ones was."""
    evaluated(settings)
    lora(settings.root / "adapters" / "v5.0", fill=3.0)
    before = settings.manifest_path.read_bytes()
    with pytest.raises(AdapterError, match=r"v5\.0 cannot be blessed: .*its files were changed"):
        bless("v5.0", settings, read_manifest(settings.manifest_path))
    assert settings.manifest_path.read_bytes() == before


def test_an_unknown_version_is_neither_blessed_nor_refused(settings: Settings) -> None:
    """An error that names it."""
    with pytest.raises(ManifestError, match="v9"):
        bless("v9", settings, read_manifest(settings.manifest_path))
    with pytest.raises(ManifestError, match="v9"):
        refuse("v9", "it loops", settings)


def test_a_version_is_refused_with_its_reason_in_one_line(settings: Settings) -> None:
    """White space is folded, and the manifest keeps at most 500 characters."""
    refuse("v5.0", "it  loops\non German prompts " + "x" * 600, settings)
    assert read_manifest(settings.manifest_path).adapter("v5.0").status == "refused"
    note = next(line for line in settings.manifest_path.read_text().splitlines() if line.startswith("note"))
    assert note.startswith('note = "it loops on German prompts xxx')
    assert len(json.loads(note.removeprefix("note = "))) == 500


@pytest.mark.parametrize("reason", ["", " \n"], ids=["empty", "white space"])
def test_a_refusal_without_a_reason_is_a_usage_error(settings: Settings, reason: str) -> None:
    """Nothing is written."""
    before = settings.manifest_path.read_bytes()
    with pytest.raises(UsageError, match="say why"):
        refuse("v5.0", reason, settings)
    assert settings.manifest_path.read_bytes() == before


def test_a_sound_version_has_no_problem(settings: Settings) -> None:
    """Nor has a model as it is shipped, which has no files of its own."""
    manifest = read_manifest(settings.manifest_path)
    assert problem(settings) is None
    assert version_problem(manifest.adapter("v4.0"), settings, manifest) is None


def test_an_adapter_of_another_model_is_a_problem(settings: Settings) -> None:
    """Its layers are not those of the model, whatever its digest."""
    folder = lora(settings.root / "adapters" / "v5.0", width=6)
    written(settings.root, folder)
    assert "q_proj" in (problem(settings) or "")


@pytest.mark.parametrize("change", ["none", "changed", "missing"])
def test_a_tokenizer_of_its_own_must_be_the_one_that_was_registered(settings: Settings, change: str) -> None:
    """It decides what the model reads and says."""
    own = settings.root / "adapters" / "v5.0-tokenizer"
    own.mkdir()
    (own / "tokenizer.json").write_text("{}")
    more = f'tokenizer = "adapters/v5.0-tokenizer"\ntokenizer_sha256 = "{tokenizer_digest(own)}"\n'
    written(settings.root, settings.root / "adapters" / "v5.0", more)
    if change == "changed":
        (own / "tokenizer.json").write_text('{"a": 1}')
    elif change == "missing":
        (own / "tokenizer.json").unlink()
    told = problem(settings) or ""
    assert ("its tokenizer is missing or was changed" in told) is (change != "none")
