"""Trainings on several nodes as jobs of Slurm: submitted, watched, cancelled, and found again by a later call."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import SettingsError, TrainerError, TrainingNotStarted
from harness.models.prompts import PromptRenderer
from harness.project.settings import read_settings
from harness.project.slurm import Slurm
from tests.support.fake_slurm import COMMANDS, slurm_commands
from tests.support.trainings import fake_python, left_weights, pairs, tiny_model
from trainers import TrainProgress, TrainRequest, TrainResult
from trainers.elsewhere import attempts_elsewhere
from trainers.launch import Launch
from trainers.llamafactory_trainer import LlamaFactory
from trainers.multinode import slurm_script
from trainers.recipe import Recipe
from trainers.slurm import slurm_here

RANKED = """
if sys.argv[-1] == "prepare":
    (output.parent / "prepared").write_text("")
    sys.exit()
rank = sys.argv[sys.argv.index("--node_rank") + 1]
words = dict(zip(sys.argv, sys.argv[1:]))
seen = [words["--master_addr"], words["--master_port"], words["--nnodes"]]
(output.parent / f"node-{rank}").write_text(json.dumps(seen))
"""
STEPS = """
if rank == "0":
    for step in (1, 2):
        say(phase="training", step=step, total_steps=2, loss=0.5, margins=0.1, accuracies=1.0)
    say(phase="saving", step=2, total_steps=2)
    leave()
"""
SLEEPS = """
if rank == "0":
    say(phase="training", step=1, total_steps=2, loss=0.5)
time.sleep(60)
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands for Slurm's controller, with its commands on the path."""
    with slurm_commands(tmp_path / "cluster", monkeypatch) as state:
        yield state


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, and weights that a training could leave."""
    place = tmp_path / "a project"
    place.mkdir()
    tiny_model(place / "model")
    left_weights(place / "adapter")
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(place / "python"))
    return place


def request(place: Path, *, resume: bool = False, count: int = 6, launch: Launch | None = None) -> TrainRequest:
    """Pairs for two nodes with a process on each."""
    slurm = Slurm(partition="gpu", time="04:00:00", cpus_per_task=16, memory="512G")
    return TrainRequest.from_pairs(
        stage="dpo", model_path=place / "model", pairs=pairs(count), renderer=PromptRenderer(place / "model"),
        recipe=Recipe.from_mapping({"cutoff_len": 256}), output=place / "out", resume=resume,
        launch=launch or Launch(nodes=2, slurm=slurm),
    )  # fmt: skip


def test_a_job_trains_on_two_nodes(place: Path, cluster: Path) -> None:
    """Data once, then a process on each node, both with the first node's address and one port; checked weights."""
    fake_python(place / "python", RANKED + STEPS)
    result = LlamaFactory(place).train(request(place), lambda _: None)
    assert (result.steps, result.losses) == (2, ((1, 0.5), (2, 0.5)))
    assert result.folder is not None
    assert (result.folder / "prepared").exists()
    nodes = [json.loads((result.folder / f"node-{rank}").read_text()) for rank in (0, 1)]
    assert nodes == [["node0", "10101", "2"]] * 2
    assert "2 processes on 2 nodes" in result.notes


def test_the_script_is_bash_and_asks_for_what_was_asked(place: Path) -> None:
    """Every field as an option of sbatch, the path of the log in quotes, and no line that bash cannot parse."""
    script = slurm_script(request(place), Path("/v/python"), place / "it's 100% here")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    options = [shlex.split(line)[1] for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"--partition=gpu", "--time=04:00:00", "--cpus-per-task=16", "--mem=512G", "--nodes=2"} <= set(options)
    assert f"--output={place}/it's 100%% here/slurm-%j.log" in options


def test_gpus_of_a_node_are_left_to_slurm(place: Path) -> None:
    """On a node that jobs share, the first eight may be somebody else's."""
    launch = Launch(devices=tuple(range(8)), nodes=2, slurm=Slurm())
    script = slurm_script(request(place, launch=launch), Path("/v/python"), place)
    assert "--gpus-per-node=8" in script
    assert "CUDA_VISIBLE_DEVICES" not in script


@pytest.mark.parametrize("name", ["new\nline", "bell\x07"], ids=["newline", "control"])
def test_a_folder_that_would_end_an_option_is_refused(place: Path, name: str) -> None:
    """A line of its own in the head of the script would be another option."""
    with pytest.raises(TrainerError, match="control characters"):
        slurm_script(request(place), Path("/v/python"), place / name)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"partition": "gpu\n#SBATCH --uid=0"}, "partition"),
        ({"account": "me;rm"}, "account"),
        ({"time": "soon"}, "time"),
        ({"memory": "much"}, "memory"),
        ({"cpus_per_task": 0}, "cpus_per_task"),
        ({"wrap": "rm -rf /"}, "unknown 'wrap'; known: account"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_a_field_that_is_none_of_slurms_is_refused(values: dict[str, object], words: str) -> None:
    """By a pattern for each value and a list of names: nothing else reaches the script."""
    with pytest.raises(SettingsError, match=words):
        Slurm.from_mapping(values)


def test_the_settings_hold_the_defaults(tmp_path: Path) -> None:
    """A table of the project's, which a call's options go over."""
    (tmp_path / "pyproject.toml").write_text('[tool.harness.slurm]\npartition = "gpu"\ntime = 90\n', "utf-8")
    slurm = read_settings(tmp_path, environment={}).slurm
    assert (slurm.partition, slurm.time) == ("gpu", "90")
    assert Slurm.from_mapping({"time": "10", "account": None}, slurm).partition == "gpu"


def test_a_waiting_job_says_why_and_is_not_silent(place: Path, cluster: Path) -> None:
    """Its number, state and reason are shown, and no deadline counts before it runs."""
    fake_python(place / "python", RANKED + STEPS)
    (cluster / "hold").touch()
    seen: list[str] = []

    def show(progress: TrainProgress) -> None:
        seen.append(f"{progress.phase}: {progress.detail}")
        if seen.count("queued: Slurm job 101, PENDING (Resources)") == 3:
            (cluster / "hold").unlink(missing_ok=True)

    assert LlamaFactory(place).train(request(place), show).steps == 2
    assert any("RUNNING" in line or "COMPLETED" in line for line in seen)


def test_a_failing_job_gives_the_trainings_own_error(place: Path, cluster: Path) -> None:
    """With the job's log, and with its number."""
    fake_python(place / "python", RANKED + "raise ValueError('the words of the error')")
    with pytest.raises(TrainerError, match=r"Slurm job 101, FAILED.*the words of the error.*log: .*slurm-101\.log"):
        LlamaFactory(place).train(request(place), lambda _: None)


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("TIMEOUT", "give a longer --time; go on with --resume"),
        ("OUT_OF_MEMORY", "ran out of memory"),
        ("NODE_FAIL", "a node failed; go on with --resume"),
        ("CANCELLED", "the job was cancelled"),
    ],
)
def test_an_end_by_slurm_names_its_remedy(place: Path, cluster: Path, ending: str, words: str) -> None:
    """The time limit, the memory of a node, a broken node, another person."""
    fake_python(place / "python", RANKED + "sys.exit(1)")
    (cluster / "ending").write_text(ending)
    with pytest.raises(TrainerError, match=words):
        LlamaFactory(place).train(request(place), lambda _: None)


def test_ctrl_c_cancels_the_job(place: Path, cluster: Path) -> None:
    """Nothing goes on that nobody waits for."""
    fake_python(place / "python", RANKED + SLEEPS)

    def interrupt(progress: TrainProgress) -> None:
        if progress.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LlamaFactory(place).train(request(place), interrupt)
    assert (cluster / "101" / "state").read_text().strip() == "CANCELLED"


def killed_call(place: Path, cluster: Path) -> None:
    """A call that was killed while its job was in the queue."""
    (cluster / "hold").touch()
    script = place / "call.py"
    script.write_text(
        "from pathlib import Path\nfrom tests.unit.trainers.test_slurm import LlamaFactory, request\n"
        f"place = Path({str(place)!r})\nLlamaFactory(place).train(request(place), lambda _: None)\n", "utf-8",
    )  # fmt: skip
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": root})
    until = time.monotonic() + 60
    while not list(attempts_elsewhere(place / "out")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("ended", [False, True], ids=["it runs", "it has ended"])
def test_a_later_call_finds_the_job_of_a_killed_one(place: Path, cluster: Path, ended: bool) -> None:
    """No second job is submitted; its weights are collected as if the first call had waited."""
    fake_python(place / "python", RANKED + STEPS)
    killed_call(place, cluster)
    (cluster / "hold").unlink()
    until = time.monotonic() + 30
    while ended and (cluster / "101" / "state").read_text().strip() != "COMPLETED" and time.monotonic() < until:
        time.sleep(0.05)
    result = LlamaFactory(place).train(request(place, resume=True), lambda _: None)
    assert result.steps == 2
    assert (cluster / "last").read_text().strip() == "101"
    assert [p.name for p in (place / "out").iterdir() if p.is_dir()] == ["attempt-1"]


def test_another_training_does_not_take_the_job(place: Path, cluster: Path) -> None:
    """Other examples or another recipe are another training."""
    fake_python(place / "python", RANKED + STEPS)
    killed_call(place, cluster)
    (cluster / "hold").unlink()
    LlamaFactory(place).train(request(place, resume=True, count=4), lambda _: None)
    assert (cluster / "last").read_text().strip() == "102"


@pytest.mark.parametrize("accounts", [True, False], ids=["with accounts", "without"])
def test_a_job_that_the_controller_has_forgotten_is_judged_by_its_files(
    place: Path, cluster: Path, accounts: bool
) -> None:
    """Controllers forget a job minutes after its end, and not every site keeps accounts."""
    fake_python(place / "python", RANKED + STEPS)
    (cluster / "forget").touch()
    if accounts:
        (cluster / "accounts").touch()
    assert LlamaFactory(place).train(request(place), lambda _: None).steps == 2


def test_a_controller_that_does_not_answer_ends_nothing(place: Path, cluster: Path) -> None:
    """It is asked again."""
    fake_python(place / "python", RANKED + STEPS)
    (cluster / "silent").touch()
    calls = 0

    def show(progress: TrainProgress) -> None:
        nonlocal calls
        calls += progress.phase == "queued"
        if calls > 3:
            (cluster / "silent").unlink(missing_ok=True)

    assert LlamaFactory(place).train(request(place), show).steps == 2


def test_a_refusal_is_told_in_slurms_words(place: Path, cluster: Path) -> None:
    """And names the options that may mend it."""
    fake_python(place / "python", RANKED + STEPS)
    (cluster / "refuse").write_text("Batch job submission failed: Invalid account")
    with pytest.raises(TrainerError, match=r"Invalid account.*--account"):
        LlamaFactory(place).train(request(place), lambda _: None)


def test_no_key_of_the_harness_reaches_the_job(place: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm keeps a job's variables where others may read them."""
    monkeypatch.setenv("HARNESS_API_KEY", "very secret")
    monkeypatch.setenv("HF_TOKEN", "very secret")
    monkeypatch.setenv("WORLD_SIZE", "64")
    fake_python(place / "python", RANKED + STEPS)
    LlamaFactory(place).train(request(place), lambda _: None)
    environment = (cluster / "101" / "environment").read_text()
    assert "very secret" not in environment
    assert "WORLD_SIZE" not in environment


@pytest.mark.parametrize(
    ("values", "here"),
    [({}, True), ({"SLURM_JOB_ID": "7"}, False), ({"RANK": "0"}, False), ({"PATH": "/nowhere"}, False)],
    ids=["login node", "inside a job", "inside torchrun", "no sbatch"],
)
def test_jobs_are_submitted_from_outside_only(values: dict[str, str], here: bool) -> None:
    """What runs inside a job or a launch has its nodes already."""
    assert slurm_here({"PATH": str(COMMANDS), **values}) is here


def test_without_slurm_people_start_the_nodes_and_a_later_call_collects(place: Path) -> None:
    """The job is written once; each node's line is in the message; --resume takes the weights that they left."""
    fake_python(place / "python", RANKED + STEPS)
    launch = Launch(nodes=2, master_address="node0", master_port=29500)

    def train() -> TrainResult:
        return LlamaFactory(place).train(request(place, resume=True, launch=launch), lambda _: None)

    with pytest.raises(TrainingNotStarted, match="start it yourself, then go on with --resume") as first:
        train()
    with pytest.raises(TrainingNotStarted, match="it has not ended"):
        train()
    lines = [line.strip().partition(": ")[2] for line in str(first.value).splitlines()[1:]]
    assert len(lines) == 3
    for line in lines:
        subprocess.run(["bash", "-c", line], check=True)
    result = train()
    assert (result.steps, [p.name for p in (place / "out").iterdir() if p.is_dir()]) == (2, ["attempt-1"])


@pytest.mark.parametrize("job", ["--all", "1 2", "7;x"], ids=["option", "two", "cluster"])
def test_a_note_that_names_no_job_is_not_read(tmp_path: Path, job: str) -> None:
    """The number becomes a word of squeue's and scancel's: a changed file must not cancel anything else."""
    note = {"by": "slurm", "asked": "x", "nodes": 2, "devices": [], "cpu_processes": 1, "job": job}
    (tmp_path / "attempt-1").mkdir()
    (tmp_path / "attempt-1" / "elsewhere.json").write_text(json.dumps(note), "utf-8")
    assert list(attempts_elsewhere(tmp_path)) == []
    (tmp_path / "attempt-1" / "elsewhere.json").write_text(json.dumps(note | {"job": "7"}), "utf-8")
    assert [noted.job for _, noted in attempts_elsewhere(tmp_path)] == ["7"]
