"""``harness fix`` on several nodes, on GPUs that are too small, and on engines with settings of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.engines.base import Engine
from harness.engines.scripted import ScriptedEngine
from harness.project.manifest import read_manifest
from harness.store import Store
from tests.integration.conftest import Make
from tests.support.fake_slurm import slurm_commands
from tests.support.projects import CLEAN, LOOP
from tests.support.trainings import fake_python, left_weights, tiny_model

SCRIPT = {"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": {"": CLEAN, "v4.1": CLEAN + " Yes."}}
TRAINS = """
if sys.argv[-1] == "prepare":
    sys.exit()
if sys.argv[sys.argv.index("--node_rank") + 1] == "0":
    say(phase="training", step=1, total_steps=2, loss=0.5, margins=0.1, accuracies=1.0)
    say(phase="training", step=2, total_steps=2, loss=0.4, margins=0.2, accuracies=1.0)
    leave()
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a failing case, a model with weights, and a trainer that leaves weights at once."""
    made = project(script=SCRIPT)
    shutil.rmtree(made / "model")
    tiny_model(made / "model")
    left_weights(made / "adapter")
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(fake_python(made / "python", TRAINS)))
    # A Slurm of this machine's own takes no job from inside one.
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.chdir(made)
    pytester.runpytest("badcases", "--adapter", "v4.0")
    return made


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm's commands on the path."""
    with slurm_commands(tmp_path / "cluster", monkeypatch) as state:
        yield state


def test_a_fix_on_two_nodes_is_one_command(root: Path, cluster: Path, capsys: Capture) -> None:
    """Submitted with what the call and the settings ask of Slurm, waited for, judged and blessed."""
    with (root / "pyproject.toml").open("a") as file:
        file.write('[tool.harness.slurm]\naccount = "team"\npartition = "cpu"\n')
    assert main(["fix", "--failed", "--nodes", "2", "--cpu-processes", "1", "--partition", "gpu", "--time", "10"]) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").status == "blessed"
    script = (cluster / "101" / "script").read_text()
    assert {"#SBATCH --account=team", "#SBATCH --partition=gpu", "#SBATCH --time=10"} <= set(script.splitlines())
    assert "Slurm job 101" in capsys.readouterr().out


def test_without_slurm_the_commands_are_printed_and_a_resumed_fix_goes_on(root: Path, capsys: Capture) -> None:
    """Exit code 3 until somebody has started them; then --resume alone finds nodes and weights."""
    call = [
        "fix",
        "--failed",
        "--nodes",
        "2",
        "--cpu-processes",
        "1",
        "--master-address",
        "n0",
        "--master-port",
        "29500",
    ]
    assert main(call) == 3
    said = capsys.readouterr().err
    lines = [line.strip().partition(": ")[2] for line in said.splitlines()[1:]]
    assert len(lines) == 3
    with Store(root / "reports" / "harness.sqlite") as store:
        assert [t.status for t in store.trainings("v4.1")] == ["interrupted"]
    assert main(["fix", "--failed", "--resume"]) == 3
    assert "it has not ended" in capsys.readouterr().err
    for line in lines:
        subprocess.run(["bash", "-c", line], check=True)
    assert main(["fix", "--failed", "--resume"]) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").status == "blessed"
    assert [p.name for p in (root / "reports" / "trainings").glob("*/attempt-*")] == ["attempt-1"]


def test_a_training_on_two_nodes_is_submitted_and_registered(root: Path, cluster: Path) -> None:
    """``harness train`` waits for its job like a fix."""
    pairs = [{"instruction": f"Say {i}", "chosen": f"It is {i}.", "rejected": f"{i} {i} {i}"} for i in range(4)]
    (root / "pairs.json").write_text(json.dumps(pairs), "utf-8")
    words = ["train", "dpo", "--data", "pairs.json", "--as", "v5.0", "--nodes", "2", "--cpu-processes", "1"]
    assert main(words) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v5.0").status == "candidate"
    assert (cluster / "last").read_text().strip() == "101"


def test_a_dry_run_for_slurm_needs_no_address(root: Path, cluster: Path, capsys: Capture) -> None:
    """Slurm knows the nodes; the script is printed, with the count of memory, and nothing is submitted."""
    (root / "pairs.json").write_text('[{"instruction": "Say 1", "chosen": "One.", "rejected": "1 1 1"}]', "utf-8")
    words = ["train", "dpo", "--data", "pairs.json", "--nodes", "2", "--gpus", "8", "--dry-run", "--json"]
    assert main(words) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["commands"] == []
    assert "#SBATCH --gpus-per-node=8" in plan["slurm"]
    assert (plan["memory"]["processes"], plan["memory"]["assumed"]) == (16, True)
    assert not (cluster / "last").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--nodes", "2"], "say how many GPUs each node has (--gpus 8)"),
        (["--nodes", "2", "--gpus", "0-3"], "give the number of GPUs of each node"),
        (["--nodes", "2", "--gpus", "8", "--time", "soon"], "slurm: time = 'soon'"),
        (["--nodes", "2", "--gpus", "8", "--partition", "a b"], "slurm: partition = 'a b'"),
    ],
    ids=["no devices", "a list", "time", "partition"],
)
def test_a_call_that_no_cluster_takes_is_refused(
    root: Path, cluster: Path, capsys: Capture, words: list[str], says: str
) -> None:
    """Exit code 2, before anything is drawn or submitted."""
    assert main(["fix", "--failed", *words]) == 2
    assert says in capsys.readouterr().err
    assert not (cluster / "last").exists()


def test_slurms_options_without_slurm_are_an_error(root: Path, capsys: Capture) -> None:
    """A partition that nobody reads would be a surprise."""
    assert main(["fix", "--failed", "--partition", "gpu"]) == 2
    assert "--partition: there is no sbatch here" in capsys.readouterr().err


def test_a_dry_run_shows_the_memory(root: Path, capsys: Capture) -> None:
    """Part by part, for people and for programs."""
    assert main(["fix", "--failed", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "sum of each process" in said
    assert "activations" in said
    assert main(["fix", "--failed", "--dry-run", "--json"]) == 0
    memory = json.loads(capsys.readouterr().out)["memory"]
    assert memory["total"] == sum(memory["each"].values())


def test_gpus_that_are_too_small_are_told_before_anything_is_drawn(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Exit code 3 with the numbers; no candidate was sampled for it."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, Small, 2048'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa")
    assert main(["fix", "--failed"]) == 3
    said = capsys.readouterr()
    assert "the training does not fit 1 x Small of 2 GiB: each needs" in said.err
    assert "drawing candidates" not in said.out


OPENED: list[dict[str, Any]] = []
"""What each engine was opened with."""


def recording(model_path: Path, *, on_progress: object = None, **options: Any) -> Engine:
    """An engine that answers from the script, and remembers its options."""
    from tokenizers import Tokenizer

    OPENED.append(options)
    tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
    return ScriptedEngine(SCRIPT, decode=lambda ids: str(tokenizer.decode(list(ids))))  # type: ignore[arg-type]


def several(_root: Path) -> Any:
    """A trainer that leaves three checkpoints to choose from."""
    from trainers.scripted import ScriptedTrainer

    return ScriptedTrainer(steps=3, keep=(1, 2))


def test_all_engines_of_a_fix_have_the_settings_options(root: Path, pytester: pytest.Pytester, capsys: Capture) -> None:
    """Candidates, checkpoints and the rerun: a model that needs eight GPUs needs them each time."""
    path = root / "pyproject.toml"
    lines = path.read_text().replace(
        f'"scripted:{root / "script.json"}"', '"tests.integration.test_fix_nodes:recording"'
    )
    own = 'trainer = "tests.integration.test_fix_nodes:several"\n'
    options = "[tool.harness.engine_options]\ntensor_parallel_size = 8\ngpu_memory_utilization = 0.8\n"
    path.write_text(lines.replace("[tool.pytest", f"{own}{options}[tool.pytest"))
    pytester.runpytest("badcases", "--adapter", "v4.0")
    capsys.readouterr()
    OPENED.clear()
    assert main(["fix", "--failed"]) == 0
    said = capsys.readouterr().out
    assert "comparing 3 checkpoints" in said
    assert len(OPENED) == 3
    assert {(o["tensor_parallel_size"], o["gpu_memory_utilization"]) for o in OPENED} == {(8, 0.8)}
