"""``harness train`` and ``harness adapters``: from data files to a registered version, proved and exported."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from harness.cli import main
from harness.models.adapters.folder import FILES, check
from harness.models.adapters.tensors import TensorFile, write_tensors
from harness.models.target import resolve_target
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.store import Store
from tests.integration.conftest import Make
from tests.support.hub import Hub
from tests.support.projects import CLEAN, LOOP
from tests.support.trainings import fake_python, tiny_model

PAIRS = [
    {"instruction": f"Say {i}", "input": "", "chosen": f"It is {i}.", "rejected": f"{i} {i} {i} {i}"} for i in range(6)
]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(project: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on a tiny model with weights, a scripted trainer and a file of pairs."""
    made = project(settings='trainer = "scripted"')
    shutil.rmtree(made / "model")
    tiny_model(made / "model")
    (made / "pairs.json").write_text(json.dumps(PAIRS), "utf-8")
    # A Slurm of this machine's own takes no job from inside one.
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.chdir(made)
    return made


def trained(root: Path, name: str = "v4.1", parent: str = "v4.0") -> None:
    """A version of that name."""
    assert main(["train", "dpo", "--data", "pairs.json", "--adapter-from", parent, "--as", name]) == 0


def test_data_become_a_registered_version(root: Path, capsys: Capture) -> None:
    """With parent, method, recipe and digest in the manifest, and the command that evaluates it on the screen."""
    trained(root)
    adapter = read_manifest(root / "adapters_manifest.toml").adapter("v4.1")
    assert (adapter.parent, adapter.method, adapter.recipe, adapter.status) == ("v4.0", "dpo", "fix", "candidate")
    assert adapter.path is not None
    assert check(adapter.path).digest == adapter.sha256
    assert adapter.on_top_of is None
    assert "pytest badcases --adapter v4.1" in capsys.readouterr().out
    with Store.existing(read_settings(root).database) as store:
        assert [t.status for t in store.trainings("v4.1")] == ["registered"]


def test_a_chain_says_what_it_needs_below(root: Path) -> None:
    """A new LoRA on a parent with weights needs that parent; continuing it does not."""
    trained(root, "v4.1")
    trained(root, "v4.2", "v4.1")
    words = [
        "train",
        "dpo",
        "--data",
        "pairs.json",
        "--adapter-from",
        "v4.1",
        "--as",
        "v4.3",
        "--set",
        "parent=continue",
    ]
    assert main(words) == 0
    manifest = read_manifest(root / "adapters_manifest.toml")
    assert manifest.adapter("v4.2").on_top_of == "v4.1"
    assert manifest.adapter("v4.3").on_top_of is None
    assert {manifest.adapter(name).facts["reference"] for name in ("v4.2", "v4.3")} == {"v4.1"}
    assert [a.name for a in manifest.chain("v4.2")] == ["v4.1", "v4.2"]


def test_readable_data_stay_beside_the_ids(root: Path) -> None:
    """For people and for plain LLaMA-Factory, with every column and tag named."""
    trained(root)
    folder = root / "reports" / "trainings" / "v4.1-dpo"
    rows = [json.loads(line) for line in (folder / "generalized_dpo_preference_dataset.jsonl").read_text().splitlines()]
    assert rows[0]["chosen"] == {"role": "assistant", "content": "It is 0."}
    info = json.loads((folder / "dataset_info.json").read_text())["generalized_dpo_preference_dataset"]
    assert info["ranking"] is True
    assert "system_tag" in info["tags"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train dpo --data nothing.json", "no such file: nothing.json"),
        ("train dpo --data pairs.json --as v3.9", "exists already"),
        ("train dpo --data pairs.json --as ../x", "adapter name"),
        ("train dpo --data pairs.json --adapter-from v9", "known: "),
        ("train dpo --data pairs.json --recipe quick", "no recipe 'quick'"),
        ("train dpo --data pairs.json --set epochs", "FIELD=VALUE"),
        ("train dpo --data pairs.json --set lora_rnak=2", "did you mean 'lora_rank'"),
        ("train dpo --data pairs.json --gpus 0-99", "there is no device"),
        ("train dpo --data pairs.json --nodes 2", "master port"),
        ("train dpo --data pairs.json --set quantization=4", "needs an NVIDIA GPU"),
        ("train dpo --data pairs.json --set quantization=8 --dry-run", "needs an NVIDIA GPU"),
        ("train kto --data pairs.json --set pref_loss=simpo --dry-run", "kto has its own loss"),
        ("train sft --data pairs.json", "has no output"),
        ("train dpo", "--data"),
    ],
)
def test_wrong_words_are_one_line_and_nothing_is_left(root: Path, capsys: Capture, words: str, says: str) -> None:
    """Exit code 2, before anything starts."""
    before = (root / "adapters_manifest.toml").read_text()
    assert main(shlex.split(words)) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert (root / "adapters_manifest.toml").read_text() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_ends_the_training_and_is_noted(root: Path, number: signal.Signals) -> None:
    """A scheduler's SIGTERM as Ctrl-C: exit code 130, no process left, how to go on on the screen."""
    body = "say(phase='training', step=1)\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    (root / "pyproject.toml").write_text('[tool.harness]\nadapter = "v4.0"\n', "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "train", "dpo", "--data", "pairs.json"], cwd=root, stdout=subprocess.PIPE,
        text=True, env=os.environ | {"HARNESS_TRAINER_PYTHON": str(fake_python(root / "python", body))},
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (root / "pid").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume" in said
    assert not Path(f"/proc/{(root / 'pid').read_text()}").exists()
    with Store.existing(read_settings(root).database) as store:
        assert [t.status for t in store.trainings("v4.1")] == ["interrupted"]


def test_two_trainings_of_one_name_are_one(root: Path, capsys: Capture) -> None:
    """The second is refused while the first works, before it reads its data."""
    output = root / "reports" / "trainings" / "v4.1-dpo"
    output.mkdir(parents=True)
    with FileLock(output.parent / ".v4.1.lock"):
        assert main(["train", "dpo", "--data", "pairs.json", "--as", "v4.1"]) == 2
    assert "another training of that name is under way" in capsys.readouterr().err
    assert not list(output.glob("attempt-*"))


def test_everything_that_is_wrong_with_a_call_is_told_at_once(root: Path, capsys: Capture) -> None:
    """Files, recipe and name."""
    words = "train kto --data nothing.json --as v3.9 --set pref_loss=simpo --set quantization=4"
    assert main(shlex.split(words)) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in ("nothing.json", "v3.9", "pref_loss", "quantization"))


def test_data_that_are_refused_leave_no_attempt(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of attempts count trainings."""
    (root / "bad.json").write_text(json.dumps([*PAIRS, {"instruction": "Hi", "chosen": "a", "rejected": "a"}]), "utf-8")
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(fake_python(root / "python", "")))
    assert main(["train", "dpo", "--data", "bad.json", "--dry-run"]) == 2
    assert list((root / "reports" / "trainings" / "v4.1-dpo").glob("attempt-*")) == []


def test_a_planned_job_runs_by_hand_and_is_collected(
    root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printed command is not tied to the process that printed it, and its weights are registered afterwards."""
    lora(root / "adapter")
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(fake_python(root / "python", "leave()")))
    words = ["train", "dpo", "--data", "pairs.json", "--set", "lora_rank=2", "--set", "seed=7"]
    assert main([*words, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert json.loads((Path(plan["folder"]) / "job.json").read_text("utf-8"))["owner"] is None
    subprocess.run(shlex.split(f"env {plan['commands'][0]}"), check=True)
    assert main(["train", "dpo", "--collect", plan["folder"]]) == 0
    assert "pytest badcases --adapter v4.1" in capsys.readouterr().out
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").recipe == "fix"


def test_a_dry_run_prints_configuration_and_commands(
    root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For several nodes the data's own command, a line for each node and a Slurm script; nothing is trained."""
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(fake_python(root / "python", "")))
    words = "train dpo --data pairs.json --nodes 2 --gpus 8 --master-address n0 --master-port 29500 --json"
    assert main(shlex.split(words)) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["examples"], len(plan["commands"])) == (6, 2)
    assert all("--nproc_per_node 8" in c and "--master_port 29500" in c for c in plan["commands"])
    assert plan["prepare"].endswith("prepare")
    assert "#SBATCH --nodes=2" in plan["slurm"]
    assert "v4.1" not in read_manifest(root / "adapters_manifest.toml").adapters


def test_verify_proves_every_version_and_names_the_changed_one(root: Path, capsys: Capture) -> None:
    """Exit code 3: the weights are not what was registered."""
    trained(root)
    assert main(["adapters", "verify"]) == 0
    config = root / "adapters" / "v4.1" / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 16', '"lora_alpha": 17'))
    capsys.readouterr()
    assert main(["adapters", "verify", "--json"]) == 3
    verdicts = json.loads(capsys.readouterr().out)
    assert [name for name, verdict in verdicts.items() if not verdict["good"]] == ["v4.1"]


def lora(folder: Path, outputs: int = 32) -> Path:
    """An adapter from elsewhere for the tiny model's first layer, with a pickle beside it."""
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    ones = {"A": np.ones((2, 32), np.float32), "B": np.ones((outputs, 2), np.float32)}
    write_tensors(folder / FILES[1], {f"{module}.lora_{n}.weight": v for n, v in ones.items()})
    (folder / FILES[0]).write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 4}', "utf-8")
    (folder / "training_args.bin").write_bytes(b"pickle")
    return folder


def test_an_adapter_from_elsewhere_is_taken_in(root: Path, tmp_path: Path) -> None:
    """Its two files are copied and registered; what else lay there stays there."""
    assert main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0", "--method", "sft"]) == 0
    assert sorted(p.name for p in (root / "adapters" / "v5.0").iterdir()) == sorted(FILES)
    assert main(["adapters", "verify", "v5.0"]) == 0


def test_what_no_engine_takes_as_a_lora_is_evaluated_merged(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules held whole: the model with all of it inside, made once; base and chain stay known for training."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    folder = lora(tmp_path / "old")
    weights = TensorFile(folder / FILES[1])
    head = {"base_model.model.lm_head.weight": np.ones((259, 32), np.float32)}
    write_tensors(folder / FILES[1], {n: weights.array(n) for n in weights.tensors} | head)
    assert main(["adapters", "import", "v5.0", str(folder), "--parent", "v4.0"]) == 0
    settings = read_settings(root)
    with Store(settings.database) as store:
        first, second = (
            resolve_target("v5.0", read_manifest(settings.manifest_path), settings, store) for _ in range(2)
        )
    assert (first.weights, first.base_path, first.parents) == (None, root / "model", (root / "adapters" / "v5.0",))
    assert first.model_path == second.model_path != root / "model"
    assert (TensorFile(first.model_path / "model.safetensors").array("lm_head.weight") == 1).all()


def test_merge_makes_a_model_of_its_own_of_any_adapter(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where LoRA kernels are slow; the model's identity changes, so stored answers of the base never serve it."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0"]) == 0
    settings = dataclasses.replace(read_settings(root), merge=True)
    manifest = read_manifest(settings.manifest_path)
    with Store(settings.database) as store:
        base, merged = (resolve_target(name, manifest, settings, store) for name in ("v4.0", "v5.0"))
    assert (merged.weights, merged.base_path) == (None, base.model_path)
    assert merged.model_digest != base.model_digest


def test_an_adapter_of_another_model_is_not_taken_in(root: Path, tmp_path: Path, capsys: Capture) -> None:
    """And leaves nothing behind."""
    assert main(["adapters", "import", "v5.0", str(lora(tmp_path / "old", 48)), "--parent", "v4.0"]) == 3
    assert "another model" in capsys.readouterr().err
    assert not (root / "adapters" / "v5.0").exists()


def test_a_version_is_exported_merged(root: Path, tmp_path: Path, capsys: Capture) -> None:
    """A complete model's folder; one that exists is never written into."""
    main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0"])
    assert main(["adapters", "export", "v5.0", str(tmp_path / "merged"), "--merge"]) == 0
    names = {p.name for p in (tmp_path / "merged").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
    assert main(["adapters", "export", "v5.0", str(tmp_path / "merged"), "--merge"]) == 3
    assert "exists already" in capsys.readouterr().err


def test_an_export_has_a_place_of_its_own(root: Path, tmp_path: Path) -> None:
    """When none is named; merged or not."""
    main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0"])
    assert main(["adapters", "export", "v5.0"]) == 0
    assert main(["adapters", "export", "v5.0", "--merge"]) == 0
    assert check(root / "exports" / "v5.0").rank == 2
    assert (root / "exports" / "v5.0-merged" / "config.json").is_file()


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ({"text": "FROM .\n", "sides": None}, 0, "ollama create v5.0 -f"),
        ({"text": "FROM .\n", "sides": ["<a>hi", "hi"]}, 0, "the model's own template renders '<a>hi'"),
        ({"unknown": "chatlm", "known": ["chatml", "llama3"]}, 2, "no such template (near: chatml)"),
    ],
    ids=["same", "differs", "unknown"],
)
def test_a_modelfile_lies_beside_a_merged_export(
    root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], code: int,
    says: str,
) -> None:  # fmt: skip
    """Made by LLaMA-Factory; where its prompt is not the tests' prompt, that is said."""
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nprint('noise')\nprint({json.dumps(answer)!r})\n", "utf-8")
    python.chmod(0o755)
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(python))
    manifest = root / "adapters_manifest.toml"
    manifest.write_text(manifest.read_text().replace('path = "model"', 'path = "model"\ntemplate = "chatlm"'), "utf-8")
    main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0"])
    assert main(["adapters", "export", "v5.0", "--merge", "--ollama"]) == code
    said = capsys.readouterr()
    assert says in said.out + said.err
    assert (root / "exports" / "v5.0-merged" / "Modelfile").exists() == (code == 0)


def test_a_modelfile_needs_a_merged_model_and_a_template(root: Path, tmp_path: Path, capsys: Capture) -> None:
    """Told before anything is written."""
    main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0"])
    assert main(["adapters", "export", "v5.0", "--merge", "--ollama"]) == 2
    assert "template" in capsys.readouterr().err
    assert not (root / "exports").exists()


def test_blessing_needs_a_run_of_the_whole_suite(root: Path, pytester: pytest.Pytester, capsys: Capture) -> None:
    """The run stands in the manifest beside the status; a part of the suite is no evidence."""
    (root / "script.json").write_text(json.dumps({"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": CLEAN}))
    trained(root)
    assert main(["adapters", "bless", "v4.1"]) == 2
    assert "run first: pytest badcases --adapter v4.1" in capsys.readouterr().err
    pytester.runpytest("badcases", "--adapter", "v4.1", "-k", "sea")
    assert main(["adapters", "bless", "v4.1"]) == 2
    pytester.runpytest("badcases", "--adapter", "v4.1")
    assert main(["adapters", "bless", "v4.1"]) == 0
    adapter = read_manifest(root / "adapters_manifest.toml").adapter("v4.1")
    assert adapter.status == "blessed"
    assert adapter.facts["evidence"]


def test_list_and_show_tell_what_is_known(root: Path, capsys: Capture) -> None:
    """For people and, with --json, for programs."""
    trained(root)
    capsys.readouterr()
    assert main(["adapters", "list"]) == 0
    assert "v4.1" in capsys.readouterr().out
    assert main(["adapters", "show", "v4.1", "--json"]) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (facts["rank"], facts["chain"], facts["targets"]) == (8, ["v4.1"], ["q_proj"])


def test_an_export_is_pushed_whole(root: Path, tmp_path: Path) -> None:
    """To a private repository, every file as it lies on the disk; a stand-in takes the hub's place."""
    main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0"])
    with Hub() as hub:
        words = [
            sys.executable,
            "-m",
            "harness",
            "adapters",
            "export",
            "v5.0",
            str(tmp_path / "out"),
            "--push",
            "me/model",
        ]
        variables = os.environ | {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1"}
        run = subprocess.run(words, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert hub.repositories[0]["visibility"] == "private"
    assert hub.files == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [("model", 2, "OWNER/NAME"), ("me/model", 3, "the hub did not take it")],
    ids=["no owner", "no hub"],
)
def test_a_push_that_fails_leaves_the_export(root: Path, tmp_path: Path, where: str, code: int, says: str) -> None:
    """One line; the folder is complete."""
    main(["adapters", "import", "v5.0", str(lora(tmp_path / "old")), "--parent", "v4.0"])
    words = [sys.executable, "-m", "harness", "adapters", "export", "v5.0", str(tmp_path / "out"), "--push", where]
    variables = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1"}
    run = subprocess.run(words, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == code
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert check(tmp_path / "out").rank == 2


def test_a_chat_answers_compares_and_ends(project: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Lines in, answers out; escapes in an answer are shown, not obeyed; the model as shipped has no parent."""
    monkeypatch.chdir(project(script={"Hi": "Hello\x1b[31m", "again": "Fine."}))
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi\n/base\n/help\n/reset\nagain\n/quit\nnot read\n"))
    assert main(["chat", "--adapter", "v4.0"]) == 0
    said = capsys.readouterr().out
    assert "Hello\\x1b[31m" in said
    assert "Fine." in said
    assert "has no parent" in said
    assert "/quit: leave" in said


def test_a_chat_compares_in_a_merged_project_too(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """One engine holds the version and its parent as LoRAs, though the suite would evaluate them as merged models."""
    settings = root / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8").replace("trainer =", "merge = true\ntrainer ="), "utf-8")
    (root / "script.json").write_text('{"Hi": "Hello."}', "utf-8")
    trained(root, "v4.1")
    trained(root, "v4.2", "v4.1")
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi\n/base\n"))
    assert main(["chat", "--adapter", "v4.2"]) == 0
    said = capsys.readouterr().out
    assert "/base is off" not in said
    assert "v4.1" in said
